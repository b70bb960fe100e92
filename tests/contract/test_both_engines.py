"""Every flow with every fault: both engines end in the same way, and neither reports a false success."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import pytest

from airflow_provider_tallyfy.api import templates, titles
from airflow_provider_tallyfy.api.endpoints import custom, organization
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs import archive, delete, kickoff, labels, launch, read, update
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.fields import FIELDS
from airflow_provider_tallyfy.api.runs.launch_arguments import Launch
from airflow_provider_tallyfy.api.runs.launch_key import LaunchKey, TaskIdentity, key_of
from airflow_provider_tallyfy.api.tasks import comments, complete
from airflow_provider_tallyfy.api.tasks.answers import read_with_answers
from airflow_provider_tallyfy.api.tasks.read import find
from airflow_provider_tallyfy.sandbox import Behaviour, Fault
from airflow_provider_tallyfy.sandbox.faults import FAULTS
from tests.contract._both_engines import ALL_FAULTS, ARGUMENTS, LARGE, LATE, Case, Planned, World, run_on_both
from tests.contract._desk import Desk, new_desk
from tests.contract._example_organization import AMOUNT


def truth(world: World) -> dict[str, Any]:
    run = world.run
    assert run is not None
    return run


def reads(include: tuple[str, ...] = (), **more: Any) -> Case:
    return Case(
        lambda world: read.require(world.org, world.run_id, include=include),
        lambda world, state: (
            state.run["id"] == world.run_id
            and state.run["name"] == truth(world)["name"]
            and state.archived in {None, truth(world)["is_archived"]}
        ),
        **more,
    )


def brings_about(flow: Callable[..., Any], wanted: bool, archived: bool, look_first: bool = False, **more: Any) -> Case:
    return Case(
        lambda world: flow(world.org, world.run_id, look_first=look_first),
        lambda world, outcome: truth(world)["is_archived"] is wanted and outcome.run["id"] == world.run_id,
        archived=archived,
        **more,
    )


def updates(
    changes: Callable[[World], Mapping[str, Any]],
    shown: Callable[[World, dict[str, Any]], bool],
    *,
    extra: Mapping[str, Any] | None = None,
    **more: Any,
) -> Case:
    return Case(
        lambda world: update.update(world.org, world.run_id, changes(world), extra, create_missing_tags=True),
        lambda world, outcome: (
            outcome.run["id"] == world.run_id
            # Tallyfy may not show this field; the outcome says so.
            and (shown(world, truth(world)) or "could not be verified" in outcome.note)
        ),
        **more,
    )


NOW = datetime.now(timezone.utc)
LAUNCHED = "Invoice 8"


def launch_key(**more: Any) -> LaunchKey:
    task = TaskIdentity("billing", "manual", "launch", since=NOW - timedelta(minutes=1), **more)
    return key_of("invoice 8", task, again=False, now=NOW, tried=False, unique="")


def launches(how: set[str], **arguments: Any) -> Case:
    """A launch whose run there is once afterwards."""
    key = launch_key()

    def flow(world: World) -> Flow[Any]:
        if how == {"already"}:
            world.sandbox.add_run(LAUNCHED, summary=key.summary("Mine"), template=template_of(world))
        given = {"template": template_of(world), "name": LAUNCHED, "summary": "Mine", **arguments}
        return launch.launch(world.org, Launch.of(given, NOW), key)

    def holds(world: World, outcome: Outcome) -> bool:
        runs = [run for run in world.sandbox.runs() if key.is_in(run["summary"])]
        return (
            [run["id"] for run in runs] == [outcome.run["id"]]
            and runs[0]["name"] == LAUNCHED
            and runs[0]["summary"].startswith("Mine\n\nLaunched by Airflow: billing, manual, launch (key ")
            and outcome.how in how
        )

    return Case(flow, holds, core=True)


def template_of(world: World) -> str:
    return world.sandbox.organization.runs[world.run_id].template.id


def titled(world: World, tag_id: str) -> str:
    return world.sandbox.organization.tags[tag_id].title


def works(flow: Callable[[World, Desk], Any], holds: Callable[[Desk, Any], bool], **more: Any) -> Case:
    """A flow on a run that has tasks, which is the third of its organization."""
    desks: dict[str, Desk] = {}

    def start(world: World) -> Any:
        desks[world.sandbox.url] = desk = new_desk(world.sandbox)
        return flow(world, desk)

    return Case(start, lambda world, value: holds(desks[world.sandbox.url], value), **more)


def completes(title: str, by_id: bool = False, core: bool = False, **arguments: Any) -> Case:
    """Complete a task; where it is reported complete, it is, with its answers, its decision and its comment."""

    def holds(desk: Desk, outcome: complete.TaskOutcome) -> bool:
        task = desk.task(title)
        comment = [thread["content"] for thread in task["threads"]["data"]]
        return bool(
            outcome.task["id"] == task["id"]
            and task["status"] == "completed"
            and task["is_approved"] is arguments.get("approve")
            and all(desk.answer(label, title) == answer for label, answer in arguments.get("answers", {}).items())
            and comment == ([arguments["comment"]] if "comment" in arguments else [])
        )

    return works(
        lambda world, desk: complete.complete(
            world.org, desk.run_id, desk.task_id(title) if by_id else title, **arguments
        ),
        holds,
        core=core,
    )


def with_form_open(world: World, desk: Desk) -> Any:
    run = world.sandbox.organization.runs[desk.run_id]
    run.prerun_completed_at = None
    return kickoff.submit(world.org, desk.run_id)


def with_task_complete(world: World, desk: Desk) -> Any:
    desk.set("Approve", status="completed", completed_at=1_700_000_000.0, is_approved=False)
    return complete.reopen(world.org, desk.run_id, "Approve")


def submitted(desk: Desk) -> bool:
    return bool((desk.sandbox.run(desk.run_id) or {})["prerun_status"] == "complete")


TASK_CASES: dict[str, Case] = {
    "find a task by its title": works(
        lambda world, desk: find(world.org, desk.run_id, "Approve"),
        lambda desk, task: task["id"] == desk.task_id("Approve"),
    ),
    "complete a task by its id": completes("Confirm", by_id=True, core=True),
    "complete a task by its title": completes("Confirm"),
    "complete a task with answers": completes("Collect details", core=True, answers={"Amount": 7, "Plan": "Yearly"}),
    "reject": completes("Approve", approve=False),
    "complete a task and comment": completes("Confirm", core=True, comment="Done by a DAG"),
    "reopen a task": works(with_task_complete, lambda desk, outcome: desk.task("Approve")["status"] == "in-progress"),
    "comment on a task": works(
        lambda world, desk: comments.comment(world.org, desk.task_id("Approve"), "Seen"),
        lambda desk, comment: (
            [comment["content"]] == [row["content"] for row in desk.task("Approve")["threads"]["data"]] == ["Seen"]
        ),
    ),
    "submit a kick-off form": works(with_form_open, lambda desk, outcome: submitted(desk)),
    "reopen a kick-off form": works(
        lambda world, desk: kickoff.reopen(world.org, desk.run_id), lambda desk, outcome: not submitted(desk)
    ),
    "read a run with its answers": works(
        lambda world, desk: read_with_answers(world.org, desk.run_id),
        lambda desk, run: run["id"] == desk.run_id and run["answers"]["Customer"] == "Acme",
        core=True,
    ),
}
FIELD_CASES = {
    "name": updates(lambda _: {"name": "New"}, lambda _, run: run["name"] == "New", core=True),
    "summary": updates(lambda _: {"summary": ""}, lambda _, run: run["summary"] == ""),
    "owner_id": updates(
        lambda world: {"owner_id": world.example.people[1]},
        lambda world, run: run["owner_id"] == world.example.people[1],
    ),
    "tags": updates(
        lambda world: {"tags": world.example.tags[1:2]}, lambda world, run: run["tags"] == list(world.example.tags[1:2])
    ),
    "add_tags": updates(
        lambda _: {"add_tags": ["Sales", "Brand new"]},
        lambda world, run: [titled(world, tag) for tag in run["tags"]] == ["Urgent", "Sales", "Brand new"],
        core=True,
    ),
    "remove_tags": updates(lambda _: {"remove_tags": ["Urgent"]}, lambda _, run: run["tags"] == []),
    "folders": updates(
        lambda world: {"folders": world.example.folders[1:]},
        lambda world, run: run["folders"] == list(world.example.folders[1:]),
    ),
    "prerun": updates(lambda _: {"prerun": {AMOUNT: "200"}}, lambda _, run: run["prerun"][AMOUNT] == "200"),
    "starred": updates(lambda _: {"starred": True}, lambda _, run: run["starred"] is True),
    "is_public": updates(lambda _: {"is_public": "true"}, lambda _, run: run["is_public"] is True),
    "users": updates(
        lambda world: {"users": world.example.people[1:]},
        lambda world, run: run["users"] == list(world.example.people[1:]),
        members=lambda world: (list(world.example.people[1:]), [world.example.groups[0]]),
    ),
    "groups": updates(
        lambda world: {"groups": []},
        lambda _, run: run["groups"] == [],
        members=lambda world: (list(world.example.people[:2]), []),
    ),
    "publicly_hidden_fields": updates(
        lambda _: {"publicly_hidden_fields": ["comments"]},
        lambda _, run: run["publicly_hidden_fields"] == ["comments"],
    ),
}
_IGNORED = Behaviour(put_tags="ignore", put_folders="ignore")
_HIDDEN = Behaviour(get_archived="404")
CASES: dict[str, Case] = {
    "read": reads(core=True),
    "read with relations": reads(("tags", "folders", "ko_form_fields")),
    "read an archived run": reads(archived=True),
    "read an archived run that is hidden": reads(archived=True, behaviour=_HIDDEN, core=True),
    "archive": brings_about(archive.archive, True, archived=False, core=True),
    "archive, looking first": brings_about(archive.archive, True, archived=False, look_first=True, core=True),
    "archive an archived run": brings_about(archive.archive, True, archived=True),
    "archive an archived run, looking first": brings_about(archive.archive, True, archived=True, look_first=True),
    "archive, answered with nothing": brings_about(
        archive.archive, True, archived=False, behaviour=Behaviour(archive_body="204")
    ),
    "activate": brings_about(archive.activate, False, archived=True, core=True),
    "activate, looking first": brings_about(archive.activate, False, archived=True, look_first=True),
    "activate a live run": brings_about(archive.activate, False, archived=False),
    "delete": Case(
        lambda world: delete.delete(world.org, world.run_id),
        lambda world, run: world.run is None and run["id"] == world.run_id,
        archived=True,
        core=True,
    ),
    **{f"update {name}": case for name, case in FIELD_CASES.items()},
    **TASK_CASES,
    "update tags that the update ignores": updates(
        lambda world: {"tags": world.example.tags[1:2]},
        lambda world, run: run["tags"] == list(world.example.tags[1:2]),
        behaviour=_IGNORED,
        core=True,
    ),
    "update a field that Tallyfy drops": updates(
        lambda _: {}, lambda _, run: run["due_date"] is not None, extra={"due_date": "2026-12-24T09:00:00Z"}
    ),
    "update an archived run": updates(lambda _: {"name": "New"}, lambda _, run: run["name"] == "New", archived=True),
    "launch": launches({"changed", "checked"}, answers={"Amount": "7"}),
    "launch with assignees and tags": launches(
        {"changed", "checked"}, assignees={"Review": ["ann@example.com", "guest@example.org"]}, tags=["Sales"]
    ),
    "launch what was launched before": launches({"already"}),
    "add a tag": Case(
        lambda world: labels.add(world.org, world.run_id, labels.TAGS, world.example.tags[2]),
        lambda world, _: world.example.tags[2] in truth(world)["tags"],
        core=True,
    ),
    "remove a tag": Case(
        lambda world: labels.remove(world.org, world.run_id, labels.TAGS, world.example.tags[0]),
        lambda world, _: truth(world)["tags"] == [],
    ),
    "add to a folder": Case(
        lambda world: labels.add(world.org, world.run_id, labels.FOLDERS, world.example.folders[1]),
        lambda world, _: world.example.folders[1] in truth(world)["folders"],
    ),
    "remove from a folder": Case(
        lambda world: labels.remove(world.org, world.run_id, labels.FOLDERS, world.example.folders[0]),
        lambda world, _: truth(world)["folders"] == [],
        behaviour=Behaviour(with_folders_shape="plain"),
        core=True,
    ),
    **{
        f"titles of {kind.what}s": Case(
            lambda world, kind=kind: titles.read_kind(world.org, kind),  # type: ignore[misc]  # the loop's own
            lambda _, found: isinstance(found, dict),
        )
        for kind in (titles.TAG, titles.TEMPLATE, titles.FOLDER, titles.GROUP, titles.MEMBER)
    },
    "a template with its steps": Case(
        lambda world: templates.find_template(world.org, "template", "Invoice"),
        lambda _, found: (found.title, len(found.kickoff), len(found.steps)) == ("Invoice", 2, 3),
    ),
    "who am I": Case(lambda _: ask(organization.get_me()), lambda _, me: bool(me["id"])),
    "the organization": Case(
        lambda world: ask(organization.get_organization(world.org)), lambda world, found: found["id"] == world.org
    ),
    "the member": Case(lambda world: ask(organization.get_member(world.org)), lambda _, me: bool(me["id"])),
    "any endpoint": Case(
        lambda world: ask(custom.custom("GET", f"/organizations/{world.org}/runs/{world.run_id}")),
        lambda _, __: True,
    ),
}
#: Cases that fail even without a fault.
REFUSED = {"update an archived run", "update a field that Tallyfy drops"}
#: What may be done twice if it is done again, so that somebody has to look first.
FOR_A_PERSON = {"comment on a task"}
CORE = [name for name, case in CASES.items() if case.core]
#: Only these cases are tested with faults that take time or memory.
COSTLY = ("read", "archive", "update name")
QUICK_FAULTS = [planned for planned in ALL_FAULTS.values() if planned.kind not in LATE | LARGE]

TYPICAL_FAULTS = [planned for planned in QUICK_FAULTS if planned.is_typical]


@cache
def methods_of(name: str) -> tuple[str, ...]:
    """Return the methods of a flow's requests without a fault."""
    ending, _ = run_on_both(CASES[name])
    return tuple(request[0] for request in ending.requests)


def pivot(name: str) -> int:
    """Return the index of the most critical request of a flow: the first write, or else the first read."""
    methods = methods_of(name)
    return next((number for number, method in enumerate(methods) if method != "GET"), 0)


#: Errors that Airflow does not retry, by the fault that may cause them. All other faults are temporary.
FINAL: Mapping[str, Callable[[str], bool]] = {
    "status": lambda error: "408" not in error,
    "redirect": lambda error: error.startswith("TallyfyClientError: "),
    "without": lambda error: error.startswith("TallyfyNotAppliedError: "),
    # A false success; and an empty list, which is a valid answer to a search.
    "other_answer": lambda error: error.startswith(
        ("TallyfyNotAppliedError: ", "TallyfyNotFoundError: There is no run")
    ),
    # No page says that anything but a launch needs a seat. Whoever is told so has to make room first.
    "seats_exhausted": lambda error: error.startswith("TallyfyConflictError: "),
    "unreadable_page": lambda error: error.startswith("TallyfyNotAppliedError: "),
    "other_run": lambda error: error.startswith("TallyfyNotAppliedError: "),
    # Only this answer contains the id of the new tag.
    "other_id": lambda error: error.startswith("TallyfyValidationError: PUT "),
}


#: Faults that a repetition fixes, or a read after a write. After a POST the caller must try again.
PASSING = frozenset(
    {"server_error", "error_after", "drop_before", "drop_after", "truncated", "not_json", "two_lengths", "early_hints"}
)


def must_pass(name: str, planned: Planned, at: int) -> bool:
    """Whether a flow must succeed although one of its requests meets the fault."""
    return (
        (planned.kind in PASSING or planned.name == "rate_limited()")
        # Flows that do not repeat a write after an answer about another run end in an error that a retry can fix.
        and planned.name != "not_json(applies=False)"
        and name not in REFUSED
        and methods_of(name)[at] != "POST"
    )


def run_and_judge(name: str, planned: Planned, at: int, times: int | None = 1) -> str:
    """Run a flow with a fault on both engines.

    :return: what is wrong with how it ended, if anything.
    """
    ending, wrong = run_on_both(CASES[name], planned, at, times)
    may_be_final = FINAL.get(planned.kind)
    is_for_a_person = name in FOR_A_PERSON and ending.error.startswith("TallyfyUnrepeatableError: ")
    if (
        ending.final
        and name not in REFUSED
        and not is_for_a_person
        and not (may_be_final and may_be_final(ending.error))
    ):
        wrong += f"a temporary fault ends in a permanent error: {ending.error}"
    if ending.error and times == 1 and must_pass(name, planned, at):
        wrong += f"one fault makes the flow fail: {ending.error}"
    return wrong and f"{planned.name} at request {at}:\n  {wrong}"


def test_every_fault_of_the_sandbox_can_be_made() -> None:
    assert {planned.kind for planned in ALL_FAULTS.values()} == set(FAULTS)
    assert set(ARGUMENTS) <= set(FAULTS)
    for kind in FAULTS:
        names = [planned.name for planned in ALL_FAULTS.values() if planned.kind == kind]
        for parameter in inspect.signature(getattr(Fault, kind)).parameters.values():
            if isinstance(parameter.default, bool):
                assert any(f"{parameter.name}={not parameter.default}" in name for name in names), (kind, parameter)


def test_every_field_of_an_update_has_a_case() -> None:
    assert set(FIELD_CASES) == set(FIELDS)


@pytest.mark.parametrize("name", CASES)
def test_both_engines_do_the_same_without_a_fault(name: str) -> None:
    ending, wrong = run_on_both(CASES[name])
    assert not wrong, wrong
    assert bool(ending.error) is (name in REFUSED), ending.error
    assert ending.waits == []


@pytest.mark.parametrize("name", CASES)
def test_one_fault_has_the_same_end_on_both_engines(name: str) -> None:
    faults = [planned for planned in QUICK_FAULTS if CASES[name].core or planned.is_typical]
    wrong = [run_and_judge(name, planned, pivot(name)) for planned in faults]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("name", CORE)
def test_fault_at_any_request_has_the_same_end_on_both_engines(name: str) -> None:
    places = [number for number in range(len(methods_of(name))) if number != pivot(name)]
    wrong = [run_and_judge(name, planned, at) for planned in TYPICAL_FAULTS for at in places]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("name", CORE)
def test_permanent_fault_has_the_same_end_on_both_engines(name: str) -> None:
    wrong = [run_and_judge(name, planned, pivot(name), times=None) for planned in TYPICAL_FAULTS]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("fault", [name for name, planned in ALL_FAULTS.items() if planned.kind in LATE | LARGE])
@pytest.mark.parametrize("name", COSTLY)
def test_late_or_huge_answer_has_the_same_end_on_both_engines(name: str, fault: str) -> None:
    wrong = run_and_judge(name, ALL_FAULTS[fault], pivot(name))
    assert not wrong, wrong


@pytest.mark.parametrize("fault", [name for name, planned in ALL_FAULTS.items() if planned.kind in LATE])
def test_late_answers_without_retries_have_the_same_end_on_both_engines(fault: str) -> None:
    wrong = run_and_judge("read", ALL_FAULTS[fault], pivot("read"), times=None)
    assert not wrong, wrong
