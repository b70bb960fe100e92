"""A template with its kick-off form and its steps, found by its id or title."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import templates as endpoints
from airflow_provider_tallyfy.api.forms.fields import FormField, fields_of, flag_of, text_of
from airflow_provider_tallyfy.api.names import choose
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, related, whole_number
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject


@dataclass(frozen=True)
class Step:
    """A step of a template; every run gets one task of it.

    :param id: its id, under which a launch addresses it (the "timeline id").
    :param title: what people call it.
    :param alias: its name in Tallyfy's variables; empty where it has none.
    :param task_type: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``.
    :param fields: its form.
    :param owners: who gets its task: ``users`` (ids), ``guests`` (e-mail addresses), ``groups`` (ids).
    :param assign_run_starter: whether its task goes to whoever launches the run where it has no owners.
    :param allow_guest_owners: whether its task may go to guests.
    :param raw: the step as Tallyfy returned it.
    :param unreadable: those of its owners that can't be read, which sending them back would remove.
    """

    id: str
    title: str
    alias: str
    task_type: str
    fields: list[FormField]
    owners: Mapping[str, list[Any]]
    assign_run_starter: bool
    allow_guest_owners: bool
    raw: Mapping[str, Any] = field(repr=False)
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Template:
    """A template.

    :param id: its id.
    :param title: what people call it.
    :param kickoff: its kick-off form.
    :param steps: its steps, in their order.
    :param raw: the template as Tallyfy returned it.
    """

    id: str
    title: str
    kickoff: list[FormField]
    steps: list[Step]
    raw: Mapping[str, Any] = field(repr=False)


def find_template(org: str, argument: str, name_or_id: object) -> Flow[Template]:
    """Find a template by its id or title, and read it with its forms and steps.

    One request for an id; for a title one more per 100 templates.

    :param argument: name of the argument, for errors.
    :raises ArgumentError: for a title that none has (with the nearest) or several have (with their ids), and for an
        archived template.
    :raises Rejected: where Tallyfy has no template of this id, or what it answers can't be read.
    """
    name = titles.check_title(argument, name_or_id, titles.TEMPLATE)
    identity = name if titles.looks_like_id(name) else (yield from _id_of(org, argument, name))
    exchange = yield endpoints.get_template(org, identity)
    if exchange.status in (404, 410):
        raise about(
            exchange.request,
            Kind.NOT_FOUND,
            f"{argument}={show(name)}: there is no template of this id in the organization, or it is archived.",
            like=exchange,
        )
    if not exchange.ok:
        reject(exchange)
    raw: dict[str, Any] = exchange.value
    if raw.get("archived_at"):
        raise ArgumentError(
            f"{argument}={show(name)}: the template {show(raw.get('title'))} is archived. Restore it in Tallyfy first."
        )
    rows = related(raw.get("steps"))
    if rows is None:  # the relation was not returned
        rows = yield from _read_steps(org, identity)
    unknown = [row for row in rows if not (isinstance(row, Mapping) and text_of(row.get("id")))]
    if unknown:
        raise about(
            exchange.request,
            Kind.SERVER,
            f"{exchange.request.label} answered with a template that has a step without an id: {show(unknown[0])}",
            like=exchange,
        )
    return Template(
        id=str(raw["id"]),
        title=text_of(raw.get("title")),
        kickoff=fields_of(raw.get("prerun")),
        steps=steps_of(rows),
        raw=raw,
    )


def _id_of(org: str, argument: str, title: str) -> Flow[str]:
    known = yield from titles.read_kind(org, titles.TEMPLATE)
    ids, missing = titles.resolve(argument, "template", [title], known)
    if missing:
        raise titles.unknown(argument, "template", missing, known.values())
    return ids[0]


def _read_steps(org: str, template_id: str) -> Flow[list[Any]]:
    walk = Walk(endpoints.list_steps(org, template_id))
    rows: list[Any] = []
    while (following := walk.next_request) is not None:
        rows += walk.take((yield following))
    return rows


def steps_of(rows: Iterable[Any]) -> list[Step]:
    """Read the steps of a template, in the order of their positions. Archived ones get no tasks and are left out."""
    live = [
        row
        for row in rows
        if isinstance(row, Mapping) and text_of(row.get("id")) and not (row.get("archived_at") or row.get("deleted_at"))
    ]
    live.sort(key=_position)
    return [_step(row) for row in live]


def _position(row: Mapping[str, Any]) -> tuple[bool, int]:
    position = whole_number(row.get("position"))
    return position is None, position or 0


def _step(row: Mapping[str, Any]) -> Step:
    owners: dict[str, list[Any]] = {}
    unreadable = []
    for bucket, names, members in _OWNERS:
        found: Any = next((row[name] for name in names if row.get(name) is not None), [])
        people = [_member(entry, members) for entry in related(found) or ()]
        owners[bucket] = [person for person in people if person is not None]
        if related(found) is None or None in people:
            unreadable.append(bucket)
    return Step(
        id=text_of(row.get("id")),
        title=text_of(row.get("title")),
        alias=text_of(row.get("alias")),
        task_type=text_of(row.get("step_type")) or text_of(row.get("task_type")) or "task",
        fields=fields_of(row.get("captures", row.get("form_fields"))),
        owners=owners,
        # Both are true in Tallyfy where nobody has said otherwise.
        assign_run_starter=flag_of(row.get("assign_run_starter"), absent=True),
        allow_guest_owners=flag_of(row.get("allow_guest_owners"), absent=True),
        raw=row,
        unreadable=tuple(unreadable),
    )


#: A kind of owners, the members of a step that may hold them, and the members of an object that name one.
_OWNERS = (
    ("users", ("assignees", "users"), ("id", "user_id")),
    ("guests", ("guests",), ("email", "id")),
    ("groups", ("groups",), ("id", "group_id")),
)


def _member(entry: Any, names: Sequence[str]) -> int | str | None:
    """The id or address of an owner that is given as such or as an object."""
    if isinstance(entry, Mapping):
        entry = next((entry[name] for name in names if entry.get(name) is not None), None)
    return entry if isinstance(entry, (int, str)) and not isinstance(entry, bool) and entry != "" else None


def find_step(argument: str, steps: Sequence[Step], name: object) -> Step:
    """Return the step that a name means: its id, alias or title, in this order, then the same in any letter case.

    :raises ArgumentError: for a name that no step has (with the nearest) or several have (with their ids).
    """
    if not isinstance(name, str):
        raise ArgumentError(f"{argument} names the step {show(name)}; use its title or id.")
    names = (lambda step: step.id, lambda step: step.alias, lambda step: step.title)
    return choose(argument, name, steps, names, what="step")
