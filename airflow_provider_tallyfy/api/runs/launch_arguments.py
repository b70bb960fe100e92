"""The arguments of a launch: check them, and look up all titles, labels and e-mail addresses for the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api import forms, titles
from airflow_provider_tallyfy.api.members import Members
from airflow_provider_tallyfy.api.protocol import arguments as check
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.json_values import check_object
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.runs.launch_key import LaunchKey, check_launch_key
from airflow_provider_tallyfy.api.runs.launch_tasks import (
    WantedTask,
    check_assignees,
    check_deadlines,
    is_relative,
    plan_tasks,
)
from airflow_provider_tallyfy.api.templates import Template

IF_LAUNCHED = ("adopt", "launch_again", "fail")
#: Fields of the request, and the arguments that set them.
_ARGUMENT_OF: Mapping[str, str] = {
    "checklist_id": "template",
    "template_id": "template",
    "owner_id": "owner",
    "prerun": "answers",
    "tasks": "assignees and deadlines",
    **{name: name for name in ("name", "summary", "tags", "folders")},
}


def check_extra_fields(argument: str, value: object) -> dict[str, Any]:
    """Return further fields of the API, by name.

    :raises ArgumentError: for a field that another argument sets.
    """
    fields = check_object(argument, value)
    if doubled := sorted(set(fields) & set(_ARGUMENT_OF)):
        raise ArgumentError(
            "\n".join(f"{argument} contains {name}: use the argument {_ARGUMENT_OF[name]} instead." for name in doubled)
        )
    return fields


#: The check of each argument. For deadlines, it only checks the format, because this module has no clock.
CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    "template": lambda name, value: titles.check_title(name, value, titles.TEMPLATE),
    "name": check.check_name,
    "summary": check.check_text,
    "owner": titles.check_member,
    "answers": forms.check_answers,
    "assignees": check_assignees,
    "deadlines": check_deadlines,
    "tags": titles.check_titles,
    "folders": lambda name, value: titles.check_titles(name, value, titles.FOLDER),
    "launch_key": check_launch_key,
    "if_launched": lambda name, value: check.check_choice(name, value, IF_LAUNCHED),
    "extra_fields": check_extra_fields,
}


@dataclass(frozen=True)
class Launch:
    """The arguments of a launch, checked; ``None`` = not given.

    :param now: the current time.
    :param relative: the steps whose deadlines were given as durations.
    """

    template: str
    now: datetime
    relative: frozenset[str] = frozenset()
    name: str | None = None
    summary: str | None = None
    owner: int | str | None = None
    answers: Mapping[str, Any] | None = None
    assignees: Mapping[str, list[int | str]] | None = None
    deadlines: Mapping[str, datetime] | None = None
    tags: list[str] | None = None
    folders: list[str] | None = None
    extra_fields: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any], now: datetime) -> Launch:
        """Check the arguments.

        :raises ArgumentError: for bad values; one line for each.
        """
        mistakes: list[str] = []
        values: dict[str, Any] = {}
        for name, value in arguments.items():
            if value is None and name != "template":
                continue
            try:
                values[name] = check_deadlines(name, value, now) if name == "deadlines" else CHECKS[name](name, value)
            except ArgumentError as mistake:
                mistakes.append(str(mistake))
        if mistakes:
            raise ArgumentError("\n".join(mistakes))
        deadlines = arguments.get("deadlines") or {}
        relative = frozenset(step.strip() for step, deadline in deadlines.items() if is_relative(deadline))
        return cls(now=now, relative=relative, **values)

    def deadlines_since(self, launched: datetime | None) -> dict[str, datetime]:
        """Return the deadlines of a run that was launched before.

        :param launched: the time of its launch; ``None`` = unknown, so durations are left out.
        """
        deadlines = dict(self.deadlines or {})
        for step in self.relative:
            deadline = deadlines.pop(step)
            if launched is not None:
                deadlines[step] = deadline + (launched - self.now)
        return deadlines

    def name_for(self, template: Template) -> str:
        """Return the name of the run: the given one, or the one that Tallyfy would choose."""
        day = f" - {self.now.date().isoformat()}"
        return self.name or template.title[: check.NAME_LIMIT - len(day)] + day


@dataclass(frozen=True)
class Prepared:
    """A launch, ready to be sent.

    :param template: the template.
    :param body: the body of the request.
    :param tasks: the wanted assignees and deadlines of all tasks; empty = those of the template.
    """

    template: Template
    body: Mapping[str, Any]
    tasks: list[WantedTask]

    @property
    def guests(self) -> list[str]:
        """The e-mail addresses that become guests."""
        return sorted({str(guest) for task in self.tasks for guest in (task.owners or {}).get("guests", ())})


def prepare(org: str, wanted: Launch, key: LaunchKey, template: Template) -> Flow[Prepared]:
    """Look up titles, labels and e-mail addresses, and build the body of the request.

    :raises ArgumentError: if the organization or the template does not have them.
    """
    body: dict[str, Any] = {
        "checklist_id": template.id,
        "name": wanted.name_for(template),
        "summary": key.summary(wanted.summary),
    }
    members = Members(org)
    if prerun := (yield from encode_answers(template, wanted.answers, members)):
        body["prerun"] = prerun
    tasks = yield from plan_tasks(members, template, wanted.assignees, wanted.deadlines)
    if tasks:
        body["tasks"] = {task.step.id: task.body for task in tasks}
    if wanted.owner is not None:
        body["owner_id"] = yield from members.member_id("owner", wanted.owner)
    if wanted.tags:
        body["tags"] = yield from titles.tag_ids(org, "tags", wanted.tags)
    if wanted.folders:
        body["folders"] = yield from titles.folder_ids(org, "folders", wanted.folders)
    return Prepared(template, {**(wanted.extra_fields or {}), **body}, tasks)


def encode_answers(
    template: Template, answers: Mapping[str, Any] | None, members: Members, *, complete: bool = True
) -> Flow[dict[str, Any]]:
    """Encode the answers to the kick-off form. If they name members by e-mail address, the members are read.

    :param complete: whether a required field without an answer is a mistake.
    :return: ``{field id: encoded value}``.
    """
    addresses = None
    if forms.needs_members(template.kickoff, answers):
        addresses = yield from members.by_address()
    return forms.encode("answers", template.kickoff, answers, complete=complete, members=addresses)
