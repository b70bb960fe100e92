"""The key of a launch: how it is made, its marker in the summary of the run, and the search for the run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Pause, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Send, Step, Wait, drive
from airflow_provider_tallyfy.api.runs.launch_key import (
    CODE_LENGTH,
    LAG,
    LaunchKey,
    TaskIdentity,
    check_launch_key,
    find_launched,
    key_of,
)

NOW = datetime(2026, 11, 25, 12, 0, 0, 700_000, tzinfo=timezone.utc)
TASK = TaskIdentity("onboarding", "manual__2026-11-25", "launch", 3, since=NOW - timedelta(hours=1))


def key(given: str | None = None, task: TaskIdentity | None = TASK, again: bool = False, **more: Any) -> LaunchKey:
    return key_of(given, task, again=again, now=NOW, **{"tried": False, "unique": "u", **more})


class TestCode:
    def test_marker_names_the_dag_run_and_the_task(self) -> None:
        assert key().marker == f"Launched by Airflow: onboarding, manual__2026-11-25, launch [3] (key {key().code})"
        assert len(key().code) == CODE_LENGTH

    @pytest.mark.parametrize(
        "other",
        [
            replace(TASK, dag_id="offboarding"),
            replace(TASK, run_id="manual__2026-11-26"),
            replace(TASK, task_id="launch_all"),
            replace(TASK, map_index=4),
            replace(TASK, map_index=-1),
            # The parts are separated.
            replace(TASK, dag_id="onboardingmanual__2026-11-25", run_id=""),
        ],
        ids=str,
    )
    def test_other_task_has_another_key(self, other: TaskIdentity) -> None:
        assert key(task=other).code != key().code

    def test_other_try_has_the_same_key(self) -> None:
        assert key(task=replace(TASK, try_number=7, first_try=5, since=None)).code == key().code

    def test_given_key_does_not_depend_on_the_task(self) -> None:
        codes = {key("4711").code, key("4711", replace(TASK, run_id="other")).code, key("4711", None).code}
        assert len(codes) == 1
        assert codes != {key("4712").code}
        assert codes != {key().code}

    def test_launch_again_makes_a_new_key_each_time_the_task_is_cleared(self) -> None:
        first = key(task=replace(TASK, try_number=1), again=True)
        retried = key(task=replace(TASK, try_number=2), again=True)
        cleared = key(task=replace(TASK, try_number=3, first_try=3), again=True)
        assert first.code == retried.code != cleared.code
        assert [made.look_first for made in (first, retried, cleared)] == [False, True, False]

    def test_every_call_without_task_and_key_has_its_own_key(self) -> None:
        one, other = key(task=None, unique="a"), key(task=None, unique="b")
        assert one.code != other.code
        assert not one.repeatable
        assert not one.look_first
        assert not key("4711", None, again=True).repeatable


class TestSearchPlan:
    @pytest.mark.parametrize(
        ("made", "look_first", "wait", "all_time"),
        [
            (key(), False, 0, False),
            (key(task=replace(TASK, try_number=2)), True, LAG, False),
            (key(task=replace(TASK, try_number=3, first_try=3)), True, LAG, False),
            (key("4711"), True, 0, True),
            (key("4711", replace(TASK, try_number=2)), True, LAG, True),
            (key("4711", None), True, 0, True),
            (key("4711", None, tried=True), True, LAG, True),
            (key("4711", None, tried=True, lag=0.0), True, 0, True),
            (key(None, None, tried=True), False, 0, False),
        ],
    )
    def test_first_try_searches_only_for_a_given_key(
        self, made: LaunchKey, look_first: bool, wait: float, all_time: bool
    ) -> None:
        assert (made.look_first, made.wait, made.all_time) == (look_first, wait, all_time)

    def test_search_starts_ten_minutes_before_the_dag_run_in_whole_seconds(self) -> None:
        assert key().since == datetime(2026, 11, 25, 10, 50, 0, tzinfo=timezone.utc)
        assert key(task=replace(TASK, since=None)).since is None
        # If the DAG run seems to be created in the future, the search starts before now.
        late = key(task=replace(TASK, since=NOW + timedelta(days=3))).since
        assert late is not None
        assert late < NOW


class TestSummary:
    def test_marker_is_added_below_the_users_text(self) -> None:
        assert key().summary("As agreed.\n") == f"As agreed.\n\n{key().marker}"
        assert key().summary(None) == key().summary("") == key().marker

    def test_marker_of_another_run_is_removed(self) -> None:
        copied = key("other").summary("As agreed.")
        assert key().summary(copied) == f"As agreed.\n\n{key().marker}"

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_key_is_found_in_any_surrounding_text(self, before: str, after: str) -> None:
        one = key()
        assert one.is_in(one.summary(before))
        assert one.is_in(f"{before} {one.code.upper()} {after}")
        assert not one.is_in(key("other").summary(before))

    @pytest.mark.parametrize("summary", [None, "", 7, [], {}, "x" + key().code, key().code + "2", key().code[:-1]])
    def test_other_summaries_do_not_have_the_key(self, summary: object) -> None:
        assert not key().is_in(summary)


@pytest.mark.parametrize("value", ["", "  ", "None", "null", None, 7, [], "{{ params.x }}", "x" * 1001, "\ud800"])
def test_bad_key_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"^launch_key"):
        check_launch_key("launch_key", value)


# -- the search -------------------------------------------------------------------------------------------------------


def row(minutes_ago: float, summary: object = "", **more: Any) -> dict[str, Any]:
    moment = (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"id": f"{minutes_ago}", "created_at": moment, "summary": summary, **more}


def search(pages: list[list[dict[str, Any]]], **more: Any) -> tuple[Any, list[str]]:
    """Search these pages, and return the run and the queries."""
    flow = find_launched("o", **{"key": key(), **more})
    queries: list[str] = []
    try:
        request = next(flow)
        while True:
            queries.append(request.target.partition("?")[2])
            number = int(dict(request.params)["page"])
            meta = {"current_page": number, "total_pages": len(pages), "per_page": 2}
            body = {"data": pages[number - 1], "meta": {"pagination": meta}}
            request = flow.send(Exchange(request, Response(200, body=json.dumps(body).encode())))
    except StopIteration as end:
        return end.value, queries


OLD = [row(90), row(95)]


def test_search_requests_live_and_archived_runs_of_all_templates_newest_first() -> None:
    found, queries = search([[row(1)]])
    assert found is None
    assert queries == ["archived=true&sort=-created_at&per_page=100&page=1"]


def test_search_ends_at_runs_older_than_the_dag_run() -> None:
    found, queries = search([[row(1), row(2)], [row(3), row(91)], [row(92, key().marker)]])
    assert found is None
    assert len(queries) == 2


@pytest.mark.parametrize(
    "page",
    [
        [row(91), row(90)],  # oldest first
        [row(90), row(90)],  # the same second, so the order is unknown
        [row(90), {"id": "x", "summary": ""}],  # a run without a creation time
        [row(90), row(91, created_at=None)],
    ],
)
def test_search_continues_if_the_order_of_a_page_is_unclear(page: list[dict[str, Any]]) -> None:
    found, queries = search([page, [row(5, key().marker)]])
    assert found is not None
    assert len(queries) == 2


def test_given_key_is_also_searched_for_in_older_runs_with_the_name() -> None:
    found, queries = search([OLD, [row(1000, key("4711").marker)]], key=key("4711"), name="Invoice 7")
    assert found is not None
    assert queries == [
        "archived=true&sort=-created_at&per_page=100&page=1",
        "archived=true&q=Invoice%207&sort=-created_at&per_page=100&page=1",
        "archived=true&q=Invoice%207&sort=-created_at&per_page=100&page=2",
    ]


def test_rows_without_summaries_are_an_error() -> None:
    with pytest.raises(Rejected, match=r"without its summary.*Nothing was launched"):
        search([[{"id": "1", "name": "Invoice 7"}]])


def test_pause_comes_only_before_the_first_send() -> None:
    def flow() -> Any:
        yield Request("GET", ("runs",), pause=Pause(LAG, "not shown yet"))

    steps = drive(flow(), RetryPolicy(jitter=lambda: 0.0))
    seen: list[Step] = [next(steps), next(steps)]
    assert seen == [Wait(LAG, "not shown yet"), Send(Request("GET", ("runs",)))]
    # A repeated request does not wait for the pause again.
    assert isinstance(wait := steps.send(Response(503)), Wait)
    assert wait.seconds < LAG
    assert isinstance(next(steps), Send)
