"""One flow, two engines: with every fault, both end alike, and neither claims what is not so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import pytest

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import custom, organization
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs import archive, delete, labels, launch, read, update
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.fields import FIELDS
from airflow_provider_tallyfy.api.runs.launch_arguments import Launch
from airflow_provider_tallyfy.api.runs.launch_key import LaunchKey, TaskIdentity, key_of
from airflow_provider_tallyfy.sandbox import Behaviour, Fault
from airflow_provider_tallyfy.sandbox.faults import FAULTS
from tests.contract._both_engines import ALL_FAULTS, ARGUMENTS, LARGE, LATE, Case, Planned, World, run_on_both
from tests.contract._office import AMOUNT


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
            # A field that Tallyfy need not show: the outcome says so.
            and (shown(world, truth(world)) or "could not be checked" in outcome.note)
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


FIELD_CASES = {
    "name": updates(lambda _: {"name": "New"}, lambda _, run: run["name"] == "New", core=True),
    "summary": updates(lambda _: {"summary": ""}, lambda _, run: run["summary"] == ""),
    "owner_id": updates(
        lambda world: {"owner_id": world.office.people[1]}, lambda world, run: run["owner_id"] == world.office.people[1]
    ),
    "tags": updates(
        lambda world: {"tags": world.office.tags[1:2]}, lambda world, run: run["tags"] == list(world.office.tags[1:2])
    ),
    "add_tags": updates(
        lambda _: {"add_tags": ["Sales", "Brand new"]},
        lambda world, run: [titled(world, tag) for tag in run["tags"]] == ["Urgent", "Sales", "Brand new"],
        core=True,
    ),
    "remove_tags": updates(lambda _: {"remove_tags": ["Urgent"]}, lambda _, run: run["tags"] == []),
    "folders": updates(
        lambda world: {"folders": world.office.folders[1:]},
        lambda world, run: run["folders"] == list(world.office.folders[1:]),
    ),
    "prerun": updates(lambda _: {"prerun": {AMOUNT: "200"}}, lambda _, run: run["prerun"][AMOUNT] == "200"),
    "starred": updates(lambda _: {"starred": True}, lambda _, run: run["starred"] is True),
    "is_public": updates(lambda _: {"is_public": "true"}, lambda _, run: run["is_public"] is True),
    "users": updates(
        lambda world: {"users": world.office.people[1:]},
        lambda world, run: run["users"] == list(world.office.people[1:]),
        members=lambda world: (list(world.office.people[1:]), [world.office.groups[0]]),
    ),
    "groups": updates(
        lambda world: {"groups": []},
        lambda _, run: run["groups"] == [],
        members=lambda world: (list(world.office.people[:2]), []),
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
    "update tags that the update ignores": updates(
        lambda world: {"tags": world.office.tags[1:2]},
        lambda world, run: run["tags"] == list(world.office.tags[1:2]),
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
        lambda world: labels.add(world.org, world.run_id, labels.TAGS, world.office.tags[2]),
        lambda world, _: world.office.tags[2] in truth(world)["tags"],
        core=True,
    ),
    "remove a tag": Case(
        lambda world: labels.remove(world.org, world.run_id, labels.TAGS, world.office.tags[0]),
        lambda world, _: truth(world)["tags"] == [],
    ),
    "add to a folder": Case(
        lambda world: labels.add(world.org, world.run_id, labels.FOLDERS, world.office.folders[1]),
        lambda world, _: world.office.folders[1] in truth(world)["folders"],
    ),
    "remove from a folder": Case(
        lambda world: labels.remove(world.org, world.run_id, labels.FOLDERS, world.office.folders[0]),
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
#: What must fail even without a fault.
REFUSED = {"update an archived run", "update a field that Tallyfy drops"}
CORE = [name for name, case in CASES.items() if case.core]
#: Faults that take time or memory meet these alone.
COSTLY = ("read", "archive", "update name")
QUICK_FAULTS = [planned for planned in ALL_FAULTS.values() if planned.kind not in LATE | LARGE]

TYPICAL_FAULTS = [planned for planned in QUICK_FAULTS if planned.is_typical]


@cache
def methods_of(name: str) -> tuple[str, ...]:
    """The methods of a flow's requests, without a fault."""
    ending, _ = run_on_both(CASES[name])
    return tuple(request[0] for request in ending.requests)


def pivot(name: str) -> int:
    """The request of a flow that a fault hurts most: the first write, else the first read."""
    methods = methods_of(name)
    return next((number for number, method in enumerate(methods) if method != "GET"), 0)


#: Errors that Airflow does not retry, by the fault that may end in them. Any other fault is a passing one.
FINAL: Mapping[str, Callable[[str], bool]] = {
    "status": lambda error: "408" not in error,
    "redirect": lambda error: error.startswith("TallyfyClientError: "),
    "without": lambda error: error.startswith("TallyfyNotAppliedError: "),
    # A yes that was none; and an empty list, which is an honest answer to the question for one.
    "other_answer": lambda error: error.startswith(
        ("TallyfyNotAppliedError: ", "TallyfyNotFoundError: There is no run")
    ),
    "unreadable_page": lambda error: error.startswith("TallyfyNotAppliedError: "),
    "other_run": lambda error: error.startswith("TallyfyNotAppliedError: "),
    # The id of a new tag is only known from this answer.
    "other_id": lambda error: error.startswith("TallyfyValidationError: PUT "),
}


#: Faults that a repetition, or a read after a write, gets over. After a POST, the caller's next try does.
PASSING = frozenset(
    {"server_error", "error_after", "drop_before", "drop_after", "truncated", "not_json", "two_lengths", "early_hints"}
)


def must_pass(name: str, planned: Planned, at: int) -> bool:
    """Whether one such fault must not keep a flow from its end."""
    return (
        (planned.kind in PASSING or planned.name == "rate_limited()")
        # Flows that do not repeat a write after somebody else's answer end in an error that a retry can fix.
        and planned.name != "not_json(applies=False)"
        and name not in REFUSED
        and methods_of(name)[at] != "POST"
    )


def run_and_judge(name: str, planned: Planned, at: int, times: int | None = 1) -> str:
    """Let a flow meet a fault on both engines.

    :return: what is wrong with how it ended, if anything.
    """
    ending, wrong = run_on_both(CASES[name], planned, at, times)
    may_be_final = FINAL.get(planned.kind)
    if ending.final and name not in REFUSED and not (may_be_final and may_be_final(ending.error)):
        wrong += f"a passing fault ends for good: {ending.error}"
    if ending.error and times == 1 and must_pass(name, planned, at):
        wrong += f"one fault is too much: {ending.error}"
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
def test_without_a_fault_both_engines_do_the_same(name: str) -> None:
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
def test_lasting_fault_has_the_same_end_on_both_engines(name: str) -> None:
    wrong = [run_and_judge(name, planned, pivot(name), times=None) for planned in TYPICAL_FAULTS]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("fault", [name for name, planned in ALL_FAULTS.items() if planned.kind in LATE | LARGE])
@pytest.mark.parametrize("name", COSTLY)
def test_late_or_huge_answer_has_the_same_end_on_both_engines(name: str, fault: str) -> None:
    wrong = run_and_judge(name, ALL_FAULTS[fault], pivot(name))
    assert not wrong, wrong


@pytest.mark.parametrize("fault", [name for name, planned in ALL_FAULTS.items() if planned.kind in LATE])
def test_late_answers_without_a_repetition_have_the_same_end_on_both_engines(fault: str) -> None:
    wrong = run_and_judge("read", ALL_FAULTS[fault], pivot("read"), times=None)
    assert not wrong, wrong
