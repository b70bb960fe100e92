"""An answer counts only if it comes from Tallyfy and is about the requested run.

After any other answer, a read is repeated and then ends in an error that asks about the host. A write is checked by
reading, and sent again only if it was not carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyApiError,
    TallyfyArgumentError,
    TallyfyError,
    TallyfyIndeterminateError,
    TallyfyNotAppliedError,
    TallyfyServerError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._example_organization import AMOUNT, NOTE, Example, bodies, methods, truth

Connect = Callable[..., TallyfyHook]

#: Answers that say nothing about the requested run, to writes that were carried out and to writes that were not.
NOT_AN_ANSWER: dict[str, Callable[[bool], Fault]] = {
    "a web page": lambda applies: Fault.not_json(applies=applies),
    "text": lambda applies: Fault.not_json(html=False, applies=applies),
    "an object without an id": lambda applies: Fault.other_answer({"status": "ok"}, applies=applies),
    "an error with 200": lambda applies: Fault.other_answer({"error": True}, applies=applies),
    "another run": lambda applies: Fault.other_answer(
        {"data": {"id": "f" * 32, "name": "Other", "archived_at": "2026-01-01T00:00:00Z", "users": [7], "groups": []}},
        applies=applies,
    ),
    "an empty object": lambda applies: Fault.other_answer({}, applies=applies),
    "null": lambda applies: Fault.other_answer(None, applies=applies),
}
ACTS: dict[str, tuple[Callable[[TallyfyHook, str], Any], bool, str]] = {
    "archive": (TallyfyHook.archive_run, False, "DELETE"),
    "activate": (TallyfyHook.activate_run, True, "PUT"),
    "update": (lambda hook, run_id: hook.update_run(run_id, name="New"), False, "PUT"),
}


def _with(field: str, value: Any) -> dict[str, Any]:
    return {field: value}


def done(sandbox: Sandbox, run_id: str, act: str) -> bool:
    run = truth(sandbox, run_id)
    return bool(
        {"archive": run["is_archived"], "activate": not run["is_archived"], "update": run["name"] == "New"}[act]
    )


@pytest.mark.parametrize("answer", NOT_AN_ANSWER)
@pytest.mark.parametrize("act", ACTS)
class TestUnusableAnswerToAWrite:
    @pytest.fixture
    def run_id(self, sandbox: Sandbox, act: str) -> str:
        sandbox.add_run("Other one")
        return sandbox.add_run("Old", users=[sandbox.add_member("ann@example.com")], archived=ACTS[act][1])

    def test_write_that_was_carried_out_is_found_by_reading(
        self, sandbox: Sandbox, hook: TallyfyHook, act: str, answer: str, run_id: str
    ) -> None:
        do, _, verb = ACTS[act]
        sandbox.fail(verb, "/runs/*", NOT_AN_ANSWER[answer](True))
        assert do(hook, run_id)["id"] == run_id
        assert done(sandbox, run_id, act)
        assert methods(sandbox)[-2:] == [verb, "GET"]
        assert methods(sandbox).count(verb) == 1

    def test_write_that_was_not_carried_out_is_sent_again(
        self, sandbox: Sandbox, hook: TallyfyHook, act: str, answer: str, run_id: str
    ) -> None:
        do, _, verb = ACTS[act]
        sandbox.fail(verb, "/runs/*", NOT_AN_ANSWER[answer](False))
        if answer in {
            "an empty object",
            "null",
        }:  # a success without the run: the next try of the task repeats the write
            with pytest.raises(TallyfyApiError) as caught:
                do(hook, run_id)
            assert isinstance(caught.value, TallyfyNotAppliedError if act == "update" else TallyfyServerError)
            return
        assert do(hook, run_id)["id"] == run_id
        assert done(sandbox, run_id, act)
        # A read between the two writes makes sure that nothing is done twice.
        assert methods(sandbox)[-3:] == [verb, "GET", verb]
        assert len(truth(sandbox, run_id)["users"]) == 1

    def test_write_that_is_never_carried_out_can_be_retried(
        self, sandbox: Sandbox, hook: TallyfyHook, act: str, answer: str, run_id: str
    ) -> None:
        do, _, verb = ACTS[act]
        sandbox.fail(verb, "/runs/*", NOT_AN_ANSWER[answer](False), times=None)
        with pytest.raises(TallyfyApiError) as caught:
            do(hook, run_id)
        assert not done(sandbox, run_id, act)
        if answer in {"an empty object", "null"}:
            return
        assert isinstance(caught.value, TallyfyServerError)
        assert not isinstance(caught.value, AirflowFailException)
        assert "Is the connection's host the API base URL" in str(caught.value)
        assert methods(sandbox).count(verb) == 4


READS: dict[str, Callable[[TallyfyHook, str], Any]] = {
    "get_run": TallyfyHook.get_run,
    "get_current_user": lambda hook, _: hook.get_current_user(),
    "get_organization": lambda hook, _: hook.get_organization(),
    "get_member": lambda hook, _: hook.get_member(),
    "iter_runs": lambda hook, _: list(hook.iter_runs()),
    "find_runs": lambda hook, _: hook.find_runs(),
    "update_run": lambda hook, run_id: hook.update_run(run_id, name="New"),
    "archive, looking first": lambda hook, run_id: hook.archive_run_outcome(run_id, look_first=True),
    "delete_run": lambda hook, run_id: hook.delete_run(run_id, confirm=True),
    "add_tag_to_run": lambda hook, run_id: hook.add_tag_to_run(run_id, "a" * 32),
    "remove_run_from_folder": lambda hook, run_id: hook.remove_run_from_folder(run_id, "a" * 32),
    "update_run, by a tag's title": lambda hook, run_id: hook.update_run(run_id, add_tags=["Urgent"]),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("answer", NOT_AN_ANSWER)
def test_read_is_repeated_and_then_asks_about_the_host(
    sandbox: Sandbox, hook: TallyfyHook, read: str, answer: str
) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("GET", "*", NOT_AN_ANSWER[answer](True), times=None)
    if read in {"get_current_user", "get_member"} and answer == "another run":
        return  # the test does not know the id of the token's user
    with pytest.raises(TallyfyServerError, match="Is the connection's host the API base URL") as caught:
        READS[read](hook, run_id)
    # After a failed read, nothing is unclear and nothing was written.
    assert not isinstance(caught.value, (TallyfyIndeterminateError, AirflowFailException))
    assert "may or may not" not in str(caught.value)
    assert methods(sandbox) == ["GET"] * 4
    sandbox.forget_faults()
    sandbox.fail("GET", "*", NOT_AN_ANSWER[answer](True))
    if read in {"get_run", "iter_runs", "get_organization"}:
        assert READS[read](hook, run_id)


@pytest.mark.parametrize("answer", [name for name in NOT_AN_ANSWER if name != "another run"])
def test_connection_test_fails_for_a_host_that_is_not_the_api(sandbox: Sandbox, hook: TallyfyHook, answer: str) -> None:
    sandbox.fail("GET", "*", NOT_AN_ANSWER[answer](True), times=None)
    ok, text = hook.test_connection()
    assert not ok
    assert "Is the connection's host the API base URL" in text
    assert sandbox.token not in text


def test_connection_test_fails_for_another_organization(sandbox: Sandbox, hook: TallyfyHook) -> None:
    other = Fault.other_answer({"data": {"id": "e" * 32, "name": "Somebody else"}})
    sandbox.fail("GET", "*", other, times=None, after=1)
    ok, text = hook.test_connection()
    assert not ok, text


def test_members_of_another_run_are_never_written_to_this_one(sandbox: Sandbox, hook: TallyfyHook) -> None:
    ann, ben = sandbox.add_member("ann@example.com"), sandbox.add_member("ben@example.com")
    other = sandbox.add_run("Other", users=[ben])
    run_id = sandbox.add_run("Mine", users=[ann])
    sandbox.fail("GET", f"/runs/{run_id}", Fault.other_run(other))
    hook.update_run(run_id, name="New")
    assert truth(sandbox, run_id)["users"] == [ann]
    assert bodies(sandbox) == [{"name": "New", "users": [ann], "groups": []}]


def test_one_unreadable_answer_fails_one_run(sandbox: Sandbox, hook: TallyfyHook) -> None:
    run_ids = [sandbox.add_run(f"Run {n}") for n in range(6)]
    sandbox.fail("GET", f"/runs/{run_ids[2]}", Fault.other_answer({"error": True}), times=None)
    report = hook.update_runs(run_ids, {"summary": "Checked"})
    assert report.counts["failed"] == 1
    assert "Is the connection's host" in report.entries[run_ids[2]].reason
    assert [truth(sandbox, run_id)["summary"] == "Checked" for run_id in run_ids].count(True) == 5


@pytest.mark.parametrize("answer", [name for name in NOT_AN_ANSWER if name not in {"an empty object", "null"}])
@pytest.mark.parametrize("archived", [False, True], ids=["archive", "activate"])
def test_bulk_write_that_was_not_carried_out_is_sent_again_after_reading(
    sandbox: Sandbox, hook: TallyfyHook, answer: str, archived: bool
) -> None:
    run_ids = [sandbox.add_run(f"Run {n}", archived=archived) for n in range(6)]
    verb = "PUT" if archived else "DELETE"
    path = f"/runs/{run_ids[2]}" + ("/activate" if archived else "")
    sandbox.fail(verb, path, NOT_AN_ANSWER[answer](False))
    report = hook.activate_runs(run_ids) if archived else hook.archive_runs(run_ids)
    assert report.counts["changed"] == 6, report.summary()
    assert [truth(sandbox, run_id)["is_archived"] for run_id in run_ids] == [not archived] * 6
    assert sandbox.calls.count(f"{verb} {path}") == 2
    sandbox.fail(verb, path, NOT_AN_ANSWER[answer](False), times=None)
    report = hook.archive_runs(run_ids) if archived else hook.activate_runs(run_ids)
    sandbox.forget_requests()
    report = hook.activate_runs(run_ids) if archived else hook.archive_runs(run_ids)
    assert (report.counts["changed"], report.counts["failed"], report.retryable()) == (5, 1, True)
    assert sandbox.calls.count(f"{verb} {path}") == 2


class TestUnknownState:
    """No success is reported if no answer shows the state of the run."""

    @pytest.fixture(autouse=True)
    def _hidden(self, sandbox: Sandbox) -> None:
        sandbox.behaviour = Behaviour(run_state="hidden")

    @pytest.mark.parametrize("archived", [True, False])
    def test_archive_and_activate_report_no_success(self, sandbox: Sandbox, hook: TallyfyHook, archived: bool) -> None:
        run_id = sandbox.add_run(archived=archived)
        for act in (hook.archive_run_outcome, hook.activate_run_outcome):
            for look_first in (True, False):
                with pytest.raises(TallyfyApiError, match="whether it is archived") as caught:
                    act(run_id, look_first=look_first)
                assert not isinstance(caught.value, AirflowFailException)

    def test_delete_refuses(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        for archived in (True, False):
            run_id = sandbox.add_run(archived=archived)
            with pytest.raises(TallyfyServerError, match="it is unknown whether it is archived"):
                hook.delete_run(run_id, confirm=True)
            assert sandbox.run(run_id)
        assert set(methods(sandbox)) == {"GET"}


class TestListThatIgnoresTheFilter:
    """``archived=only`` returns live runs as well, and the run can't be read by its id."""

    @pytest.fixture
    def live(self, sandbox: Sandbox) -> str:
        sandbox.behaviour = Behaviour(archived_filter="ignored")
        run_id = sandbox.add_run("Live")
        gone = Fault.status(404, {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"})
        sandbox.fail("GET", f"/runs/{run_id}", gone, times=None)
        return run_id

    def test_live_run_is_not_deleted(self, sandbox: Sandbox, hook: TallyfyHook, live: str) -> None:
        with pytest.raises((TallyfyValidationError, TallyfyApiError)):
            hook.delete_run(live, confirm=True)
        assert "DELETE" not in methods(sandbox)

    def test_live_run_is_not_taken_for_archived(self, sandbox: Sandbox, hook: TallyfyHook, live: str) -> None:
        sandbox.fail("DELETE", "*", Fault.drop_before(), times=None)
        with pytest.raises(TallyfyApiError) as caught:
            hook.archive_run(live)
        assert not truth(sandbox, live)["is_archived"]
        assert "is archived" not in str(caught.value)


class TestPermanentDeletion:
    @pytest.mark.parametrize(
        "fault", [Fault.drop_after(), Fault.error_after(502), Fault.not_json()], ids=lambda f: f.name
    )
    @pytest.mark.parametrize("times", [1, None])
    def test_deletion_with_a_lost_answer_succeeds(
        self, sandbox: Sandbox, hook: TallyfyHook, fault: Fault, times: int | None
    ) -> None:
        run_id = sandbox.add_run("Gone", archived=True)
        sandbox.fail("DELETE", "*", fault, times=times)
        assert hook.delete_run(run_id, confirm=True)["name"] == "Gone"
        assert sandbox.run(run_id) is None

    @pytest.mark.parametrize("answer", NOT_AN_ANSWER)
    def test_deletion_that_was_not_carried_out_is_an_error(
        self, sandbox: Sandbox, hook: TallyfyHook, answer: str
    ) -> None:
        run_id = sandbox.add_run(archived=True)
        sandbox.fail("DELETE", "*", NOT_AN_ANSWER[answer](False), times=None)
        with pytest.raises(TallyfyServerError):
            hook.delete_run(run_id, confirm=True)
        assert sandbox.run(run_id)


class TestTextThatLooksLikeADate:
    """It is compared as text, so another format of the same day is a different text."""

    TEXTS = ("20260301", "2026-W09-7", "2026-03-01T00:00:00Z", " 2026-03-01", "2026-03-01 ")

    @pytest.mark.parametrize("text", TEXTS)
    @pytest.mark.parametrize("field", ["name", "summary"])
    def test_another_spelling_is_written(self, sandbox: Sandbox, hook: TallyfyHook, field: str, text: str) -> None:
        run_id = sandbox.add_run(**_with(field, "2026-03-01"))
        hook.update_run(run_id, **_with(field, text))
        assert truth(sandbox, run_id)[field] == text
        assert bodies(sandbox)[0][field] == text

    @pytest.mark.parametrize("text", TEXTS)
    def test_another_spelling_is_written_as_a_kick_off_answer(
        self, sandbox: Sandbox, hook: TallyfyHook, text: str
    ) -> None:
        fields = ({"id": AMOUNT, "label": "Amount"}, {"id": NOTE, "label": "Note"})
        template = sandbox.add_template("Order", kickoff_fields=fields)
        run_id = sandbox.add_run(template=template, prerun={AMOUNT: "2026-03-01"})
        hook.update_run(run_id, prerun={AMOUNT: text})
        assert truth(sandbox, run_id)["prerun"][AMOUNT] == text

    def test_ignored_spelling_is_an_error(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run(name="2026-03-01")
        run = {**truth(sandbox, run_id)}
        sandbox.fail("PUT", "/runs/*", Fault.other_answer({"data": run}, applies=False))
        with pytest.raises(TallyfyNotAppliedError, match="name: is '2026-03-01', but should be '20260301'"):
            hook.update_run(run_id, name="20260301")

    def test_date_field_may_be_spelled_in_another_way(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        template = sandbox.add_template(
            "Order", kickoff_fields=({"id": AMOUNT, "label": "When", "field_type": "date"},)
        )
        run_id = sandbox.add_run(template=template, prerun={AMOUNT: "2026-03-01T00:00:00.000Z"})
        assert hook.update_run_outcome(run_id, prerun={AMOUNT: "2026-03-01"}).how == "already"
        assert methods(sandbox) == ["GET", "GET"]


@pytest.mark.parametrize(
    ("field", "have", "want"),
    [
        ("name", "1", "true"),
        ("name", "true", "1"),
        ("name", "x", "X"),
        ("summary", "None", ""),
        ("summary", "0", ""),
        ("summary", "1.0", "1"),
    ],
)
def test_similar_texts_are_different(sandbox: Sandbox, hook: TallyfyHook, field: str, have: str, want: str) -> None:
    run_id = sandbox.add_run(**_with(field, have))
    hook.update_run(run_id, **_with(field, want))
    assert truth(sandbox, run_id)[field] == want


class TestFolderFallback:
    """The run does not show the id of its folder relation, so the list of the folder is read."""

    @pytest.fixture(autouse=True)
    def _plain(self, sandbox: Sandbox) -> None:
        sandbox.behaviour = Behaviour(with_folders_shape="plain", put_folders="ignore")

    @pytest.mark.parametrize("way", ["remove_run_from_folder", "update_run"])
    def test_removes_only_this_run(self, sandbox: Sandbox, hook: TallyfyHook, example: Example, way: str) -> None:
        folder = example.folders[0]
        others = [sandbox.add_run(f"Other {n}", folders=[folder]) for n in range(3)]
        if way == "update_run":
            hook.update_run(example.run_id, folders=[])
        else:
            hook.remove_run_from_folder(example.run_id, folder)
        assert truth(sandbox, example.run_id)["folders"] == []
        assert [truth(sandbox, other)["folders"] for other in others] == [[folder]] * 3
        assert any(call.startswith(f"GET /folders/{folder}") for call in sandbox.calls)

    def test_is_an_error_if_the_folder_does_not_list_the_run(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example
    ) -> None:
        other = sandbox.add_run("Other", folders=[example.folders[0]])
        empty = Fault.other_answer({"data": {"id": example.folders[0], "objects": []}})
        sandbox.fail("GET", "/folders/*", empty, times=None)
        with pytest.raises(TallyfyNotAppliedError, match="does not show the number of its association"):
            hook.remove_run_from_folder(example.run_id, example.folders[0])
        assert truth(sandbox, other)["folders"] == [example.folders[0]]
        assert "DELETE" not in methods(sandbox)


def test_unknown_field_is_named_with_the_nearest(sandbox: Sandbox, hook: TallyfyHook) -> None:
    unknown: dict[str, Any] = {"nmae": "x"}
    with pytest.raises(TallyfyArgumentError, match=r"'nmae' is not a field .* \(did you mean 'name'\?\)"):
        hook.update_run(sandbox.add_run(), **unknown)
    assert sandbox.calls == []


@pytest.mark.parametrize("act", [TallyfyHook.get_run, TallyfyHook.archive_run, TallyfyHook.activate_run])
def test_whole_run_instead_of_its_id_is_refused(sandbox: Sandbox, hook: TallyfyHook, act: Callable[..., Any]) -> None:
    with pytest.raises(TallyfyArgumentError, match=r"is a whole object. Pass its id: row\['id'\]"):
        act(hook, {"id": sandbox.add_run(), "name": "x"})
    assert sandbox.calls == []


class TestListWithoutEnd:
    """A list that claims to have 10**30 pages, with the same row on each."""

    ACTS: ClassVar[dict[str, Callable[[TallyfyHook, str], Any]]] = {
        "iter_runs": lambda hook, _: list(hook.iter_runs()),
        "find_runs": lambda hook, _: hook.find_runs(),
        "archive_runs": lambda hook, run_id: hook.archive_runs(
            [{"id": run_id, "last_updated": "2026-01-01T00:00:00Z"}]
        ),
        "archive_runs, dry": lambda hook, run_id: hook.archive_runs([run_id], dry_run=True),
        "update_run, by a tag's title": lambda hook, run_id: hook.update_run(run_id, add_tags=["Urgent"]),
    }

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("pages", [10**30, 10**17, 10**6])
    def test_ends_in_an_error_after_a_few_requests(
        self, sandbox: Sandbox, hook: TallyfyHook, act: str, pages: int
    ) -> None:
        run_id = sandbox.add_run("Old", tags=[sandbox.add_tag("Sales")])
        for path in ("/runs", "/tags"):
            sandbox.fail("GET", path, Fault.endless_pages(pages), times=None)
        with pytest.raises(TallyfyError):
            self.ACTS[act](hook, run_id)
        assert len(sandbox.calls) < 60
        assert set(methods(sandbox)) == {"GET"}

    def test_search_for_a_run_ends(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.fail("GET", "/runs", Fault.endless_pages(), times=None)
        sandbox.add_run(archived=True)
        with pytest.raises(TallyfyServerError):
            hook.get_run("a" * 32)
        assert len(sandbox.calls) < 60
