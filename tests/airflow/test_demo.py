"""``make demo`` as a person runs it: what it shows, what it does, and that nothing stays behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # comes with Airflow
import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from dev import demo_ui

ROOT = Path(__file__).parents[2]
SCRATCH = ROOT / ".demo"


@dataclass(frozen=True)
class Demo:
    """A demo that has ended.

    :param outside: folders in which it might have written, and must not have.
    :param mark: in the environment of everything that it has started.
    """

    returncode: int
    output: str
    outside: Path
    mark: str


@dataclass(frozen=True)
class Account:
    """A sandbox that plays the real account, and the demo that was run on it."""

    sandbox: Sandbox
    demo: Demo
    stale: list[str]
    before: list[object]


class Running:
    """A demo under way."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.demo", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            env={
                **os.environ,
                **environment,
                "HOME": str(folder / "home"),
                "TMPDIR": str(folder / "tmp"),
                "MARK": self.mark,
                # What a developer may have set, and must not get in the way.
                "AIRFLOW_HOME": str(folder / "home" / "airflow"),
                "AIRFLOW__CORE__DAGS_FOLDER": "/nowhere",
            },
        )  # fmt: skip

    def end(self) -> Demo:
        output, _ = self.process.communicate(timeout=110)
        return Demo(self.process.returncode, output, self.folder, self.mark)


def account_of(sandbox: Sandbox) -> dict[str, str]:
    return {
        "TALLYFY_API_URL": sandbox.api_url,
        "TALLYFY_ORGANIZATION_ID": sandbox.organization_id,
        "TALLYFY_ACCESS_TOKEN": sandbox.token,
    }


@dataclass(frozen=True)
class Demos:
    """One of each kind."""

    plain: Demo
    listed: Account
    archived: Account


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demos]:
    folder = tmp_path_factory.mktemp("demos")
    with ExitStack() as stack:
        listed, archived = stack.enter_context(Sandbox()), stack.enter_context(Sandbox())
        before = []
        for sandbox in (listed, archived):
            sandbox.add_run("Fresh", completed_days_ago=2)
            sandbox.add_run("Stale", completed_days_ago=50)
            sandbox.add_run("Staler", completed_days_ago=90)
            before.append(sandbox.runs())
        # One that this token may not archive.
        locked = archived.add_run("Locked", completed_days_ago=70)
        archived.fail("DELETE", f"/runs/{locked}", Fault.status(403), times=None)
        # Side by side, for each spends most of its time on starting Airflow.
        running = [
            Running(folder / "plain"),
            Running(folder / "listed", **account_of(listed)),
            Running(folder / "archived", "--archive", **account_of(archived)),
        ]
        plain, by_listing, by_archiving = (demo.end() for demo in running)
        yield Demos(
            plain,
            Account(listed, by_listing, ["Staler", "Stale"], [*before[0]]),
            Account(archived, by_archiving, ["Staler", "Stale"], [*before[1]]),
        )


@pytest.fixture(params=["plain", "listed", "archived"])
def each(request: pytest.FixtureRequest, demos: Demos) -> Demo:
    found = getattr(demos, request.param)
    return found.demo if isinstance(found, Account) else found


def rows_in(output: str, heading: str) -> list[str]:
    """The rows of the table below a heading."""
    _, _, below = output.partition(heading)
    lines = below.split("\n\n")[0].splitlines()
    start = next(number for number, line in enumerate(lines) if re.match(r"\s+run\s+state\s", line))
    return [line for line in lines[start + 1 :] if re.search(r" ago$| now$", line)]


def test_sandbox_before_and_after(demos: Demos) -> None:
    output = demos.plain.output
    assert demos.plain.returncode == 0, output
    before, after = rows_in(output, "1. Before:"), rows_in(output, "3. After:")
    assert len(before) == len(after) == 20
    changed = [(old, new) for old, new in zip(before, after, strict=True) if new.startswith(" * ")]
    assert 5 <= len(changed) < 15
    assert f"{len(changed)} of them just now (*)" in output
    for old, new in changed:
        assert " complete " in old
        assert " archived " in new
        assert new.endswith("just now")
    unchanged = [(old, new) for old, new in zip(before, after, strict=True) if not new.startswith(" * ")]
    assert [old.split() for old, _ in unchanged] == [new.split() for _, new in unchanged]


def test_sandbox_what_airflow_did(demos: Demos) -> None:
    output = demos.plain.output
    number = len([line for line in rows_in(output, "3. After:") if line.startswith(" * ")])
    assert re.search(rf"Looked at \d+ runs, kept {number}\.", output)
    assert f"{number} runs: {number} would be archived." in output
    assert f"{number} runs: {number} archived." in output
    states = "find: success, guard: success, archive: success, report: success"
    assert re.search(rf"Airflow [\d.]+: DAG run success in .* \({states}\)", " ".join(output.split()))
    assert f'XCom of archive     {{"total": {number}, "changed": {number},' in output
    links = re.findall(
        r"- \[.+\]\(http://127\.0\.0\.1:\d+/[0-9a-f]{32}/processes/[0-9a-f]{32}\)$", output, re.MULTILINE
    )
    assert len(links) == number


def test_account_is_only_listed_unless_told_otherwise(demos: Demos) -> None:
    account = demos.listed
    assert account.demo.returncode == 0, account.demo.output
    assert account.sandbox.runs() == account.before
    assert {record.method for record in account.sandbox.requests} == {"GET"}
    rows = rows_in(account.demo.output, "2. 2 runs are stale; archived just now: 0")
    assert [row.split()[0] for row in rows] == account.stale
    assert "2 runs: 2 would be archived." in account.demo.output
    assert "archive: left out, report: left out" in " ".join(account.demo.output.split())
    assert "make demo ARCHIVE=1" in account.demo.output


def test_account_is_archived_when_told_so(demos: Demos) -> None:
    account = demos.archived
    assert sorted(run["name"] for run in account.sandbox.runs(archived=True)) == sorted(account.stale)
    rows = rows_in(account.demo.output, "2. 3 runs are stale; archived just now: 2 (*)")
    assert [row.split()[:3] for row in rows if row.startswith(" * ")] == [
        ["*", name, "archived"] for name in account.stale
    ]
    assert [row.split()[:2] for row in rows if not row.startswith(" * ")] == [["Locked", "complete"]]


def test_failure_is_told(demos: Demos) -> None:
    output = demos.archived.demo.output
    assert demos.archived.demo.returncode == 1
    told = " ".join(output.split())
    assert "archive: failed" in told
    assert "TallyfyBulkRefusedError: 3 runs: 2 archived, 1 failed." in told
    assert re.search(r"[0-9a-f]{32}: DELETE /runs/[0-9a-f]{32} failed with 403", told)
    assert "light members can't archive" in told.lower()
    assert "The demo failed: the DAG run ended as failed." in output
    log = SCRATCH / "airflow.log"
    assert f"Airflow's whole log: {log.relative_to(ROOT)}" in output
    assert "TallyfyBulkRefusedError" in log.read_text()
    assert demos.archived.sandbox.token not in log.read_text()


def test_no_token_is_shown(each: Demo, demos: Demos) -> None:
    for token in ("sandbox-admin-", demos.listed.sandbox.token[-20:], demos.archived.sandbox.token[-20:]):
        assert token not in each.output


def test_output_fits_the_screen(each: Demo) -> None:
    assert "\x1b" not in each.output
    assert "Traceback" not in each.output
    assert [line for line in each.output.splitlines() if len(line) > 100 and "://" not in line] == []


def test_nothing_is_left_running(each: Demo) -> None:
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == each.mark:
                left.append(process.cmdline())
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    assert left == []


def test_nothing_is_written_elsewhere(each: Demo) -> None:
    assert sorted(path.name for path in each.outside.rglob("*")) == ["home", "tmp"]
    # In the checkout, the log of a failure is all that stays.
    assert [path.name for path in SCRATCH.iterdir()] == ["airflow.log"]


def test_airflow_is_stopped_when_the_terminal_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Stack:
        url = "http://127.0.0.1:1"
        start = staticmethod(lambda: done.append("start"))
        stop = staticmethod(lambda: done.append("stop"))

        @staticmethod
        def require_alive() -> None:
            # As a closed terminal does: SIGHUP, and nobody reads any more.
            monkeypatch.setattr("builtins.print", nobody_reads)
            raise KeyboardInterrupt

    def nobody_reads(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(demo_ui, "Airflow", lambda *_, **__: Stack)
    with Sandbox() as sandbox:
        demo_ui.show_ui(sandbox, tmp_path, ROOT / "example_dags")
    assert done == ["start", "stop"]


@pytest.mark.parametrize("given", ["TALLYFY_ORGANIZATION_ID", "TALLYFY_ACCESS_TOKEN"])
def test_half_an_account_is_refused(given: str, tmp_path: Path) -> None:
    demo = Running(tmp_path, **{given: "a" * 32}).end()
    assert demo.returncode == 1
    assert f"{given} is set" in demo.output
