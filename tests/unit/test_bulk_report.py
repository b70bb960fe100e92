"""The runs of a bulk change, and its report: complete when read back, and of limited size in an XCom."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem
from airflow_provider_tallyfy.api.runs.report import (
    EXAMPLES,
    RESULTS,
    UNCLEAR,
    Entry,
    Report,
    Target,
    plain,
    targets,
)
from airflow_provider_tallyfy.api.runs.saved_report import (
    Header,
    read_report,
    whole_report,
)

A, B, C = "a" * 32, "b" * 32, "c" * 32
WHEN = "2026-01-01T00:00:00.000Z"


ORG = "0" * 32
HEADER = Header("archive", ORG, dag_id="sweep", dag_run_id="r1", task_id="archive", began=WHEN)


def problem(kind: Kind, message: str = "No.") -> Problem:
    return Problem(kind, message, "DELETE", "/x")


class TestTargets:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ([A, B], [Target(A), Target(B)]),
            ((A, A, B, A), [Target(A), Target(B)]),
            (iter([A]), [Target(A)]),
            ([{"id": A, "last_updated": WHEN, "name": "x"}], [Target(A, WHEN, "x")]),
            ([{"run_id": A, "result": "changed"}], [Target(A)]),
            ([{"id": A, "run_id": B}], [Target(A)]),
            ([{"id": A, "last_updated": ""}, {"id": B, "last_updated": 7}], [Target(A), Target(B)]),
            ([A, {"id": A, "last_updated": WHEN}], [Target(A, WHEN)]),  # the entry with last_updated counts
            ([{"id": A, "last_updated": WHEN}, A], [Target(A, WHEN)]),
            ([{"run_id": A, "before": {"name": "x"}}], [Target(A, before={"name": "x"})]),
            ([{"id": A, "before": 7, "name": 7}], [Target(A)]),
            ([], []),
        ],
    )
    def test_ids_and_rows_are_read(self, value: Any, expected: list[Target]) -> None:
        assert targets("run_ids", value) == expected

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (None, "the upstream task returned nothing"),
            ("", "the upstream task returned nothing"),
            (A, "not a list of run ids"),
            (f"['{A}']", "render_template_as_native_obj"),
            (7, "not a list of run ids"),
            (b"x", "not a list of run ids"),
            (True, "not a list of run ids"),
            ({"id": A}, r"Pass \[row\], or \[row\['id'\]\]"),
        ],
    )
    def test_anything_but_a_list_is_an_error(self, value: Any, words: str) -> None:
        with pytest.raises(ArgumentError, match=rf"run_ids=.*{words}"):
            targets("run_ids", value)

    @pytest.mark.parametrize(
        "entry", [None, "", " ", "None", "a/b", "..", "a?b", 7, [A], {}, {"id": None}, {"name": A}]
    )
    def test_error_names_the_position_of_an_invalid_entry(self, entry: Any) -> None:
        with pytest.raises(ArgumentError, match=r"run_ids\[1\]"):
            targets("run_ids", [A, entry])

    def test_more_runs_than_max_runs_is_an_error(self) -> None:
        assert len(targets("run_ids", [A, B, A], 2)) == 2
        with pytest.raises(ArgumentError, match=r"has 3 runs, but max_runs is 2\. Nothing was changed"):
            targets("run_ids", [A, B, C], 2)


ids = st.text("0123456789abcdef", min_size=32, max_size=32)
entries = st.builds(
    Entry,
    run_id=ids,
    result=st.sampled_from(RESULTS),
    reason=st.text(max_size=60),
    name=st.none() | st.text(max_size=40),
    last_updated=st.none() | st.just(WHEN),
    unclear=st.booleans(),
    before=st.none() | st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=2),
)
reports = st.builds(
    lambda rows, dry, doing: Report(doing, {row.run_id: row for row in rows}, dry),
    st.lists(entries, max_size=30),
    st.booleans(),
    st.sampled_from(["archive", "activate", "update", "restore"]),
)


class TestReport:
    @given(reports)
    def test_report_is_the_same_after_writing_and_reading(self, report: Report) -> None:
        saved = read_report(whole_report(HEADER, report))
        assert saved.header == HEADER
        assert list(saved.rows) == list(report.entries)
        for run_id, entry in report.entries.items():
            row = saved.rows[run_id]
            assert (row["result"], row["name"], row["last_updated"]) == (entry.result, entry.name, entry.last_updated)
            assert (row.get("reason", ""), row.get("before")) == (entry.reason, entry.before)
            assert (bool(row.get("unclear")), bool(row.get("dry_run"))) == (entry.unclear, report.dry_run)

    @pytest.mark.parametrize("name", ["a\u2028b", "a\x85b", "a\rb", "a\nb", "\ud83d", "\U0001f600", '"', "\\"])
    def test_any_name_is_the_same_after_writing_and_reading(self, name: str) -> None:
        report = Report("archive", {A: Entry(A, "changed", name=name), B: Entry(B, "failed", "x")})
        assert read_report(whole_report(HEADER, report).encode().decode()).rows[A]["name"] == name

    @given(reports, st.integers(2, 40))
    def test_truncated_last_line_is_ignored(self, report: Report, cut: int) -> None:
        if not report.entries:
            return
        rows = read_report(whole_report(HEADER, report)[:-cut]).rows
        assert list(rows) == list(report.entries)[:-1]

    @given(reports)
    def test_counts_and_summary(self, report: Report) -> None:
        counts, summary = report.counts, report.summary()
        assert sum(counts.values()) == len(report.entries) == summary["total"]
        assert {name: summary[name] for name in RESULTS} == counts
        assert report.complete is (counts["failed"] == counts["not_tried"] == 0)
        assert json.loads(json.dumps(summary)) == summary
        for result, examples in summary["examples"].items():
            assert len(examples) == min(counts[result], EXAMPLES)
            assert all(example["result"] == result for example in examples)

    def test_size_of_the_summary_is_limited(self) -> None:
        sizes = []
        for number in (100, 10_000):
            report = Report("archive", {f"{n:032x}": Entry(f"{n:032x}", RESULTS[n % 5], "why") for n in range(number)})
            sizes.append(len(json.dumps(report.summary())))
        assert sizes[1] - sizes[0] < 50

    def test_no_run_of_a_new_report_is_tried(self) -> None:
        report = Report.of("archive", [Target(A, WHEN, "x"), Target(B)])
        assert report.entries[A] == Entry(A, "not_tried", "", "x", WHEN)
        assert not report.complete

    def test_reason_is_one_short_line(self) -> None:
        report = Report.of("archive", [Target(A)])
        report.fail(A, problem(Kind.SERVER, "first\n  second" + "x" * 2000))
        assert report.entries[A].reason.startswith("first second")
        assert len(report.entries[A].reason) == 500

    def test_result_updates_name_and_last_updated(self) -> None:
        report = Report.of("archive", [Target(A, WHEN, "x")])
        report.set(A, "changed", run={"name": "y", "last_updated": "2026-02-01T00:00:00Z"})
        assert report.entries[A] == Entry(A, "changed", "", "y", "2026-02-01T00:00:00Z")
        report.set(A, "already", run={"name": None})
        assert report.entries[A] == Entry(A, "already", "", "y", "2026-02-01T00:00:00Z")

    @pytest.mark.parametrize(
        ("doing", "dry_run", "stopped", "sentence"),
        [
            ("archive", False, "", "3 runs: 1 archived, 1 already archived, 1 failed"),
            ("activate", False, "", "3 runs: 1 activated, 1 already active, 1 failed"),
            ("update", True, "", "3 runs: 1 would be updated, 1 already up to date, 1 failed"),
            ("archive", False, "enough", "3 runs: 1 archived, 1 already archived, 1 failed. Stopped early: enough"),
            ("restore", False, "", "3 runs: 1 restored, 1 already restored, 1 failed"),
        ],
    )
    def test_sentence_counts_the_results(self, doing: str, dry_run: bool, stopped: str, sentence: str) -> None:
        report = Report(
            doing, {A: Entry(A, "changed"), B: Entry(B, "already"), C: Entry(C, "failed")}, dry_run, stopped
        )
        assert report.sentence() == sentence

    def test_one_run_is_singular(self) -> None:
        assert Report("archive", {A: Entry(A, "changed")}).sentence() == "1 run: 1 archived"
        assert Report("archive", {}).sentence() == "0 runs: 0 archived"


class TestRetryable:
    @pytest.mark.parametrize(
        ("kinds", "not_tried", "retryable"),
        [
            ([], 0, False),
            ([], 5, True),
            ([Kind.NOT_FOUND], 0, False),
            ([Kind.FORBIDDEN], 5, False),  # stopped by failures that a retry can't fix
            ([Kind.SERVER], 0, True),
            ([Kind.RATE_LIMITED], 5, True),
            ([Kind.UNREACHABLE], 0, True),
            ([Kind.INDETERMINATE], 0, True),
            ([Kind.NOT_FOUND, Kind.SERVER], 0, True),
            ([Kind.AUTH], 5, False),
            ([Kind.AUTH, Kind.SERVER], 5, False),
            ([Kind.ARCHIVED, Kind.VALIDATION, Kind.NOT_APPLIED], 0, False),
            ([Kind.UNREPEATABLE], 0, False),
        ],
    )
    def test_retryable_by_kinds_of_failure(self, kinds: list[Kind], not_tried: int, retryable: bool) -> None:
        report = Report.of("archive", [Target(f"{n:032x}") for n in range(len(kinds) + not_tried)])
        for number, kind in enumerate(kinds):
            report.fail(f"{number:032x}", problem(kind))
        assert report.retryable() is retryable


class TestMergingAnEarlierTry:
    @pytest.mark.parametrize(
        ("now", "before", "result"),
        [
            ("already", "changed", "changed"),
            ("not_tried", "changed", "changed"),
            ("already", "failed", "already"),
            ("already", "not_tried", "already"),
            ("already", "already", "already"),
            ("modified", "changed", "modified"),
            ("failed", "changed", "failed"),
            ("changed", "failed", "changed"),
            ("not_tried", "failed", "not_tried"),
        ],
    )
    def test_results_are_merged(self, now: Any, before: str, result: str) -> None:
        report = Report("archive", {A: Entry(A, now)})
        for _ in range(2):  # at each save
            report.merge_earlier({A: {"run_id": A, "result": before}})
            assert report.entries[A].result == result

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            # A new search no longer finds what the first try archived.
            ({"result": "changed", "last_updated": WHEN}, ("changed", False, WHEN)),
            ({"result": "not_tried", "unclear": True}, ("already", True, None)),
            ({"result": "not_tried"}, None),
            ({"result": "already"}, None),
            ({"result": "failed"}, None),
        ],
    )
    def test_changed_runs_of_the_earlier_try_are_kept_if_the_retry_did_not_get_them(
        self, row: Any, expected: Any
    ) -> None:
        report = Report("archive", {B: Entry(B, "changed")})
        for _ in range(2):
            report.merge_earlier({A: row})
        entry = report.entries.get(A)
        assert (entry and (entry.result, entry.unclear, entry.last_updated)) == expected

    @pytest.mark.parametrize(
        ("now", "before", "unclear_before", "unclear"),
        [
            ("already", "not_tried", True, True),  # killed before it recorded the change, or somebody else made it
            ("already", "not_tried", False, False),  # nothing was sent for it, so somebody else changed it
            ("already", "failed", True, True),
            ("already", "failed", False, False),
            ("already", "already", True, True),  # and remains unclear
            ("already", "already", False, False),
            ("already", "modified", False, False),
            ("changed", "not_tried", True, False),
            ("not_tried", "not_tried", True, True),
            ("not_tried", "not_tried", False, False),
            ("failed", "not_tried", True, True),
            ("failed", "changed", False, True),  # this try could not read whether the change still holds
        ],
    )
    def test_runs_that_the_earlier_try_may_have_changed_are_unclear(
        self, now: Any, before: str, unclear_before: bool, unclear: bool
    ) -> None:
        report = Report("archive", {A: Entry(A, now)})
        report.merge_earlier({A: {"run_id": A, "result": before, "unclear": unclear_before}})
        entry = report.entries[A]
        assert (entry.result, entry.unclear) == (now, unclear)
        assert (entry.reason == UNCLEAR) is (unclear and now == "already")

    def test_old_values_are_those_that_the_first_try_read(self) -> None:
        report = Report("update", {A: Entry(A, "changed", before={"summary": "half", "name": "n"}), B: Entry(B)})
        report.merge_earlier(
            {
                A: {"result": "failed", "before": {"summary": "first"}},
                B: {"result": "not_tried", "unclear": True, "before": {"summary": "b"}},
            }
        )
        assert report.entries[A].before == {"summary": "first", "name": "n"}
        assert report.entries[B].before == {"summary": "b"}

    def test_last_updated_of_the_earlier_try_is_kept_for_runs_not_tried(self) -> None:
        report = Report(
            "archive", {A: Entry(A, "not_tried", last_updated="old"), B: Entry(B, "already", last_updated="new")}
        )
        report.merge_earlier({x: {"result": "changed", "last_updated": WHEN} for x in (A, B)})
        assert [entry.last_updated for entry in report.entries.values()] == [WHEN, "new"]


@given(st.text())
def test_untrusted_text_becomes_one_printable_line(text: str) -> None:
    line = plain(text)
    assert line.isprintable() or not line
    assert plain("a b \u00e9 \U0001f600") == "a b \u00e9 \U0001f600"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\n[2026] INFO - Marking task as SUCCESS", "x\\n[2026] INFO - Marking task as SUCCESS"),
        ("a\u202eb", "a\\u202eb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\ud83d", "\\ud83d"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_unprintable_characters_become_escapes(text: str, shown: str) -> None:
    assert plain(text) == shown
