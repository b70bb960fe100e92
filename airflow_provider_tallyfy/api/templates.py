"""Read a template with its kick-off form and its steps, and find it by id or title."""

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
    """A step of a template. Each run has one task for it.

    :param id: its id, the key of its task in the request of a launch (the "timeline id").
    :param title: its title.
    :param alias: its name in Tallyfy's variables; may be empty.
    :param task_type: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``.
    :param fields: the fields of its form.
    :param owners: the assignees of its task: ``users`` (ids), ``guests`` (e-mail addresses), ``groups`` (ids).
    :param assign_run_starter: whether its task is assigned to the user who launches the run if it has no owners.
    :param allow_guest_owners: whether its task can be assigned to guests.
    :param raw: the step as Tallyfy returned it.
    :param unreadable: the keys of ``owners`` that can't be read. A launch that sends owners would remove these.
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
    :param title: its title.
    :param kickoff: the fields of its kick-off form.
    :param steps: its steps, in order.
    :param raw: the template as Tallyfy returned it.
    """

    id: str
    title: str
    kickoff: list[FormField]
    steps: list[Step]
    raw: Mapping[str, Any] = field(repr=False)


def find_template(org: str, argument: str, name_or_id: object) -> Flow[Template]:
    """Find a template by its id or title, and read it with its forms and steps.

    By id, it is one request. By title, it is one more request per 100 templates.

    :param argument: name of the argument, for errors.
    :raises ArgumentError: if no template has the title (with the nearest titles), several have it (with their ids), or
        the template is archived.
    :raises Rejected: if there is no template with this id, or Tallyfy's answer can't be read.
    """
    name = titles.check_title(argument, name_or_id, titles.TEMPLATE)
    identity = name if titles.looks_like_id(name) else (yield from _id_of(org, argument, name))
    exchange = yield endpoints.get_template(org, identity)
    if exchange.status in (404, 410):
        raise about(
            exchange.request,
            Kind.NOT_FOUND,
            f"{argument}={show(name)}: there is no template with this id in the organization, or it is archived.",
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
            f"{exchange.request.label} returned a template with a step that has no id: {show(unknown[0])}",
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
    """Return the steps of a template, in the order of their positions, without archived ones, which get no tasks."""
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
        # Both are true by default in Tallyfy.
        assign_run_starter=flag_of(row.get("assign_run_starter"), absent=True),
        allow_guest_owners=flag_of(row.get("allow_guest_owners"), absent=True),
        raw=row,
        unreadable=tuple(unreadable),
    )


#: For each kind of owner: the keys of a step that can have a list of them, and the keys of an owner that identify it.
_OWNERS = (
    ("users", ("assignees", "users"), ("id", "user_id")),
    ("guests", ("guests",), ("email", "id")),
    ("groups", ("groups",), ("id", "group_id")),
)


def _member(entry: Any, names: Sequence[str]) -> int | str | None:
    """Return the id or e-mail address of an owner, which Tallyfy may write as an object."""
    if isinstance(entry, Mapping):
        entry = next((entry[name] for name in names if entry.get(name) is not None), None)
    return entry if isinstance(entry, (int, str)) and not isinstance(entry, bool) and entry != "" else None


def find_step(argument: str, steps: Sequence[Step], name: object) -> Step:
    """Return the step that a name means: by id, alias or title, in this order; then the same in any letter case.

    :raises ArgumentError: if no step has the name (with the nearest titles), or several have it (with their ids).
    """
    if not isinstance(name, str):
        raise ArgumentError(f"{argument} names the step {show(name)}; use its title or id.")
    names = (lambda step: step.id, lambda step: step.alias, lambda step: step.title)
    return choose(argument, name, steps, names, what="step")
