"""Update: requested values are set, other values stay, and the error for an ignored field names it.

The sandbox removes members and groups that a PUT leaves out, as measured on production on 2026-07-21.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyApiError,
    TallyfyArchivedError,
    TallyfyArgumentError,
    TallyfyNotAppliedError,
    TallyfyNotFoundError,
    TallyfyRateLimitedError,
    TallyfyServerError,
    TallyfyUnreachableError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._example_organization import AMOUNT, NOTE, UNKNOWN, Example, bodies, methods, truth

_FIELDS: dict[str, Callable[[Example], tuple[dict[str, Any], dict[str, Any]]]] = {
    "name": lambda o: ({"name": "Invoice 7 (paid)"}, {"name": "Invoice 7 (paid)"}),
    "longest name": lambda o: ({"name": "x" * 550}, {"name": "x" * 550}),
    "summary": lambda o: ({"summary": "Paid\nin full"}, {"summary": "Paid\nin full"}),
    "summary cleared": lambda o: ({"summary": ""}, {"summary": ""}),
    "owner_id": lambda o: ({"owner_id": o.people[1]}, {"owner_id": o.people[1]}),
    "owner_id as digits": lambda o: ({"owner_id": str(o.people[1])}, {"owner_id": o.people[1]}),
    "starred": lambda o: ({"starred": True}, {"starred": True}),
    "is_public from a template": lambda o: ({"is_public": "True"}, {"is_public": True}),
    "users": lambda o: ({"users": [o.people[2]]}, {"users": [o.people[2]]}),
    "users cleared": lambda o: ({"users": []}, {"users": []}),
    "groups": lambda o: ({"groups": list(o.groups)}, {"groups": list(o.groups)}),
    "groups cleared": lambda o: ({"groups": []}, {"groups": []}),
    "tags": lambda o: ({"tags": o.tags[1:]}, {"tags": list(o.tags[1:])}),
    "tags cleared": lambda o: ({"tags": []}, {"tags": []}),
    "folders": lambda o: ({"folders": o.folders[1:]}, {"folders": list(o.folders[1:])}),
    "folders cleared": lambda o: ({"folders": []}, {"folders": []}),
    "prerun": lambda o: ({"prerun": {AMOUNT: "250"}}, {"prerun": {AMOUNT: "250", NOTE: "by post"}}),
    "prerun as a list": lambda o: (
        {"prerun": [{AMOUNT: "1"}, {"id": NOTE, "value": "2"}]},
        {"prerun": {AMOUNT: "1", NOTE: "2"}},
    ),
    "prerun cleared": lambda o: ({"prerun": {NOTE: ""}}, {"prerun": {AMOUNT: "100", NOTE: ""}}),
    "publicly_hidden_fields": lambda o: (
        {"publicly_hidden_fields": ["comments"]},
        {"publicly_hidden_fields": ["comments"]},
    ),
    "several": lambda o: (
        {"name": "All", "summary": "new", "owner_id": o.people[2], "tags": o.tags[:2], "prerun": {AMOUNT: "9"}},
        {
            "name": "All",
            "summary": "new",
            "owner_id": o.people[2],
            "tags": list(o.tags[:2]),
            "prerun": {AMOUNT: "9", NOTE: "by post"},
        },
    ),
}


@pytest.mark.parametrize("case", _FIELDS.values(), ids=_FIELDS)
def test_sets_every_given_field_and_no_other(
    sandbox: Sandbox,
    hook: TallyfyHook,
    example: Example,
    case: Callable[[Example], tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    changes, wanted = case(example)
    before = truth(sandbox, example.run_id)
    outcome = hook.update_run_outcome(example.run_id, **changes)
    after = truth(sandbox, example.run_id)
    assert (outcome.how, outcome.run["id"]) == ("changed", example.run_id)
    assert after == {**before, **wanted, "last_updated": after["last_updated"]}
    assert bodies(sandbox)[0].keys() == {*changes, "users", "groups"}


@pytest.mark.parametrize("shape", ["ints", "objects", "wrapped"])
def test_members_and_groups_survive_a_rename(sandbox: Sandbox, hook: TallyfyHook, example: Example, shape: Any) -> None:
    sandbox.behaviour = Behaviour(users_shape=shape)
    hook.update_run(example.run_id, name="Renamed")
    run = truth(sandbox, example.run_id)
    assert (run["name"], run["users"], run["groups"]) == ("Renamed", list(example.people[:2]), [example.groups[0]])
    assert sandbox.calls == [f"GET /runs/{example.run_id}", f"PUT /runs/{example.run_id}"]
    assert bodies(sandbox) == [
        {"name": "Renamed", "users": list(example.people[:2]), "groups": [example.groups[0]]},
    ]


@pytest.mark.parametrize("users", ["gone", 7, [None], {"data": 7}], ids=repr)
def test_update_is_refused_if_tallyfy_does_not_show_the_members(
    sandbox: Sandbox, hook: TallyfyHook, example: Example, users: Any
) -> None:
    shown = {"id": example.run_id, "name": "Invoice 7", "archived_at": None, "users": users, "groups": []}
    if users == "gone":
        del shown["users"]
    sandbox.fail("GET", "/runs/*", Fault.status(200, {"data": shown}))
    with pytest.raises(TallyfyNotAppliedError, match="was not changed: Tallyfy does not show its users") as caught:
        hook.update_run(example.run_id, name="Renamed")
    assert isinstance(caught.value, AirflowFailException)
    assert caught.value.errors == {"users": ["not shown by Tallyfy"]}
    assert methods(sandbox) == ["GET"]
    # An update that sets the members does not need to read them.
    hook.update_run(example.run_id, name="Renamed", users=[example.people[2]], groups=[])
    assert truth(sandbox, example.run_id)["users"] == [example.people[2]]


class TestNothingToDo:
    @pytest.mark.parametrize("shape", ["ints", "objects"])
    def test_run_that_has_every_value_is_not_written(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, shape: Any
    ) -> None:
        sandbox.behaviour = Behaviour(users_shape=shape, owner_id_type="str")
        outcome = hook.update_run_outcome(
            example.run_id,
            name="Invoice 7",
            owner_id=example.people[0],
            users=[str(person) for person in reversed(example.people[:2])],
            tags=example.tags[:1],
            folders=example.folders[:1],
            prerun={AMOUNT: 100},
            is_public=False,
        )
        assert (outcome.how, outcome.note) == ("already", "it already had every wanted value")
        assert sandbox.calls == [f"GET /runs/{example.run_id}?with=tags%2Cfolders"]

    def test_update_without_fields_is_an_error_that_lists_them(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=r"nothing to update: give at least one of name, .*prerun"):
            hook.update_run(example.run_id, name=None, tags=None)
        assert sandbox.calls == []


class TestWhatTallyfyIgnores:
    def test_kick_off_answer_under_an_unknown_key(self, sandbox: Sandbox, hook: TallyfyHook, example: Example) -> None:
        with pytest.raises(TallyfyNotAppliedError) as caught:
            hook.update_run(example.run_id, prerun={AMOUNT: "5", "Note": "by mail", UNKNOWN: "x"})
        assert "answered 200, but Tallyfy did not apply every field" in str(caught.value)
        assert [text.split(" (")[0] for text in caught.value.errors["prerun"]] == [
            "the answer to Note was not stored",
            f"the answer to {UNKNOWN} was not stored",
        ]
        assert "Tallyfy silently drops labels and aliases" in str(caught.value)
        assert isinstance(caught.value, AirflowFailException)
        assert truth(sandbox, example.run_id)["prerun"] == {AMOUNT: "5", NOTE: "by post"}

    @pytest.mark.parametrize("empty", ["object", "list"])
    def test_kick_off_answer_to_a_run_without_fields(self, sandbox: Sandbox, hook: TallyfyHook, empty: Any) -> None:
        sandbox.behaviour = Behaviour(prerun_empty=empty)
        run_id = sandbox.add_run()
        with pytest.raises(TallyfyNotAppliedError, match=f"the answer to {AMOUNT} was not stored"):
            hook.update_run(run_id, prerun={AMOUNT: "5"})
        # An answer that should be empty is empty, whether it is shown or not.
        assert hook.update_run_outcome(run_id, prerun={AMOUNT: ""}).how == "already"

    def test_value_that_stays_as_it_was(self, sandbox: Sandbox, hook: TallyfyHook, example: Example) -> None:
        run = {**truth(sandbox, example.run_id), "users": [], "groups": []}
        sandbox.fail("*", "/runs/*", Fault.status(200, {"data": run}), times=None)
        with pytest.raises(TallyfyNotAppliedError) as caught:
            hook.update_run(example.run_id, name="New", owner_id=example.people[2])
        assert caught.value.errors == {
            "name": ["is 'Invoice 7', but should be 'New'"],
            "owner_id": [f"is {example.people[0]}, but should be {example.people[2]}"],
        }
        assert "\n  name: is 'Invoice 7', but should be 'New'\n  owner_id: " in str(caught.value)
        assert methods(sandbox) == ["GET", "PUT", "GET"]

    def test_extra_field(self, sandbox: Sandbox, hook: TallyfyHook, example: Example) -> None:
        hook.update_run(example.run_id, extra_fields={"due_date": None})
        with pytest.raises(
            TallyfyNotAppliedError, match="is not shown in the run, so it is unknown whether it was set"
        ) as caught:
            hook.update_run(example.run_id, extra_fields={"priority": "high"})
        assert list(caught.value.errors) == ["priority"]
        assert bodies(sandbox)[-1] == {
            "priority": "high",
            "users": list(example.people[:2]),
            "groups": [example.groups[0]],
        }
        with pytest.raises(TallyfyArgumentError, match="extra_fields contains name: use the argument of that name"):
            hook.update_run(example.run_id, extra_fields={"name": "x"})


@pytest.mark.parametrize("put", ["422", "404"])
@pytest.mark.parametrize("get", ["200", "404"])
class TestArchivedRun:
    def test_points_to_activate(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, put: Any, get: Any
    ) -> None:
        sandbox.behaviour = Behaviour(put_archived=put, get_archived=get)
        sandbox.archive(example.run_id)
        with pytest.raises(TallyfyArchivedError) as caught:
            hook.update_run(example.run_id, name="New")
        assert f"The run 'Invoice 7' ({example.run_id}) is archived since 20" in str(caught.value)
        assert "Activate it first" in str(caught.value)
        assert isinstance(caught.value, AirflowFailException)
        assert set(methods(sandbox)) == {"GET"}

    def test_run_archived_between_read_and_write(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, put: Any, get: Any
    ) -> None:
        sandbox.behaviour = Behaviour(put_archived=put, get_archived=get)
        sandbox.when("PUT", "/runs/*", lambda: sandbox.archive(example.run_id))
        with pytest.raises(TallyfyArchivedError, match="Activate it first"):
            hook.update_run(example.run_id, name="New")
        assert truth(sandbox, example.run_id)["name"] == "Invoice 7"


_AGAIN = "the request was repeated after a lost answer; the answer shows every wanted value"
_FAULTS: dict[str, tuple[Fault, list[str], str]] = {
    "lost before": (Fault.drop_before(), ["GET", "PUT", "PUT"], _AGAIN),
    "lost after": (Fault.drop_after(), ["GET", "PUT", "PUT"], _AGAIN),
    "cut off": (Fault.truncated(), ["GET", "PUT", "PUT"], _AGAIN),
    "error after acting": (
        Fault.error_after(500, leak=True),
        ["GET", "PUT", "PUT"],
        _AGAIN.replace("a lost answer", "a 500"),
    ),
    "error, then well": (
        Fault.server_error(),
        ["GET", "PUT", "PUT"],
        _AGAIN.replace("a lost answer", "a 503"),
    ),
    "not JSON": (
        Fault.not_json(),
        ["GET", "PUT", "GET"],
        "the answer did not match the request; a read shows every wanted value",
    ),
    "no object": (Fault.unreadable_page(), ["GET", "PUT", "GET"], "a read shows every wanted value"),
    "429": (Fault.rate_limited("3"), ["GET", "PUT", "PUT"], ""),
}


@pytest.mark.parametrize(("fault", "sent", "note"), _FAULTS.values(), ids=_FAULTS)
def test_one_fault_is_survived(
    sandbox: Sandbox, hook: TallyfyHook, example: Example, fault: Fault, sent: list[str], note: str
) -> None:
    sandbox.fail("PUT", "/runs/*", fault)
    outcome = hook.update_run_outcome(example.run_id, name="New", prerun={AMOUNT: "7"})
    run = truth(sandbox, example.run_id)
    assert (outcome.how in {"changed", "checked"}, outcome.note, outcome.run["name"]) == (True, note, "New")
    assert (run["name"], run["prerun"][AMOUNT], run["users"]) == ("New", "7", list(example.people[:2]))
    assert methods(sandbox) == sent


def test_lost_answers_are_settled_by_reading(sandbox: Sandbox, hook: TallyfyHook, example: Example) -> None:
    sandbox.fail("PUT", "/runs/*", Fault.drop_after(), times=None)
    outcome = hook.update_run_outcome(example.run_id, name="New")
    assert (outcome.how, outcome.note) == (
        "checked",
        "the answer was lost; a read shows every wanted value",
    )
    assert methods(sandbox) == ["GET", "PUT", "PUT", "PUT", "PUT", "GET"]


_HOPELESS: dict[str, tuple[Fault, type[TallyfyApiError], int | None]] = {
    "lost": (Fault.drop_before(), TallyfyUnreachableError, None),
    "503": (Fault.server_error(503), TallyfyServerError, 503),
    "429": (Fault.rate_limited("4000"), TallyfyRateLimitedError, 429),
}


@pytest.mark.parametrize(("fault", "kind", "status"), _HOPELESS.values(), ids=_HOPELESS)
def test_update_that_never_arrives_can_be_retried(
    sandbox: Sandbox, hook: TallyfyHook, example: Example, fault: Fault, kind: type[TallyfyApiError], status: int | None
) -> None:
    sandbox.fail("PUT", "/runs/*", fault, times=None)
    with pytest.raises(kind) as caught:
        hook.update_run(example.run_id, name="New")
    assert (caught.value.http_status, caught.value.method) == (status, "PUT")
    assert not isinstance(caught.value, AirflowFailException)
    assert truth(sandbox, example.run_id)["name"] == "Invoice 7"


class TestRefusals:
    @pytest.mark.parametrize("status", ["422", "400"])
    def test_value_that_tallyfy_does_not_accept(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, status: Any
    ) -> None:
        sandbox.behaviour = Behaviour(validation_status=status)
        with pytest.raises(TallyfyValidationError) as caught:
            hook.update_run(example.run_id, owner_id=424242)
        assert caught.value.http_status == int(status)
        assert caught.value.errors == {"owner_id": ["The selected owner id is not a member of this organization."]}
        assert "\n  owner_id: The selected owner id is not a member" in str(caught.value)
        assert isinstance(caught.value, AirflowFailException)

    def test_unknown_run(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyNotFoundError, match=f"no run {UNKNOWN}, neither live nor archived"):
            hook.update_run(UNKNOWN, name="x")
        assert set(methods(sandbox)) == {"GET"}

    def test_run_that_was_deleted_meanwhile(self, sandbox: Sandbox, hook: TallyfyHook, example: Example) -> None:
        gone = Fault.status(404, {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"})
        sandbox.fail("*", "/runs/*", gone, times=None, after=1)
        with pytest.raises(TallyfyNotFoundError) as caught:
            hook.update_run(example.run_id, name="x")
        assert caught.value.http_status == 404

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"name": "x" * 551}, "name has 551 characters; Tallyfy allows 550"),
            ({"owner_id": "ann@example.com"}, "owner_id='ann@example.com' is not a Tallyfy user id"),
            ({"tags": "Urgent"}, "tags='Urgent' is not a list"),
            ({"prerun": "Amount=5"}, "prerun='Amount=5' does not have a known format"),
            ({"extra_fields": {"when": object()}}, "which can't be sent as JSON"),
        ],
    )
    def test_bad_value_is_never_sent(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, changes: Mapping[str, Any], says: str
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=says):
            hook.update_run(example.run_id, **changes)
        assert "PUT" not in methods(sandbox)


def test_field_that_no_run_shows_is_taken_on_tallyfys_word(
    sandbox: Sandbox, hook: TallyfyHook, example: Example
) -> None:
    outcome = hook.update_run_outcome(example.run_id, publicly_hidden_fields=["comments"])
    assert outcome.note == "Tallyfy does not show publicly_hidden_fields, so this could not be verified"
    # Without a success answer, nothing shows that it was done.
    sandbox.fail("PUT", "/runs/*", Fault.drop_after(), times=None)
    with pytest.raises(TallyfyUnreachableError):
        hook.update_run(example.run_id, publicly_hidden_fields=[])


def test_update_works_if_the_server_keeps_members(sandbox: Sandbox, hook: TallyfyHook, example: Example) -> None:
    sandbox.behaviour = dataclasses.replace(sandbox.behaviour, put_without_members="keeps")
    hook.update_run(example.run_id, name="New", users=[])
    run = truth(sandbox, example.run_id)
    assert (run["users"], run["groups"]) == ([], [example.groups[0]])
