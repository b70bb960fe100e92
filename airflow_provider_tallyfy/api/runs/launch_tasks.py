"""The assignees and deadlines of the tasks of a new run.

If the object ``tasks`` in the request names only some steps, Tallyfy leaves the other steps out of the run, and
``owners`` replace the owners of a step (observed by Tallyfy's own clients on 2026-09-11). So the object always names
every step of the template. A step that the caller does not name keeps its owners, or is assigned to the user who
launches the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

from airflow_provider_tallyfy.api.endpoints import organization as organization_endpoints
from airflow_provider_tallyfy.api.members import Members
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_text, check_user_id, listed, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, related, whole_number
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs.model import id_of
from airflow_provider_tallyfy.api.templates import Step, Template, find_step
from airflow_provider_tallyfy.api.timestamps import check_duration, check_instant, instant, readable

BUCKETS = ("users", "guests", "groups")
_EMAIL = re.compile(r"[^@\s,;:<>()\[\]'\"]+@[^@\s,;:<>()\[\]'\".]+(\.[^@\s,;:<>()\[\]'\".]+)+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DEADLINE_FORMATS = (
    "Use a datetime, a date (the end of that day), ISO 8601 text such as '2026-12-24' or '2026-12-24T12:00:00+01:00' "
    "(UTC if it names no time zone), or a duration from now: timedelta(days=3) or 'P3D'."
)


@dataclass(frozen=True)
class WantedTask:
    """The wanted assignees and deadline of the task of a step.

    :param step: the step.
    :param owners: ids of members, e-mail addresses of guests, ids of groups; ``None`` = as Tallyfy decides.
    :param deadline: when the task is due; ``None`` = as the template says.
    """

    step: Step
    owners: Mapping[str, list[Any]] | None = None
    deadline: datetime | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The value of the step in ``tasks``. Without owners, Tallyfy assigns the task as the template says."""
        owners = self.owners or {}
        body: dict[str, Any] = {"owners": {bucket: list(owners.get(bucket, ())) for bucket in BUCKETS}}
        if self.deadline is not None:
            body["deadline"] = self.deadline.strftime("%Y-%m-%dT%H:%M:%SZ")
        return body


def check_assignees(argument: str, value: object) -> dict[str, list[int | str]]:
    """Return the assignees by step: ids of members, and e-mail addresses of members and guests.

    :raises ArgumentError: for mistakes; one line for each.
    """
    found: dict[str, list[int | str]] = {}
    mistakes: list[str] = []
    for step, people in _by_step(argument, value, "people, such as {'Approve': ['cfo@example.com']}"):
        place = f"{argument}[{show(step)}]"
        if isinstance(people, (str, bytes, Mapping)) or not isinstance(people, Iterable):
            mistakes.append(f"{place}={show(people)} is not a list of e-mail addresses and user ids.")
            continue
        try:
            entries = listed(place, people)
            if not entries:
                mistakes.append(f"{place} is empty: name a person, or leave the step out to keep its owners.")
            found[step] = list(dict.fromkeys(_person(place, person) for person in entries))
        except ArgumentError as mistake:
            mistakes.append(str(mistake))
    if mistakes:
        raise ArgumentError("\n".join(mistakes))
    return found


def _person(place: str, value: object) -> int | str:
    if isinstance(value, str) and not value.strip().isdigit():
        address = check_text(place, value).strip()
        if not _EMAIL.fullmatch(address):
            raise ArgumentError(f"{place}: {show(value)} is neither an e-mail address nor a user id.")
        return address
    return check_user_id(place, value)


def check_deadlines(argument: str, value: object, now: datetime | None = None) -> dict[str, datetime]:
    """Return the deadlines by step, as points in time.

    :param now: the current time. Durations start at it, and a deadline must be later. ``None`` = only check the format.
    :raises ArgumentError: for mistakes; one line for each.
    """
    found: dict[str, datetime] = {}
    mistakes: list[str] = []
    for step, when in _by_step(argument, value, "deadlines, such as {'Approve': '2026-12-24'}"):
        place = f"{argument}[{show(step)}]"
        try:
            moment = _moment(place, when, now or datetime(2000, 1, 1, tzinfo=timezone.utc))
        except ArgumentError:
            mistakes.append(f"{place}={show(when)} is not a deadline. {_DEADLINE_FORMATS}")
            continue
        if now is not None and moment <= now:
            mistakes.append(f"{place}={show(when)} is in the past: it is {readable(now)} now. {_DEADLINE_FORMATS}")
        found[step] = moment
    if mistakes:
        raise ArgumentError("\n".join(mistakes))
    return found


def is_relative(deadline: object) -> bool:
    """Whether a deadline is a duration, which counts from the launch: ``timedelta(days=3)`` or ``"P3D"``."""
    return isinstance(deadline, timedelta) or (isinstance(deadline, str) and deadline.strip()[:1] in {"P", "p"})


def _moment(place: str, value: object, now: datetime) -> datetime:
    if is_relative(value):
        try:
            return (now + check_duration(place, value)).astimezone(timezone.utc)
        except OverflowError:
            raise ArgumentError(place) from None
    moment = check_instant(place, value)
    if isinstance(value, str):
        is_day = bool(_DAY.fullmatch(value.strip()))
    else:
        is_day = isinstance(value, date) and not isinstance(value, datetime)
    return moment + timedelta(hours=23, minutes=59, seconds=59) if is_day else moment


def _by_step(argument: str, value: object, example: str) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise ArgumentError(
            f"{argument}={show(value)} is not an object of steps and {example}. Jinja renders an object to text: pass "
            "it as task.output, or set render_template_as_native_obj=True on the DAG."
        )
    pairs = [(check_text(f"step in {argument}", step).strip(), inner) for step, inner in value.items()]
    if "" in dict(pairs):
        raise ArgumentError(f"{argument} has a step without a name.")
    return pairs


def plan_tasks(
    members: Members,
    template: Template,
    assignees: Mapping[str, list[int | str]] | None,
    deadlines: Mapping[str, datetime] | None,
) -> Flow[list[WantedTask]]:
    """Return the wanted assignees and deadlines of all steps; an empty list if none are given.

    This reads the members if e-mail addresses are given, and the token's user if a step is assigned to the user who
    launches the run.

    :raises ArgumentError: for unknown steps, guests in a step that does not allow them, and ids that are not members'.
    """
    if not assignees and not deadlines:
        return []
    given = _steps_by_id("assignees", template, assignees or {})
    moments = _steps_by_id("deadlines", template, deadlines or {})
    wanted = dict(zip(given, (yield from _owners(members, template, given)), strict=True))
    starter: int | None = None
    tasks = []
    for step in template.steps:
        owners = wanted.get(step.id)
        current = {bucket: list(step.owners.get(bucket) or ()) for bucket in BUCKETS}
        if owners is None and step.unreadable:
            raise ArgumentError(
                f"The {' and '.join(step.unreadable)} of the step {step.title!r} can't be read from the template, and "
                "a launch with assignees or deadlines would remove them. Give the assignees of this step too."
            )
        if owners is None and any(current.values()):
            owners = current
        if owners is None and step.assign_run_starter:
            if starter is None:
                starter = yield from _starter(members.org, template)
            owners = None if starter is None else {"users": [starter]}
        tasks.append(WantedTask(step, owners, moments.get(step.id)))
    return tasks


def _steps_by_id(argument: str, template: Template, by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by step id."""
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    mistakes: list[str] = []
    for name, value in by_name.items():
        try:
            step = find_step(argument, template.steps, name)
        except ArgumentError as mistake:
            mistakes.append(str(mistake))
            continue
        if step.id in found:
            mistakes.append(f"{argument} names the step {step.title!r} twice: {show(names[step.id])} and {show(name)}.")
        found[step.id], names[step.id] = value, name
    if mistakes:
        raise ArgumentError("\n".join(mistakes))
    return found


def _owners(
    members: Members, template: Template, given: Mapping[str, list[int | str]]
) -> Flow[list[dict[str, list[Any]]]]:
    """Return the owners of steps: members by their ids, everybody else as guests."""
    by_address: Mapping[str, int] = {}
    if any(isinstance(person, str) for entries in given.values() for person in entries):
        by_address = yield from members.by_address()
    known = set(by_address.values())
    steps = {step.id: step for step in template.steps}
    owners: list[dict[str, list[Any]]] = []
    mistakes: list[str] = []
    for step_id, entries in given.items():
        step = steps[step_id]
        users: list[int] = []
        guests: list[str] = []
        for person in entries:
            member = by_address.get(person.casefold()) if isinstance(person, str) else person
            if member is None:
                guests.append(str(person))
            else:
                users.append(member)
            if isinstance(person, int) and known and person not in known:
                mistakes.append(f"assignees[{step.title!r}]: the organization has no member with the id {person}.")
        if guests and step.allow_guest_owners is False:
            mistakes.append(
                f"assignees[{step.title!r}]: {', '.join(guests)} is not a member of the organization, and this step "
                "does not allow guests (allow_guest_owners is false)."
            )
        owners.append({"users": list(dict.fromkeys(users)), "guests": guests, "groups": []})
    if mistakes:
        raise ArgumentError("\n".join(mistakes))
    return owners


def _starter(org: str, template: Template) -> Flow[int | None]:
    """Return the user who launches the run: the token's user; for a bot, Tallyfy uses the owner of the template."""
    me = yield from ask(organization_endpoints.get_member(org))
    is_bot = str(me.get("type") or "").lower() == "bot"
    return whole_number(template.raw.get("owner_id") if is_bot else me["id"])


def task_differences(run: Mapping[str, Any], wanted: Iterable[WantedTask]) -> dict[str, list[str]]:
    """Return how the tasks of a run differ from the wanted ones, by title of the step.

    :param run: the run, with its ``tasks``.
    """
    rows = related(run.get("tasks")) or []
    by_step = {str(row.get("step_id")): row for row in rows if isinstance(row, Mapping)}
    found: dict[str, list[str]] = {}
    for task in wanted:
        row = by_step.get(task.step.id)
        texts = ["its task is missing"] if row is None else list(_differences(row, task))
        if texts:
            found[task.step.title] = texts
    return found


def _differences(row: Mapping[str, Any], task: WantedTask) -> Iterable[str]:
    if task.owners is not None:
        have, want = _people(row.get("owners")), _people(task.owners)
        if have != want:
            actual, wanted = (", ".join(sorted(people)) or "nobody" for people in (have, want))
            yield f"its owners are {actual}, but should be {wanted}"
    if task.deadline is not None:
        shown = instant(row.get("deadline"))
        if shown is None or abs(shown - task.deadline) >= timedelta(minutes=1):
            yield f"its deadline is {show(row.get('deadline'))}, but should be {readable(task.deadline)}"


def _people(owners: object) -> set[str]:
    """Return the ids and e-mail addresses in ``owners``, as text."""
    if not isinstance(owners, Mapping):
        return set()
    found = set()
    for bucket in BUCKETS:
        names = ("email", "id") if bucket == "guests" else ("id",)
        found |= {str(id_of(entry, *names)).casefold() for entry in related(owners.get(bucket)) or []}
    return found
