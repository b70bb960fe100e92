"""Tags and folders of a run: attached and detached one by one, through numbers that only a read can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.envelope import item, related
from airflow_provider_tallyfy.api.problems import Kind, about, reject
from airflow_provider_tallyfy.api.runs import Run, folder_ids, id_of, tag_ids
from airflow_provider_tallyfy.api.wire import Answer, Call, Exchange, Flow


@dataclass(frozen=True)
class Relation:
    """How one kind of thing hangs on a run.

    :param field: member of the run that lists them, and the value of ``with=`` that includes it.
    :param ids_of: reads their ids from a run.
    :param attach: calls that attach one, to be tried in turn (a tag's type selects where Tallyfy looks for it).
    :param detach: the call that detaches by the number of the relation.
    """

    field: str
    ids_of: Callable[[Mapping[str, Any]], list[str] | None]
    attach: Callable[[str, str, str], tuple[Call, ...]]
    detach: Callable[[str, int], Call]


TAGS = Relation(
    "tags",
    tag_ids,
    lambda org, run_id, tag: (
        calls.attach_tag(org, run_id, tag, "private"),
        calls.attach_tag(org, run_id, tag, "public"),
    ),
    calls.detach_tag,
)
FOLDERS = Relation(
    "folders",
    folder_ids,
    lambda org, run_id, folder: (calls.add_to_folder(org, run_id, folder),),
    calls.remove_from_folder,
)
RELATIONS = {relation.field: relation for relation in (TAGS, FOLDERS)}


def add(org: str, run_id: str, relation: Relation, thing_id: str) -> Flow[Run]:
    """Attach one thing, unless it is attached already (attaching again would fire Tallyfy's events again)."""
    attempts = relation.attach(org, run_id, thing_id)  # checks the ids before anything is sent
    run = yield from _read(org, run_id, relation)
    if thing_id in _ids(run, relation, run_id):
        return run
    return (yield from _attach(org, run_id, relation, thing_id, attempts))


def remove(org: str, run_id: str, relation: Relation, thing_id: str) -> Flow[Run]:
    """Detach one thing, by the number that a read shows; not attached is fine."""
    relation.attach(org, run_id, thing_id)  # checks the ids before anything is sent
    run = yield from _read(org, run_id, relation)
    if thing_id not in _ids(run, relation, run_id):
        return run
    return (yield from _detach(org, run_id, relation, run, [thing_id]))


def replace(org: str, run_id: str, relation: Relation, wanted: Iterable[str]) -> Flow[Run]:
    """Make the run have exactly the ``wanted`` things, changing only what differs. Returns the run as read at the end.

    :raises Rejected: when it still differs afterwards.
    """
    target = list(wanted)
    run = yield from _read(org, run_id, relation)
    have = _ids(run, relation, run_id)
    surplus = [thing for thing in have if thing not in target]
    if surplus:
        run = yield from _detach(org, run_id, relation, run, surplus)
    for thing in target:
        if thing not in have:
            run = yield from _attach(org, run_id, relation, thing, relation.attach(org, run_id, thing))
    return run


def _attach(org: str, run_id: str, relation: Relation, thing: str, attempts: tuple[Call, ...]) -> Flow[Run]:
    exchange = yield attempts[0]
    if exchange.status == 422 and len(attempts) > 1:
        second = yield attempts[1]
        exchange = second if second.ok or second.status != 422 else exchange
    if not exchange.ok and not exchange.maybe_done:
        reject(exchange)
    # A 200 is no proof, and a lost answer no disproof: look.
    run = yield from _read(org, run_id, relation)
    if thing not in _ids(run, relation, run_id):
        if not exchange.ok:
            reject(exchange)
        raise _unchanged(exchange, relation, f"{thing} is still not among the run's {relation.field}")
    return run


def _detach(org: str, run_id: str, relation: Relation, run: Run, things: list[str]) -> Flow[Run]:
    exchange: Exchange | None = None
    for thing in things:
        number = yield from _relation_number(org, run_id, relation, run, thing)
        exchange = yield relation.detach(org, number)
        if not exchange.ok and not exchange.maybe_done and exchange.status != 404:
            reject(exchange)
    run = yield from _read(org, run_id, relation)
    left = [thing for thing in things if thing in _ids(run, relation, run_id)]
    if left and exchange is not None:
        if not exchange.ok:
            reject(exchange)
        raise _unchanged(exchange, relation, f"{', '.join(left)} still among the run's {relation.field}")
    return run


def _relation_number(org: str, run_id: str, relation: Relation, run: Run, thing: str) -> Flow[int]:
    """The number under which the thing hangs on the run: from the run itself, else from the folder's own list."""
    rows = related(run.get(relation.field)) or []
    for row in rows:
        if isinstance(row, Mapping) and str(id_of(row, *_NAMES[relation.field])) == thing:
            pivot = row.get("pivot")
            inner = pivot.get("id") if isinstance(pivot, Mapping) else None
            for number in (row.get("folder_object_id"), row.get("association_id"), inner, row.get("id")):
                if _is_number(number):
                    return int(number)  # type: ignore[arg-type]  # _is_number says that it can be
    call = calls.get_run(org, run_id, (relation.field,))
    if relation is FOLDERS:
        exchange = yield calls.get_folder(org, thing)
        call = exchange.call
        for row in _objects(exchange):
            if str(row.get("subject_id")) == run_id and _is_number(row.get("id")):
                return int(row["id"])
    raise about(
        call,
        Kind.NOT_APPLIED,
        f"{thing} can't be taken from the run {run_id}: Tallyfy does not tell the number of its association "
        f"(needed to remove it from the run's {relation.field}).",
        errors={relation.field: ["the number of the association is not shown"]},
    )


_NAMES = {"tags": ("tag_id", "id"), "folders": ("folder_id", "id")}


def _objects(exchange: Exchange) -> list[Mapping[str, Any]]:
    if not (exchange.ok and isinstance(exchange.reply, Answer)):
        return []
    folder = item(exchange.reply) or {}
    rows = [row for name in ("objects", "folder_objects", "subjects") for row in related(folder.get(name)) or []]
    return [row for row in rows if isinstance(row, Mapping)]


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and value.isdigit() and len(value) < 20  # an id of 32 digits is no number
    return isinstance(value, int) and not isinstance(value, bool)


def _read(org: str, run_id: str, relation: Relation) -> Flow[Run]:
    exchange = yield calls.get_run(org, run_id, (relation.field,))
    if not (exchange.ok and isinstance(exchange.reply, Answer)):
        reject(exchange)
    return item(exchange.reply) or {}


def _ids(run: Run, relation: Relation, run_id: str) -> list[str]:
    ids = relation.ids_of(run)
    if ids is None:
        raise about(
            calls.get_run("unknown", run_id, (relation.field,)),
            Kind.NOT_APPLIED,
            f"Tallyfy does not show the {relation.field} of the run {run_id}, so they can't be changed safely.",
            errors={relation.field: ["not shown by Tallyfy"]},
        )
    return ids


def _unchanged(exchange: Exchange, relation: Relation, what: str) -> Exception:
    return about(
        exchange.call,
        Kind.NOT_APPLIED,
        f"{exchange.call.label} answered {exchange.status}, yet {what}.",
        like=exchange,
        errors={relation.field: [what]},
    )
