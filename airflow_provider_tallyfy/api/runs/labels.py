"""Tags and folders of a run. Each is attached by its id, and detached by the number of its association."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.endpoints import labels as label_endpoints
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Request, related, whole_number
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs.model import Run, describe, folder_ids, id_of, tag_ids
from airflow_provider_tallyfy.api.runs.read import describe_reply


@dataclass(frozen=True)
class Relation:
    """How tags, or folders, are associated with a run.

    :param field: the field of the run that lists them, and the value of ``with=`` that includes it.
    :param ids_of: reads their ids from a run.
    :param attach: the requests that attach one, to be tried in turn (a tag is either private or public).
    :param detach: the request that detaches one by the number of its association.
    """

    field: str
    ids_of: Callable[[Mapping[str, Any]], list[str] | None]
    attach: Callable[[str, str, str], tuple[Request, ...]]
    detach: Callable[[str, int], Request]


TAGS = Relation(
    "tags",
    tag_ids,
    lambda org, run_id, tag: (
        label_endpoints.attach_tag(org, run_id, tag, "private"),
        label_endpoints.attach_tag(org, run_id, tag, "public"),
    ),
    label_endpoints.detach_tag,
)
FOLDERS = Relation(
    "folders",
    folder_ids,
    lambda org, run_id, folder: (label_endpoints.add_to_folder(org, run_id, folder),),
    label_endpoints.remove_from_folder,
)
RELATIONS = {relation.field: relation for relation in (TAGS, FOLDERS)}


def add(org: str, run_id: str, relation: Relation, thing_id: str) -> Flow[Run]:
    """Attach a tag or folder, unless it is attached already (attaching it again would fire Tallyfy's events again)."""
    relation.attach(org, run_id, thing_id)  # checks the ids before anything is sent
    run = yield from _read(org, run_id, relation)
    have = shown_ids(run, relation)
    return run if thing_id in have else (yield from _set(org, run_id, relation, run, [*have, thing_id]))


def remove(org: str, run_id: str, relation: Relation, thing_id: str) -> Flow[Run]:
    """Detach a tag or folder, if it is attached."""
    relation.attach(org, run_id, thing_id)  # checks the ids before anything is sent
    run = yield from _read(org, run_id, relation)
    have = shown_ids(run, relation)
    left = [thing for thing in have if thing != thing_id]
    return run if left == have else (yield from _set(org, run_id, relation, run, left))


def _set(org: str, run_id: str, relation: Relation, run: Run, wanted: list[str]) -> Flow[Run]:
    last = yield from change(org, run_id, relation, run, wanted)
    after = yield from _read(org, run_id, relation)
    if set(shown_ids(after, relation)) == set(wanted):
        return after
    what = f"the run's {relation.field} are {', '.join(shown_ids(after, relation)) or 'none'}"
    if not last.ok:
        raise unconfirmed(last, what)
    raise about(
        last.request,
        Kind.NOT_APPLIED,
        f"{last.request.label} answered {last.status}, but {what}; they should be {', '.join(wanted) or 'none'}.",
        like=last,
        errors={relation.field: [what]},
    )


def unconfirmed(exchange: Exchange, what: str) -> Rejected:
    """Return the error for an attach or detach whose answer was lost, and which a read shows was not carried out."""
    return about(
        exchange.request,
        Kind.SERVER,
        f"{exchange.request.label} was not carried out ({describe_reply(exchange)}): a read shows that {what}. A retry "
        "can fix this.",
        like=exchange,
    )


def change(org: str, run_id: str, relation: Relation, run: Run, wanted: Iterable[str]) -> Flow[Exchange]:
    """Attach and detach, one by one, until a run that was just read has exactly the ``wanted`` tags or folders.

    The caller must read the run afterwards: a 200 does not prove that it worked, and a lost answer not that it failed.

    :return: the last exchange, or one whose answer was lost.
    :raises Rejected: if Tallyfy refuses a request.
    """
    target = list(wanted)
    have = shown_ids(run, relation)
    last: Exchange | None = None
    for thing in have:
        if thing not in target:
            number = yield from _relation_number(org, run_id, relation, run, thing)
            exchange = yield relation.detach(org, number)
            if not exchange.ok and not exchange.maybe_done and exchange.status != 404:  # 404: already detached
                reject(exchange)
            last = exchange if last is None or last.ok else last
    for thing in target:
        if thing not in have:
            exchange = yield from _attach(relation.attach(org, run_id, thing))
            last = exchange if last is None or last.ok else last
    assert last is not None, "nothing differs"
    return last


def _attach(attempts: tuple[Request, ...]) -> Flow[Exchange]:
    first = yield attempts[0]
    exchange = first
    for attempt in attempts[1:]:
        if exchange.status != 422:
            break
        exchange = yield attempt
    if not exchange.ok and not exchange.maybe_done:
        reject(first if exchange.status == 422 else exchange)
    return exchange


def _relation_number(org: str, run_id: str, relation: Relation, run: Run, thing: str) -> Flow[int]:
    """Return the number of an association, as the run shows it, or else the folder's own list."""
    rows = related(run.get(relation.field)) or []
    for row in rows:
        if isinstance(row, Mapping) and str(id_of(row, *_NAMES[relation.field])) == thing:
            pivot = row.get("pivot")
            inner = pivot.get("id") if isinstance(pivot, Mapping) else None
            for candidate in (row.get("folder_object_id"), row.get("association_id"), inner, row.get("id")):
                if (number := whole_number(candidate)) is not None:
                    return number
    request = run_endpoints.get_run(org, run_id, (relation.field,))
    if relation is FOLDERS:
        exchange = yield label_endpoints.get_folder(org, thing)
        request = exchange.request
        for row in _objects(exchange):
            # A folder can contain tasks too, and every object has a number: only this run's number may be used.
            number = whole_number(row.get("id"))
            ours = row.get("subject_type") in _RUN_TYPES and str(row.get("subject_id")) == run_id
            if ours and number is not None:
                return number
    raise about(
        request,
        Kind.NOT_APPLIED,
        f"{thing} can't be removed from the run {run_id}: Tallyfy does not show the number of its association "
        f"(which is needed to remove it from the run's {relation.field}).",
        errors={relation.field: ["the number of the association is not shown"]},
    )


_RUN_TYPES = (None, "Run", "App\\Models\\Run")
_NAMES = {"tags": ("tag_id", "id"), "folders": ("folder_id", "id")}


def _objects(exchange: Exchange) -> list[Mapping[str, Any]]:
    """Return the objects in a folder."""
    if not exchange.ok:
        reject(exchange)
    folder = exchange.value
    rows = [row for name in ("objects", "folder_objects", "subjects") for row in related(folder.get(name)) or []]
    return [row for row in rows if isinstance(row, Mapping)]


def _read(org: str, run_id: str, relation: Relation) -> Flow[Run]:
    return (yield from ask(run_endpoints.get_run(org, run_id, (relation.field,))))  # type: ignore[no-any-return]


def shown_ids(run: Run, relation: Relation) -> list[str]:
    """Return the ids of the tags or folders of a run.

    :raises Rejected: if the run does not show them.
    """
    ids = relation.ids_of(run)
    if ids is None:
        raise about(
            Request("GET", ("runs", str(run.get("id")))),
            Kind.NOT_APPLIED,
            f"Tallyfy does not show the {relation.field} of the run {describe(run)}, so they can't be changed safely.",
            errors={relation.field: ["not shown by Tallyfy"]},
        )
    return ids
