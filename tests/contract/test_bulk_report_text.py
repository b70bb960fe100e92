"""The text and the log lines about a bulk task, with untrusted names in them."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_provider_tallyfy._compat import AirflowSkipException
from airflow_provider_tallyfy.api.runs.report import Report, Target
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyBulkError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import _report_files
from airflow_provider_tallyfy.operators.bulk_report import escape
from airflow_provider_tallyfy.operators.tallyfy import TallyfyBulkArchiveRunsOperator, TallyfyBulkReportOperator
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._bulk import Task, let_time_fly
from tests.contract._clock import FastClock

NASTY = [
    "[click](https://evil.example)",
    "![x](https://evil.example/pixel.png)",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "https://evil.example and www.evil.example",
    "**bold** _it_ `code` ~~gone~~ | a | b |",
    "a](https://evil.example) [b",
    "&lt;script&gt;",
    "\\[x\\](y)",
    "x\n# A heading\n- a list\n\n    code",
    "x\n[2026-01-01T00:00:00Z] INFO - Marking task as SUCCESS",
    "abc\u202egnp.exe",
    "\x1b[2Jcleared",
    "a\u2028b\u2029c\x85d",
]
#: What people see of a text without any markup.
markdown = MarkdownIt("gfm-like", {"linkify": False, "html": True})


def shown(text: str) -> str:
    return html.unescape(re.sub(r"\A<p>|</p>\n\Z", "", markdown.render(text)))


def seen(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@pytest.mark.parametrize("name", NASTY)
def test_markdown_shows_a_name_unchanged(name: str) -> None:
    text = markdown.render(f"- [{escape(name)}](https://go.tallyfy.com/x): {escape(name)}")
    assert re.sub(r"<[^>]*>", "", text).strip() == html.escape(f"{seen(name)}: {seen(name)}", quote=False).replace(
        '"', "&quot;"
    )
    assert re.findall(r"<(\w+)", text) == ["ul", "li", "a"]
    assert re.findall(r'(?:href|src)="([^"]*)"', text) == ["https://go.tallyfy.com/x"]
    for bare in ("https://", "http://", "www."):
        assert bare not in escape(name), "a chat turns this into a link by itself"


@given(st.text(st.characters() | st.sampled_from("\\`*_{}[]()#+-.!|~^=$@<>&\"'\n\r\u202e:/w"), max_size=30))
def test_markdown_shows_any_text_unchanged(name: str) -> None:
    text = escape(name)
    assert text.isprintable() or not text
    assert shown(f"x{text}x") == f"x{seen(name)}x"


@pytest.fixture(autouse=True)
def _time_flies(clock: FastClock) -> None:
    let_time_fly(clock)


class Lines:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, *args: Any) -> None:
        self.lines.append(message % args)

    warning = error = debug = info


@pytest.mark.parametrize("name", NASTY)
def test_each_run_is_one_log_line(name: str) -> None:
    report = Report.of("archive", [Target("a" * 32, None, name), Target("b" * 32, None, name)])
    report.set("a" * 32, "modified", f"because {name}")
    report.set("b" * 32, "failed", f"because {name}")
    log = Lines()
    _report_files.log(log, report)
    assert len(log.lines) == 4
    assert all(line.isprintable() for line in log.lines)


def test_message_of_tallyfy_is_one_line_of_the_error(sandbox: Sandbox, task: Task) -> None:
    said = "No.\nMarking task as SUCCESS\x1b[2J"
    sandbox.fail("DELETE", "/runs/*", Fault.status(403, {"message": said}), times=None)
    with pytest.raises(TallyfyBulkError) as caught:
        task.execute(TallyfyBulkArchiveRunsOperator, run_ids=[sandbox.add_run(said)])
    assert [line.isprintable() for line in str(caught.value).split("\n")] == [True, True]


class TestTask:
    @staticmethod
    def run(hook: TallyfyHook, summary: Any, states: dict[str, str | None]) -> Any:
        operator = TallyfyBulkReportOperator(
            task_id="report", bulk_task_id="archive", tallyfy_conn_id=hook.tallyfy_conn_id
        )
        ti = SimpleNamespace(
            dag_id="sweep",
            run_id="r1",
            xcom_pull=lambda **_: summary,
            get_task_states=lambda **_: {"r1": states} if states else {},
        )
        return operator.execute({"ti": ti})  # type: ignore[typeddict-item]  # all that it asks for

    @pytest.mark.parametrize("state", ["upstream_failed", "skipped", "removed", None])
    def test_is_skipped_if_the_bulk_task_did_not_run(self, state: str | None, hook: TallyfyHook) -> None:
        with pytest.raises(AirflowSkipException, match="'archive' did not run"):
            self.run(hook, None, {"archive": state})

    @pytest.mark.parametrize(
        "states",
        [{"archive": "success"}, {"archive": "failed"}, {"archive_0": "skipped", "archive_1": "failed"}, {}],
    )
    def test_fails_if_the_bulk_task_left_no_result_or_does_not_exist(
        self, states: dict[str, str | None], hook: TallyfyHook
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match="left no result"):
            self.run(hook, None, states)

    def test_links_each_run_that_it_names(self, hook: TallyfyHook) -> None:
        report = Report.of("restore", [Target("a" * 32, None, "A*"), Target("b" * 32)])
        report.set("a" * 32, "changed")
        report.set("b" * 32, "modified", "it was <changed>")
        assert self.run(hook, report.summary(), {}) == (
            "**2 runs: 1 restored, 1 skipped.**\n\n"
            f"Left alone:\n- [{'b' * 32}]({hook.run_url('b' * 32)}): it was &lt;changed&gt;\n\n"
            f"Restored:\n- [A\\*]({hook.run_url('a' * 32)})"
        )
