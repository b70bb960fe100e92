"""Changing many runs: the number of requests, the runs that are skipped, and the report."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3.connectionpool import HTTPConnectionPool

from airflow_provider_tallyfy.api.runs.report import EXAMPLES, Report
from airflow_provider_tallyfy.client.bulk_options import BulkOptions
from airflow_provider_tallyfy.client.bulk_reading import ONE_BY_ONE
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyServerError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._bulk import check_sums, check_truth, count, let_time_fly, rows_of, times
from tests.contract._clock import FastClock
from tests.contract._example_organization import UNKNOWN, truth

Connect = Callable[..., TallyfyHook]


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


LIVE, ARCHIVED = "GET /runs?sort=", "GET /runs?archived=only"


class TestRequests:
    def test_archiving_sends_one_request_per_live_run(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(150)
        report = hook.archive_runs(ids)
        assert report.requests == len(sandbox.requests) == 150
        assert sorted(sandbox.calls) == sorted(f"DELETE /runs/{run_id}" for run_id in ids)
        assert report.counts["changed"] == 150
        check_truth(sandbox, report, archived=True)

    def test_activating_sends_one_request_per_run(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(150, archived=True)
        report = hook.activate_runs(ids)
        assert sorted(sandbox.calls) == sorted(f"PUT /runs/{run_id}/activate" for run_id in ids)
        check_truth(sandbox, report, archived=False)

    def test_rows_cost_one_more_request_per_page(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(250)
        report = hook.archive_runs(rows_of(sandbox, ids))
        assert report.counts["changed"] == 250
        assert count(sandbox, "DELETE") == 250
        assert (
            count(sandbox, LIVE) == 4
        )  # three pages, and the first one twice: its first read returns the number of pages
        assert len(sandbox.requests) == 254

    def test_repeated_ids_are_sent_once(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        first, second = sandbox.add_runs(2)
        report = hook.archive_runs([first, second, first, {"id": first}, {"run_id": second}])
        assert len(sandbox.requests) == 2
        assert report.summary()["total"] == 2

    def test_no_runs_send_no_request(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        report = hook.archive_runs([])
        assert report.complete
        assert report.sentence() == "0 runs: 0 archived"
        assert sandbox.requests == []

    @pytest.mark.parametrize("body", ["empty", "204"])
    def test_answers_without_the_run_are_checked_in_one_walk(
        self, body: Any, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        sandbox.behaviour = Behaviour(archive_body=body)
        ids = sandbox.add_runs(250)
        report = hook.archive_runs(ids)
        assert report.counts["changed"] == 250
        assert count(sandbox, "DELETE") == 250
        assert count(sandbox, ARCHIVED) == 3
        assert len(sandbox.requests) == 253

    def test_unclear_answers_of_all_kinds_are_checked_in_one_walk(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        live, done, gone = sandbox.add_runs(120), sandbox.add_runs(120, archived=True), [UNKNOWN]
        sandbox.fail("DELETE", "/runs/*", Fault.drop_after(), times=20)
        report = hook.archive_runs([*live, *done, *gone])
        assert report.counts == {"changed": 120, "already": 120, "modified": 0, "failed": 1, "not_tried": 0}
        assert count(sandbox, ARCHIVED) == 3
        assert count(sandbox, "GET /runs/") == 1  # the run that no list shows
        check_truth(sandbox, report, archived=True)

    def test_many_runs_that_are_not_archived_are_found_in_a_second_walk_without_single_reads(
        self, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        ids = sandbox.add_runs(150)
        sandbox.fail("DELETE", "/runs/*", Fault.status(404), times=ONE_BY_ONE + 10)
        report = hook.archive_runs(ids)
        assert report.counts["failed"] == ONE_BY_ONE + 10
        assert count(sandbox, ARCHIVED) == 2
        assert count(sandbox, "GET /runs/") == 0
        check_truth(sandbox, report, archived=True)

    def test_concurrency_is_bounded_and_connections_are_kept(
        self, sandbox: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox.latency = 0.02
        connections = count_connections(monkeypatch)
        connect(sandbox).archive_runs(sandbox.add_runs(60), concurrency=4)
        assert most_at_a_time(sandbox) == 4
        assert 1 <= connections[0] <= 4, "one connection for each worker, kept for all its requests"


def count_connections(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the connections that are opened after this call."""
    number = [0]
    new = HTTPConnectionPool._new_conn

    def counted(self: HTTPConnectionPool) -> Any:
        number[0] += 1
        return new(self)

    monkeypatch.setattr(HTTPConnectionPool, "_new_conn", counted)
    return number


def most_at_a_time(sandbox: Sandbox) -> int:
    """Return the maximum number of concurrent requests."""
    steps = []
    for record in sandbox.requests:
        assert record.answered_at is not None
        steps += [(record.received_at, 1), (record.answered_at, -1)]
    under_way = most = 0
    for _, step in sorted(steps):
        under_way += step
        most = max(most, under_way)
    return most


class TestRefusedBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        ("run_ids", "options", "words"),
        [
            (["a" * 32, "b" * 32, "c" * 32], {"max_runs": 2}, "has 3 runs, but max_runs is 2"),
            ("a" * 32, {}, "not a list"),
            (None, {}, "the upstream task returned nothing"),
            (7, {}, "not a list"),
            ({"id": "a" * 32}, {}, "one row, not a list"),
            ([], {"concurency": 4}, "'concurency' is not an option"),
            ([], {"doing": "activate"}, "'doing' is not an option"),
            ([], {"changes": {"name": "x"}}, "'changes' is not an option"),
            ([], {"dry_run": "maybe"}, "dry_run='maybe'"),
            ([], {"skip_modified": 7}, "skip_modified=7"),
            ([], {"progress_every": "x"}, "progress_every='x'"),
            (["a" * 32, None], {}, r"run_ids\[1\]"),
            (["a" * 32, "../x"], {}, r"run_ids\[1\]"),
            (["a" * 32, "x/delete"], {}, r"run_ids\[1\]"),
            ([{"name": "no id"}], {}, r"run_ids\[0\]\['id'\]"),
            ([[]], {}, r"run_ids\[0\]"),
            (["a" * 32], {"concurrency": 0}, "concurrency=0"),
            (["a" * 32], {"concurrency": 65}, "from 1 to 64"),
            (["a" * 32], {"concurrency": None}, "concurrency=None"),
            (["a" * 32], {"max_failures": 0}, "max_failures=0"),
            (["a" * 32], {"max_failures": True}, "max_failures=True"),
            (["a" * 32], {"max_runs": "5"}, "max_runs='5'"),
        ],
    )
    def test_bad_arguments(
        self, run_ids: Any, options: dict[str, Any], words: str, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=words):
            hook.archive_runs(run_ids, **options)
        assert sandbox.requests == []

    def test_max_runs_counts_repeated_ids_once(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(3)
        assert hook.archive_runs([*ids, ids[0]], max_runs=3).counts["changed"] == 3

    def test_empty_and_wrong_changes(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(1)
        nothing: list[dict[str, Any]] = [{}, {"name": None}, {"add_tags": []}]
        wrong: list[dict[str, Any]] = [{"owner_id": "nobody"}, {"tags": [], "add_tags": ["x"]}]
        for changes in (*nothing, *wrong):
            with pytest.raises(TallyfyArgumentError):
                hook.update_runs(ids, changes)
        assert sandbox.requests == []

    def test_unknown_titles_name_the_nearest(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.add_tag("Stale")
        with pytest.raises(TallyfyArgumentError, match="did you mean 'Stale'"):
            hook.update_runs(sandbox.add_runs(3), {"add_tags": ["Stael"]})
        assert {record.method for record in sandbox.requests} == {"GET"}


class TestDryRun:
    def test_archive(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        live, done = sandbox.add_runs(150, unmodified_days=9), sandbox.add_runs(3, archived=True)
        rows = rows_of(sandbox, live)
        sandbox.touch(live[7])
        report = hook.archive_runs([*rows, *done, UNKNOWN], dry_run=True)
        assert report.counts == {"changed": 149, "already": 3, "modified": 1, "failed": 1, "not_tried": 0}
        assert report.sentence().startswith("154 runs: 149 would be archived, 3 already archived, 1 skipped")
        assert {record.method for record in sandbox.requests} == {"GET"}

    def test_activate(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        live, done = sandbox.add_runs(3), sandbox.add_runs(5, archived=True)
        report = hook.activate_runs([*live, *done], dry_run=True)
        assert (report.counts["changed"], report.counts["already"]) == (5, 3)
        assert {record.method for record in sandbox.requests} == {"GET"}

    def test_update(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        tag = sandbox.add_tag("Stale")
        new, tagged, done = sandbox.add_runs(5), sandbox.add_runs(3, tags=[tag]), sandbox.add_runs(2, archived=True)
        report = hook.update_runs([*new, *tagged, *done], {"add_tags": ["stale"]}, dry_run=True)
        assert report.counts == {"changed": 5, "already": 3, "modified": 0, "failed": 2, "not_tried": 0}
        assert {record.method for record in sandbox.requests} == {"GET"}

    def test_dry_run_overrides_an_options_object_without_changing_it(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        options = BulkOptions(concurrency=2)
        change = hook.bulk_change("archive", sandbox.add_runs(3), options=options, dry_run=True)
        assert change.run().counts["changed"] == 3
        assert {record.method for record in sandbox.requests} == {"GET"}
        assert change.options == BulkOptions(concurrency=2, dry_run=True)
        assert options == BulkOptions(concurrency=2)

    def test_creates_no_tags(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError, match="no tag has this title"):
            hook.update_runs(sandbox.add_runs(1), {"add_tags": ["New"], "create_missing_tags": True}, dry_run=True)
        assert {record.method for record in sandbox.requests} == {"GET"}


class TestModifiedMeanwhile:
    """Runs that somebody modified after they were found are skipped."""

    def test_modified_runs_are_skipped_and_reported(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(220, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        busy = ids[::20]
        for run_id in busy:
            sandbox.touch(run_id)
        report = hook.archive_runs(rows)
        assert report.counts == {"changed": 209, "already": 0, "modified": 11, "failed": 0, "not_tried": 0}
        assert {run_id for run_id, entry in report.entries.items() if entry.result == "modified"} == set(busy)
        assert "modified at" in report.entries[busy[0]].reason
        assert report.complete
        assert count(sandbox, "GET /runs/") == 0, "read by pages, not one by one"
        check_truth(sandbox, report, archived=True)

    def test_run_modified_while_the_task_writes_is_skipped(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        # The list is read from its end, one page ahead. The first page is read again before its runs are written.
        ids = sandbox.add_runs(400, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.when("DELETE", "/runs/*", lambda: sandbox.touch(ids[0]))
        report = hook.archive_runs(rows)
        assert report.entries[ids[0]].result == "modified"
        assert report.counts["changed"] == 399

    def test_skip_modified_false_changes_modified_runs_too(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(30, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.touch(ids[0])
        assert hook.archive_runs(rows, skip_modified=False).counts["changed"] == 30
        assert len(sandbox.requests) == 30

    def test_only_rows_with_a_timestamp_are_checked(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        first, second = sandbox.add_runs(2, unmodified_days=60)
        rows = [*rows_of(sandbox, [first]), {"id": second, "name": "no timestamp"}]
        for run_id in (first, second):
            sandbox.touch(run_id)
        report = hook.archive_runs(rows)
        assert [entry.result for entry in report.entries.values()] == ["modified", "changed"]

    def test_another_format_of_the_same_time_is_not_a_modification(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(3, unmodified_days=60))
        for row in rows:
            row["last_updated"] = row["last_updated"].replace(".000Z", "Z")
        assert hook.archive_runs(rows).counts["changed"] == 3

    def test_update(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(20, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.touch(ids[3])
        report = hook.update_runs(rows, {"summary": "Seen"})
        assert report.counts["modified"] == 1
        assert report.counts["changed"] == 19
        assert truth(sandbox, ids[3])["summary"] == ""

    def test_activate(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(20, archived=True, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.activate(ids[3])
        sandbox.archive(ids[3])  # somebody wants it to stay archived
        report = hook.activate_runs(rows)
        assert report.counts["modified"] == 1
        assert truth(sandbox, ids[3])["is_archived"]

    def test_undo_activates_runs_that_nobody_modified(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(120, unmodified_days=60)
        archived = hook.archive_runs(rows_of(sandbox, ids))
        restored = hook.activate_runs([entry.as_row() for entry in archived.entries.values()])
        assert restored.counts["changed"] == 120
        check_truth(sandbox, restored, archived=False)


class TestChangedByOthers:
    """Others change the same runs, and rows move between pages."""

    def test_runs_archived_by_others_are_not_written_again(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(220, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        for run_id in ids[::2]:
            sandbox.archive(run_id)
        report = hook.archive_runs(rows)
        assert report.counts["already"] == report.counts["changed"] == 110
        assert count(sandbox, "DELETE") == 110, "only the remaining runs are written"
        assert count(sandbox, "GET /runs/") == 0

    @pytest.mark.parametrize("kind", ["ids", "rows"])
    def test_runs_deleted_by_others_fail(self, kind: str, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(30)
        given = ids if kind == "ids" else rows_of(sandbox, ids)
        sandbox.when("DELETE", "/runs/*", lambda: destroy(sandbox, ids[5]))
        destroy(sandbox, ids[6])
        report = hook.archive_runs(given)
        check_sums(report, ids)
        assert report.counts == {"changed": 28, "already": 0, "modified": 0, "failed": 2, "not_tried": 0}
        for run_id in ids[5:7]:
            assert report.entries[run_id].result == "failed"
            assert "404" in report.entries[run_id].reason or "no run" in report.entries[run_id].reason
        assert not report.retryable()

    def test_two_tasks_at_once_do_each_run_once(self, sandbox: Sandbox, connect: Connect) -> None:
        ids = sandbox.add_runs(200, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        reports: list[Report] = []
        tasks = [
            threading.Thread(target=lambda hook=hook: reports.append(hook.archive_runs(rows)))
            for hook in (connect(sandbox), connect(sandbox))
        ]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
        for report in reports:
            check_sums(report, ids)
            check_truth(sandbox, report, archived=True)
            assert report.complete
        assert sum(report.counts["changed"] for report in reports) == 200, "each run is claimed by the one that did it"
        assert all(times(sandbox, run_id, "archived") == 1 for run_id in ids)

    @pytest.mark.parametrize("get_archived", ["200", "404"])
    def test_no_run_is_missed_when_rows_move_to_earlier_pages(
        self, get_archived: Any, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        sandbox.behaviour = Behaviour(get_archived=get_archived)
        others = sandbox.add_runs(60, days_old=500)
        ids = sandbox.add_runs(340, days_old=100, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.when("GET", "/runs", lambda: each(sandbox.archive, others), after=2)
        report = hook.archive_runs(rows)
        assert report.counts["changed"] == 340
        check_truth(sandbox, report, archived=True)

    def test_no_run_is_missed_when_rows_move_to_later_pages(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        # Activated runs appear before the others, so some rows move from an unread page to one that was read.
        others = sandbox.add_runs(15, days_old=500, archived=True)
        ids = sandbox.add_runs(340, days_old=100, unmodified_days=60)
        rows = rows_of(sandbox, ids)
        sandbox.when("GET", "/runs", lambda: each(sandbox.activate, others), after=2)
        report = hook.archive_runs(rows)
        assert report.counts["changed"] == 340
        check_truth(sandbox, report, archived=True)
        assert all(not truth(sandbox, run_id)["is_archived"] for run_id in others)

    def test_state_of_a_row_counts_not_the_filter_of_the_list(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        # A server that ignores "archived=only" also lists live runs.
        live, done = sandbox.add_runs(30), sandbox.add_runs(30, archived=True)
        ignore(sandbox, "archived")
        report = hook.activate_runs(rows_of(sandbox, [*live, *done]))
        assert report.complete
        check_truth(sandbox, report, archived=False)
        assert report.counts["changed"] == 30
        assert not [call for call in sandbox.calls if call.startswith("PUT") and call.split("/")[2] in live]

    def test_a_page_that_cannot_be_read(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(350, unmodified_days=60))
        sandbox.fail("GET", "/runs", Fault.unreadable_page(), times=None, after=3)
        change = hook.bulk_change("archive", rows)
        with pytest.raises(TallyfyServerError):
            change.run()
        check_sums(change.report, [row["id"] for row in rows])
        check_truth(sandbox, change.report, archived=True)
        assert change.report.counts["changed"] > 0
        assert "TallyfyServerError" in change.report.stopped


def each(action: Callable[[str], None], run_ids: list[str]) -> None:
    for run_id in run_ids:
        action(run_id)


def destroy(sandbox: Sandbox, run_id: str) -> None:
    """Delete a run permanently, without a request."""
    with sandbox.organization.lock:
        sandbox.organization.runs.pop(run_id, None)
        sandbox.organization.version += 1


def ignore(sandbox: Sandbox, *names: str) -> None:
    """Let the server ignore parameters of lists."""
    index = sandbox._server.dispatcher.index
    find = index.find
    index.find = lambda query: find({**{n: v for n, v in query.items() if n not in names}, **_wider(names)})  # type: ignore[method-assign]


def _wider(names: tuple[str, ...]) -> dict[str, str]:
    return {"archived": "true"} if "archived" in names else {}


class TestRetry:
    def test_writes_only_to_the_remaining_runs(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        ids = sandbox.add_runs(220)
        sandbox.fail("DELETE", "/runs/*", Fault.status(403), times=20, after=100)
        first = hook.archive_runs(ids)
        assert first.counts["failed"] == 20
        sandbox.forget_requests()
        second = hook.archive_runs(ids, look_first=True)
        assert second.counts["already"] == 200
        assert second.counts["changed"] == 20
        assert count(sandbox, "DELETE") == 20
        assert count(sandbox, "GET /runs/") == 0
        assert len(sandbox.requests) <= 20 + 2 + 3

    def test_runs_that_the_first_try_archived_count_as_already_archived(
        self, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        rows = rows_of(sandbox, sandbox.add_runs(50, unmodified_days=60))
        assert hook.archive_runs(rows).counts["changed"] == 50
        assert hook.archive_runs(rows, look_first=True).counts["already"] == 50

    def test_works_where_archived_runs_cannot_be_read_by_id(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.behaviour = Behaviour(get_archived="404", second_archive="404")
        live, done = sandbox.add_runs(30), sandbox.add_runs(30, archived=True)
        report = hook.archive_runs([*live, *done], look_first=True)
        assert (report.counts["changed"], report.counts["already"]) == (30, 30)


class TestUpdateTags:
    @pytest.fixture(params=["replace", "ignore"])
    def put_tags(self, request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
        sandbox.behaviour = Behaviour(put_tags=request.param)
        mode: str = request.param
        return mode

    @pytest.fixture
    def tags(self, sandbox: Sandbox) -> dict[str, str]:
        return {title: sandbox.add_tag(title) for title in ("Stale", "Review", "Keep")}

    def test_add(self, put_tags: str, sandbox: Sandbox, hook: TallyfyHook, tags: dict[str, str]) -> None:
        member = sandbox.add_member("ann@example.com")
        plain = sandbox.add_runs(10, users=[member])
        kept = sandbox.add_runs(10, tags=[tags["Keep"]], users=[member])
        has = sandbox.add_runs(10, tags=[tags["Stale"]], users=[member])
        report = hook.update_runs([*plain, *kept, *has], {"add_tags": ["stale"]})
        assert report.counts["changed"] == 20
        assert report.counts["already"] == 10
        assert all(truth(sandbox, run_id)["tags"] == [tags["Stale"]] for run_id in (*plain, *has))
        assert all(set(truth(sandbox, run_id)["tags"]) == {tags["Keep"], tags["Stale"]} for run_id in kept)
        assert all(run["users"] == [member] for run in sandbox.runs())
        assert count(sandbox, "GET /tags") == 1, "titles are looked up once, not once per run"

    def test_remove(self, put_tags: str, sandbox: Sandbox, hook: TallyfyHook, tags: dict[str, str]) -> None:
        both = sandbox.add_runs(10, tags=[tags["Keep"], tags["Stale"]])
        kept = sandbox.add_runs(10, tags=[tags["Keep"]])
        report = hook.update_runs([*both, *kept], {"remove_tags": ["Stale"], "add_tags": [tags["Review"]]})
        assert report.counts["changed"] == 20
        wanted = {tags["Keep"], tags["Review"]}
        assert all(set(truth(sandbox, run_id)["tags"]) == wanted for run_id in (*both, *kept))

    def test_replace(self, put_tags: str, sandbox: Sandbox, hook: TallyfyHook, tags: dict[str, str]) -> None:
        ids = sandbox.add_runs(10, tags=[tags["Keep"], tags["Stale"]])
        assert hook.update_runs(ids, {"tags": ["Review", "keep"]}).counts["changed"] == 10
        assert all(set(truth(sandbox, run_id)["tags"]) == {tags["Keep"], tags["Review"]} for run_id in ids)
        assert hook.update_runs(ids, {"tags": []}).counts["changed"] == 10
        assert all(truth(sandbox, run_id)["tags"] == [] for run_id in ids)

    def test_create_missing(self, put_tags: str, sandbox: Sandbox, hook: TallyfyHook, tags: dict[str, str]) -> None:
        ids = sandbox.add_runs(10)
        report = hook.update_runs(ids, {"add_tags": ["New", "Stale"], "create_missing_tags": True})
        assert report.counts["changed"] == 10
        (new,) = [tag.id for tag in sandbox.organization.tags.values() if tag.title == "New"]
        assert all(set(truth(sandbox, run_id)["tags"]) == {new, tags["Stale"]} for run_id in ids)
        assert count(sandbox, "POST /tags") == 1

    def test_no_tag_is_created_if_the_arguments_are_refused(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError, match="no tag has this title"):
            hook.update_runs(sandbox.add_runs(1), {"remove_tags": ["New"], "create_missing_tags": True})
        assert count(sandbox, "POST") == 0


class TestReport:
    def test_names_reasons_and_runs(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        good, bad = sandbox.add_run("Good"), sandbox.add_run("Bad")
        sandbox.fail("DELETE", f"/runs/{bad}", Fault.status(403, {"message": "Hands off."}))
        report = hook.archive_runs([{"id": good, "name": "Good"}, {"id": bad, "name": "Bad"}, UNKNOWN])
        rows = {row["run_id"]: row for row in (entry.as_row() for entry in report.entries.values())}
        assert rows[good] == {
            "run_id": good,
            "result": "changed",
            "name": "Good",
            "last_updated": truth(sandbox, good)["last_updated"],
        }
        assert "Hands off." in rows[bad]["reason"]
        assert rows[bad]["name"] == "Bad"
        assert rows[UNKNOWN]["result"] == "failed"

    def test_examples_are_few(self, sandbox: Sandbox, connect: Connect) -> None:
        hook = connect(sandbox, password=sandbox.token_for("light"))
        summary = hook.archive_runs(sandbox.add_runs(100)).summary()
        assert summary["failed"] == 100
        assert len(summary["examples"]["failed"]) == EXAMPLES

    def test_progress_is_logged(self, sandbox: Sandbox, hook: TallyfyHook, monkeypatch: pytest.MonkeyPatch) -> None:
        lines: list[str] = []
        seen: list[dict[str, int]] = []
        log = SimpleNamespace(info=lambda text, *values: lines.append(text % values), debug=lambda *_: None)
        monkeypatch.setattr(TallyfyHook, "log", log)
        hook.archive_runs(
            sandbox.add_runs(60), progress_every=0.0, on_progress=lambda report: seen.append(report.counts)
        )
        form = re.compile(r"(\d+) of 60 runs done, 0 failed, [\d.]+ runs/s(, about \d+ s left)?\.")
        done = [int(match[1]) for match in map(form.fullmatch, lines) if match]
        assert len(done) == len(lines) > 3
        assert done == sorted(done)
        assert done[-1] == 60
        assert [counts["changed"] for counts in seen] == done

    def test_progress_is_logged_at_most_once_per_interval(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        seen: list[Any] = []
        hook.archive_runs(sandbox.add_runs(60), progress_every=3600.0, on_progress=seen.append)
        assert seen == []
