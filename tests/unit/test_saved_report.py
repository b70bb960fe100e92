"""The report of a bulk change as a file: read exactly, never quoted, and accepted only by matching operations."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.runs.report import Entry, Report, Target
from airflow_provider_tallyfy.api.runs.saved_report import (
    Header,
    SavedReport,
    as_line,
    read_report,
    sending,
    take,
    whole_report,
)

A, B, C = "a" * 32, "b" * 32, "c" * 32
WHEN = "2026-01-01T00:00:00.000Z"
ORG = "0" * 32
HEADER = Header("archive", ORG, dag_id="sweep", dag_run_id="r1", task_id="archive", began=WHEN)


class TestReading:
    LINE = as_line({"run_id": A, "result": "changed"})

    @pytest.mark.parametrize(
        "text",
        [
            *("[]", "7", "{}", '{"run_id": null}', "Dear all,\nhello", "null", "[" * 100_000, LINE),
            '{"tallyfy_bulk_report": 1}',
            '{"tallyfy_bulk_report": 2, "doing": "archive", "organization_id": "x"}',
            '{"tallyfy_bulk_report": 1, "doing": 7, "organization_id": "x"}',
        ],
    )
    def test_text_without_a_header_is_an_error(self, text: str) -> None:
        with pytest.raises(ArgumentError, match="line 1 is not a line of a bulk report"):
            read_report(text)

    @pytest.mark.parametrize(
        "line",
        [
            *("password: hunter2", '["hunter2"]', '{"hunter2": 1}', '{"sending": ["hunter2"]}', '{"sending": 7}'),
            '{"run_id": "hunter2/x", "result": "changed"}',
            f'{{"run_id": "{A}", "result": "hunter2"}}',
        ],
    )
    def test_error_names_the_invalid_line_but_does_not_quote_it(self, line: str) -> None:
        for text in (f"{HEADER.line()}{self.LINE}{line}\n{self.LINE}", f"{line}\n{self.LINE}"):
            with pytest.raises(ArgumentError, match=r"line [13] is not a line of a bulk report") as caught:
                read_report(text)
            assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("text", ["", "\n\n"])
    def test_empty_text_is_an_error(self, text: str) -> None:
        with pytest.raises(ArgumentError, match="it is empty"):
            read_report(text)

    def test_of_several_lines_about_a_run_the_last_one_counts(self) -> None:
        report = Report.of("archive", [Target(A), Target(B), Target(C)])
        text = whole_report(HEADER, report)
        text += sending([A, B]) + as_line(Entry(A, "changed", last_updated=WHEN).as_row())
        rows = read_report(text).rows
        assert [(row["result"], bool(row.get("unclear"))) for row in rows.values()] == [
            ("changed", False),
            ("not_tried", True),
            ("not_tried", False),
        ]

    def test_runs_not_tried_are_unclear_if_lines_could_not_be_appended(self) -> None:
        report = Report("archive", {A: Entry(A), B: Entry(B, "changed"), C: Entry(C, "already")})
        header = Header("archive", ORG, open="any")
        rows = read_report(whole_report(header, report)).rows
        assert [run_id for run_id, row in rows.items() if row.get("unclear")] == [A]


class TestTaking:
    """The runs that an operation takes from the report of another one."""

    ROWS: ClassVar[dict[str, Any]] = {
        A: {"result": "changed", "last_updated": WHEN, "name": "x", "before": {"summary": ""}},
        B: {"result": "not_tried", "unclear": True, "last_updated": WHEN},
        C: {"result": "already"},
    }

    @pytest.mark.parametrize("doing", ["archive", "activate", "update", "restore"])
    @pytest.mark.parametrize("by", ["archive", "activate", "update", "restore"])
    def test_accepts_only_reports_that_it_can_undo(self, doing: str, by: str) -> None:
        saved = SavedReport(Header(by, ORG), self.ROWS)
        allowed = {
            ("activate", "archive"),
            ("archive", "activate"),
            ("update", "update"),
            ("update", "activate"),
            ("restore", "update"),
            ("restore", "restore"),
        }
        if (doing, by) in allowed:
            taken, unclear, note = take(saved, doing, ORG)
            assert (taken, unclear, note) == ([Target(A, WHEN, "x", before={"summary": ""})], [B], "")
        else:
            with pytest.raises(ArgumentError, match=f"report of another operation .{by} by .*Nothing was changed"):
                take(saved, doing, ORG)

    @pytest.mark.parametrize(
        ("header", "words"),
        [(Header("archive", ORG, dry_run=True), "a dry run"), (Header("archive", "1" * 32), "about organization 1")],
    )
    def test_other_reports_are_an_error(self, header: Header, words: str) -> None:
        with pytest.raises(ArgumentError, match=f"{words}.*Nothing was changed"):
            take(SavedReport(header, self.ROWS), "activate", ORG)

    def test_unclear_runs_are_taken_if_they_were_archived_after_the_task_began(self) -> None:
        taken, unclear, _ = take(SavedReport(HEADER, self.ROWS), "activate", ORG, include_unclear=True)
        assert taken[1:] == [Target(B, archived_since=WHEN)]
        assert unclear == []

    def test_reason_if_there_is_nothing_to_take(self) -> None:
        rows: dict[str, Any] = {x: {"result": r} for x, r in ((A, "already"), (B, "failed"), (C, "modified"))}
        rows["d" * 32] = {"result": "not_tried", "unclear": True}
        assert take(SavedReport(HEADER, rows), "activate", ORG)[2] == (
            "The report shows no archived run (4 runs: 1 already archived, 1 skipped, 1 failed, 1 not tried, "
            "1 of them unclear)"
        )
        assert take(SavedReport(HEADER, {}), "activate", ORG)[2] == "The report shows no archived run (0 runs)"
