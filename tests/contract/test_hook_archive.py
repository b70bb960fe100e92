"""Archive and activate: the outcome is right and explained, for every answer of Tallyfy and every fault of the network.

Tallyfy's pages do not define the answers to several of these requests, so each test runs with all positions of the
switches that matter to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.api.runs import read
from airflow_provider_tallyfy.exceptions import (
    TallyfyApiError,
    TallyfyArgumentError,
    TallyfyAuthError,
    TallyfyForbiddenError,
    TallyfyIndeterminateError,
    TallyfyNotFoundError,
    TallyfyRateLimitedError,
    TallyfyServerError,
    TallyfyUnreachableError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox

Connect = Callable[..., TallyfyHook]

UNKNOWN = "0123456789abcdef0123456789abcdef"
SEARCH = "GET /runs?archived=only&sort=-created_at&per_page=100&page=1"


def is_archived(sandbox: Sandbox, run_id: str) -> bool:
    run = sandbox.run(run_id)
    assert run is not None
    return bool(run["is_archived"])


def reading(run_id: str, get_archived: str) -> list[str]:
    """Return the requests that read an archived run: by its id, and from the list if that answers 404."""
    return [f"GET /runs/{run_id}"] if get_archived == "200" else [f"GET /runs/{run_id}", SEARCH]


@pytest.mark.parametrize("get_archived", ["200", "404"])
@pytest.mark.parametrize("status", ["archived", "original"])
@pytest.mark.parametrize("body", ["object", "empty", "204"])
class TestArchiveInEveryShape:
    @pytest.fixture
    def shape(self, body: Any, status: Any, get_archived: Any, sandbox: Sandbox) -> Behaviour:
        sandbox.behaviour = Behaviour(archive_body=body, archived_status=status, get_archived=get_archived)
        return sandbox.behaviour

    def test_live_run(self, sandbox: Sandbox, hook: TallyfyHook, shape: Behaviour) -> None:
        run_id = sandbox.add_run("Old project")
        outcome = hook.archive_run_outcome(run_id)
        assert (outcome.how, outcome.run["id"], outcome.run["name"]) == ("changed", run_id, "Old project")
        assert outcome.run["archived_at"]
        assert is_archived(sandbox, run_id)
        # One request if possible: only an answer that does not show the state is followed by a read.
        silent = shape.archive_body != "object"
        assert sandbox.calls == [
            f"DELETE /runs/{run_id}",
            *(reading(run_id, shape.get_archived) if silent else []),
        ]
        assert ("a read shows that it is archived" in outcome.note) is silent

    @pytest.mark.parametrize("second", ["404", "200"])
    def test_archived_run_is_returned_unchanged(
        self, sandbox: Sandbox, hook: TallyfyHook, shape: Behaviour, second: Any
    ) -> None:
        sandbox.behaviour = Behaviour(**{**vars(shape), "second_archive": second})
        run_id = sandbox.add_run(archived=True)
        archived_at = (sandbox.run(run_id) or {})["archived_at"]
        outcome = hook.archive_run_outcome(run_id)
        # If Tallyfy answers a second DELETE like the first, only a read before it can tell the difference.
        assert outcome.how == ("already" if second == "404" else "changed")
        assert outcome.run["archived_at"] == archived_at
        shown = second == "200" and shape.archive_body == "object"
        assert sandbox.calls == [f"DELETE /runs/{run_id}", *([] if shown else reading(run_id, shape.get_archived))]
        if second == "404":
            assert outcome.note == "Tallyfy answered 404; the run was already archived"

    def test_look_first_knows_whether_the_run_was_archived_before(
        self, sandbox: Sandbox, hook: TallyfyHook, shape: Behaviour
    ) -> None:
        live, archived = sandbox.add_run(), sandbox.add_run(archived=True)
        assert hook.archive_run_outcome(archived, look_first=True).how == "already"
        assert sandbox.calls == reading(archived, shape.get_archived)
        assert hook.archive_run_outcome(live, look_first=True).how == "changed"
        assert is_archived(sandbox, live)


@pytest.mark.parametrize("body", ["object", "empty", "204"])
class TestActivateInEveryShape:
    @pytest.mark.parametrize("get_archived", ["200", "404"])
    @pytest.mark.parametrize("status", ["active", "complete", "problem"])
    def test_archived_run(self, sandbox: Sandbox, hook: TallyfyHook, body: Any, get_archived: Any, status: Any) -> None:
        sandbox.behaviour = Behaviour(activate_body=body, get_archived=get_archived)
        run_id = sandbox.add_run("Restored", status=status, archived=True)
        outcome = hook.activate_run_outcome(run_id)
        assert (outcome.how, outcome.run["name"]) == ("changed", "Restored")
        # The run gets back the state that it had before.
        assert (outcome.run["archived_at"], outcome.run["status"]) == (None, status)
        assert not is_archived(sandbox, run_id)
        read = [] if body == "object" else [f"GET /runs/{run_id}"]
        assert sandbox.calls == [f"PUT /runs/{run_id}/activate", *read]
        assert sandbox.requests[0].body == b""

    @pytest.mark.parametrize("answer", ["400", "404", "200"])
    def test_live_run(self, sandbox: Sandbox, hook: TallyfyHook, body: Any, answer: Any) -> None:
        sandbox.behaviour = Behaviour(activate_body=body, activate_live=answer)
        run_id = sandbox.add_run(status="complete")
        outcome = hook.activate_run_outcome(run_id)
        assert outcome.how == ("changed" if answer == "200" else "already")
        assert (outcome.run["archived_at"], outcome.run["status"]) == (None, "complete")
        shown = answer == "200" and body == "object"
        assert sandbox.calls == [f"PUT /runs/{run_id}/activate", *([] if shown else [f"GET /runs/{run_id}"])]
        if answer != "200":
            assert outcome.note == f"Tallyfy answered {answer}; the run was already active"
        sandbox.forget_requests()
        assert hook.activate_run_outcome(run_id, look_first=True).how == "already"
        assert sandbox.calls == [f"GET /runs/{run_id}"]


@dataclass(frozen=True)
class Case:
    """A fault at the first write, and the expected result.

    :param writes: how often the write is sent.
    :param reads: how often the run is read.
    :param note: part of what the log says.
    """

    fault: Fault
    how: str
    writes: int
    reads: int
    note: str = ""


_IN_A_MINUTE = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=40), usegmt=True)
LATER = "the request was repeated after a lost answer; the answer shows that it is"
FAULTS = {
    "lost before": Case(Fault.drop_before(), "checked", 2, 0, LATER),
    "reset before": Case(Fault.drop_before(reset=True), "checked", 2, 0, LATER),
    "lost after": Case(Fault.drop_after(), "checked", 2, 1, "after a lost answer; a read shows"),
    "reset after": Case(Fault.drop_after(reset=True), "checked", 2, 1, "a read shows"),
    "cut off": Case(Fault.truncated(), "checked", 2, 1, "a read shows"),
    "error after acting": Case(Fault.error_after(502), "checked", 2, 1, ", after a 502; a read shows"),
    "leak after acting": Case(Fault.error_after(500, leak=True), "checked", 2, 1, "a read shows"),
    "error, then well": Case(
        Fault.server_error(503, html=True), "checked", 2, 0, "repeated after a 503; the answer shows"
    ),
    "not JSON": Case(Fault.not_json(), "checked", 1, 1, "answered with an HTML page; a read shows"),
    "no text either": Case(Fault.not_json(html=False), "checked", 1, 1, "that are not JSON; a read shows"),
    "no object": Case(Fault.unreadable_page(), "changed", 1, 1, "answer did not show the run"),
    # A rate-limited request was certainly not carried out.
    "429, seconds": Case(Fault.rate_limited("7"), "changed", 2, 0),
    "429, at once": Case(Fault.rate_limited("0"), "changed", 2, 0),
    "429, date": Case(Fault.rate_limited(_IN_A_MINUTE), "changed", 2, 0),
    "429, past date": Case(Fault.rate_limited("Wed, 21 Oct 2015 07:28:00 GMT"), "changed", 2, 0),
    "429, silent": Case(Fault.rate_limited(None), "changed", 2, 0),
    "429, garbage": Case(Fault.rate_limited("soon, perhaps"), "changed", 2, 0),
    "429, HTML": Case(Fault.rate_limited("2", html=True), "changed", 2, 0),
}


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("get_archived", ["200", "404"])
class TestFaults:
    def test_archive(self, sandbox: Sandbox, hook: TallyfyHook, case: Case, get_archived: Any) -> None:
        sandbox.behaviour = Behaviour(get_archived=get_archived)
        run_id = sandbox.add_run()
        sandbox.fail("DELETE", f"/runs/{run_id}", case.fault)
        outcome = hook.archive_run_outcome(run_id)
        assert (outcome.how, outcome.run["id"]) == (case.how, run_id)
        assert case.note in outcome.note
        assert is_archived(sandbox, run_id)
        assert sandbox.calls == [
            *[f"DELETE /runs/{run_id}"] * case.writes,
            *reading(run_id, get_archived) * case.reads,
        ]

    def test_activate(self, sandbox: Sandbox, hook: TallyfyHook, case: Case, get_archived: Any) -> None:
        sandbox.behaviour = Behaviour(get_archived=get_archived)
        run_id = sandbox.add_run(archived=True)
        sandbox.fail("PUT", f"/runs/{run_id}/activate", case.fault)
        outcome = hook.activate_run_outcome(run_id)
        assert (outcome.how, outcome.run["archived_at"]) == (case.how, None)
        assert case.note in outcome.note
        assert not is_archived(sandbox, run_id)
        assert sandbox.calls == [
            *[f"PUT /runs/{run_id}/activate"] * case.writes,
            *[f"GET /runs/{run_id}"] * case.reads,
        ]


def test_wait_is_retry_after_or_exponential(sandbox: Sandbox, hook: TallyfyHook, waits: list[float]) -> None:
    sandbox.fail("DELETE", "*", Fault.rate_limited("7"))
    sandbox.fail("DELETE", "*", Fault.rate_limited(_IN_A_MINUTE))
    sandbox.fail("DELETE", "*", Fault.rate_limited("soon"))
    hook.archive_run(sandbox.add_run())
    assert (
        7 <= waits[0] <= 8
    )  # as long as Tallyfy asks for, plus a random part of up to one second, so that clients do not all return at once
    assert 0 <= waits[1] <= 41.3
    assert 0 <= waits[2] <= 4  # no readable Retry-After: a random time of up to one second, doubled each time


_HOPELESS: list[tuple[str, Fault, type[TallyfyApiError], int | None, str]] = [
    ("lost", Fault.drop_before(), TallyfyUnreachableError, None, "got no answer (tried 4 times)"),
    ("503", Fault.server_error(503), TallyfyServerError, 503, "failed with 503 (tried 4 times): Server Error"),
    ("429", Fault.rate_limited("1"), TallyfyRateLimitedError, 429, "Tallyfy asks to wait 1 s."),
]


@pytest.mark.parametrize(("fault", "kind", "status", "says"), [row[1:] for row in _HOPELESS], ids=lambda v: str(v)[:20])
def test_write_that_never_arrives_is_an_error(
    sandbox: Sandbox, hook: TallyfyHook, fault: Fault, kind: type[TallyfyApiError], status: int | None, says: str
) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "*", fault, times=None)
    with pytest.raises(kind) as caught:
        hook.archive_run(run_id)
    assert says in str(caught.value)
    assert (caught.value.http_status, caught.value.method) == (status, "DELETE")
    assert not isinstance(caught.value, AirflowFailException)
    assert not is_archived(sandbox, run_id)
    # If the request may have been carried out, the run is read at the end.
    times = 101 if status == 429 else 4
    assert sandbox.calls == [f"DELETE /runs/{run_id}"] * times + [f"GET /runs/{run_id}"] * (status != 429)


def test_write_without_any_answer_is_settled_by_reading(sandbox: Sandbox, hook: TallyfyHook) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "*", Fault.drop_after(), times=None)
    outcome = hook.archive_run_outcome(run_id)
    assert (outcome.how, outcome.note) == (
        "checked",
        "the answer was lost; a read shows that it is archived",
    )


@pytest.mark.parametrize(
    ("get_archived", "reads", "why"),
    [("200", "/runs/*", "reading it failed too"), ("404", "/runs", "searching the archived runs failed too")],
)
def test_unclear_write_is_indeterminate_if_reading_fails(
    sandbox: Sandbox, hook: TallyfyHook, get_archived: Any, reads: str, why: str
) -> None:
    sandbox.behaviour = Behaviour(get_archived=get_archived)
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "*", Fault.drop_after(), times=None)
    sandbox.fail("GET", reads, Fault.server_error(), times=None)
    with pytest.raises(TallyfyIndeterminateError) as caught:
        hook.archive_run(run_id)
    assert f"DELETE /runs/{run_id} may or may not have been done" in str(caught.value)
    assert why in str(caught.value)
    assert "Repeating it is harmless" in str(caught.value)
    assert not isinstance(caught.value, AirflowFailException)
    assert is_archived(sandbox, run_id)


def test_unclear_write_is_indeterminate_if_the_list_is_unreadable(sandbox: Sandbox, hook: TallyfyHook) -> None:
    sandbox.behaviour = Behaviour(get_archived="404")
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "*", Fault.drop_after(), times=None)
    sandbox.fail("GET", "/runs", Fault.unreadable_page(), times=None)
    with pytest.raises(TallyfyIndeterminateError, match="may or may not have been done") as caught:
        hook.archive_run(run_id)
    assert "not a list of objects" in str(caught.value)


def test_empty_answer_is_an_error_if_the_check_fails(sandbox: Sandbox, hook: TallyfyHook) -> None:
    sandbox.behaviour = Behaviour(archive_body="204")
    run_id = sandbox.add_run()
    sandbox.fail("GET", "*", Fault.server_error(503), times=None)
    with pytest.raises(TallyfyIndeterminateError, match="may or may not have been done") as caught:
        hook.archive_run(run_id)
    assert not isinstance(caught.value, AirflowFailException)  # repeating it is harmless, and gives a clear result
    assert f"DELETE /runs/{run_id}" in str(caught.value)
    assert "reading it failed too (the answer was 503" in str(caught.value)


def test_success_answer_for_an_unchanged_run_is_an_error(sandbox: Sandbox, hook: TallyfyHook) -> None:
    run_id = sandbox.add_run("Stubborn")
    sandbox.fail("DELETE", "*", Fault.status(200, {"data": {"id": run_id, "archived_at": None}}))
    with pytest.raises(TallyfyServerError, match=r"answered 200, but the run 'Stubborn' \(\w+\) is not archived"):
        hook.archive_run(run_id)
    assert sandbox.calls == [f"DELETE /runs/{run_id}", f"GET /runs/{run_id}"]


_REFUSALS: list[tuple[Callable[[TallyfyHook, str], object], str]] = [
    (TallyfyHook.archive_run, "DELETE /runs/{}"),
    (TallyfyHook.activate_run, "PUT /runs/{}/activate"),
]


@pytest.mark.parametrize(("act", "line"), _REFUSALS, ids=["archive", "activate"])
class TestRefusals:
    @pytest.mark.parametrize("get_archived", ["200", "404"])
    def test_unknown_run(
        self, sandbox: Sandbox, hook: TallyfyHook, act: Callable[..., object], line: str, get_archived: Any
    ) -> None:
        sandbox.behaviour = Behaviour(get_archived=get_archived)
        sandbox.add_run(archived=True)
        with pytest.raises(TallyfyNotFoundError) as caught:
            act(hook, UNKNOWN)
        assert caught.value.http_status == 404
        assert isinstance(caught.value, AirflowFailException)
        assert f"{line.format(UNKNOWN)} failed with 404: Resource not found" in str(caught.value)
        assert "Check the id and the Organization ID" in str(caught.value)
        # A 404 can mean "archived and hidden", so the archived runs are searched before giving up.
        assert sandbox.calls == [line.format(UNKNOWN), f"GET /runs/{UNKNOWN}", SEARCH]

    def test_light_member(self, sandbox: Sandbox, connect: Connect, act: Callable[..., object], line: str) -> None:
        run_id = sandbox.add_run(archived=act is TallyfyHook.activate_run)
        before = is_archived(sandbox, run_id)
        with pytest.raises(TallyfyForbiddenError, match=r"Light members cannot .* processes") as caught:
            act(connect(sandbox, password=sandbox.token_for("light")), run_id)
        assert caught.value.http_status == 403
        assert isinstance(caught.value, AirflowFailException)
        assert "light members can't archive or activate" in str(caught.value)
        assert sandbox.calls == [line.format(run_id)]
        assert is_archived(sandbox, run_id) is before

    def test_expired_token(self, sandbox: Sandbox, hook: TallyfyHook, act: Callable[..., object], line: str) -> None:
        run_id = sandbox.add_run()
        sandbox.revoke(sandbox.token)
        with pytest.raises(TallyfyAuthError, match="logged out of the Tallyfy web app") as caught:
            act(hook, run_id)
        assert (caught.value.http_status, caught.value.request_id is not None) == (401, True)
        assert isinstance(caught.value, AirflowFailException)
        assert sandbox.calls == [line.format(run_id)]

    def test_long_retry_after_is_reported_and_not_waited_for(
        self, sandbox: Sandbox, hook: TallyfyHook, waits: list[float], act: Callable[..., object], line: str
    ) -> None:
        run_id = sandbox.add_run()
        sandbox.fail("*", "*", Fault.rate_limited("3600"))
        with pytest.raises(TallyfyRateLimitedError, match=r"Tallyfy asks to wait 3600 s\.") as caught:
            act(hook, run_id)
        assert (caught.value.http_status, caught.value.retry_after) == (429, 3600)
        assert not isinstance(caught.value, AirflowFailException)
        assert waits == []
        assert sandbox.calls == [line.format(run_id)]

    def test_bad_id_is_refused_before_anything_is_sent(
        self, sandbox: Sandbox, hook: TallyfyHook, act: Callable[..., object], line: str
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=r"run_id='[0-9a-f]+/delete' is not a Tallyfy id"):
            act(hook, f"{sandbox.add_run(archived=True)}/delete")
        assert sandbox.calls == []


class TestSearchAmongTheArchived:
    @pytest.fixture
    def oldest(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
        """A run behind two pages of archived runs, in an organization where archived runs cannot be read by id."""
        sandbox.behaviour = Behaviour(get_archived="404")
        monkeypatch.setattr(read, "SEARCH_PAGES", 2)
        run_id = sandbox.add_run(archived=True, days_old=99)
        sandbox.add_runs(200, archived=True)
        return run_id

    def test_search_stops_at_its_page_limit_and_says_so(self, sandbox: Sandbox, hook: TallyfyHook, oldest: str) -> None:
        with pytest.raises(TallyfyIndeterminateError) as caught:
            hook.archive_run(oldest)
        assert "not among the first 200 of 201 archived runs (the search ends after 2 pages)" in str(caught.value)
        assert "did not show the state of the run" in str(caught.value)
        assert not isinstance(caught.value, AirflowFailException)
        assert len(sandbox.calls) == 4

    def test_search_reaches_the_last_page(
        self, sandbox: Sandbox, hook: TallyfyHook, oldest: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(read, "SEARCH_PAGES", 3)
        assert hook.archive_run_outcome(oldest).how == "already"
        assert len(sandbox.calls) == 5
