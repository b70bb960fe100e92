"""``make demo``: real Airflow archives the stale runs of a Tallyfy organization, and shows what it did.

The organization is a sandbox on loopback, unless TALLYFY_ORGANIZATION_ID and TALLYFY_ACCESS_TOKEN are set. With these,
the demo lists the runs that it would archive in that organization; ``make demo ARCHIVE=1`` archives them. ``make demo
UI=1`` starts all of Airflow with its web interface, on the sandbox. All files are in ``.demo/``, and are removed at the
end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from dev import demo_screen as screen
from dev.airflow_stack import UNWANTED, AirflowFailed

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".demo"
EXAMPLES = ROOT / "example_dags"
DAG = "tallyfy_nightly_sweep"
FIND, ARCHIVE, REPORT = "find", "archive", "report"
RUNS = 20  # in the sandbox: enough for one of each kind, and few enough for two tables on one screen
RUN_SECONDS = 300  # a DAG run that takes longer is killed


class Failed(Exception):
    """The demo failed. The message tells the user why."""


@dataclass(frozen=True)
class Account:
    """A real Tallyfy organization.

    :param organization_id: 32-character id.
    :param token: access token.
    :param api_url: API base URL; ``None`` = the default.
    """

    organization_id: str
    token: str
    api_url: str | None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Account | None:
        """Return the account in the environment variables, or ``None`` if there is none."""
        names = ("TALLYFY_ORGANIZATION_ID", "TALLYFY_ACCESS_TOKEN")
        organization_id, token = (environment.get(name, "").strip() for name in names)
        if not organization_id and not token:
            return None
        if not organization_id or not token:
            given, missing = names if organization_id else reversed(names)
            raise Failed(f"{given} is set, but {missing} is not. Set both for a real account, or none for the sandbox.")
        return cls(organization_id, token, environment.get("TALLYFY_API_URL", "").strip() or None)

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection to this account."""
        return {
            "conn_type": "tallyfy",
            "host": self.api_url,
            "login": self.organization_id,
            "password": self.token,
        }


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--ui", action="store_true", help="run the Airflow UI until Ctrl-C (sandbox only)")
    parser.add_argument("--archive", action="store_true", help="real account: archive the runs, not only list them")
    parser.add_argument("--days", type=int, default=30, help="stale = complete and unchanged for DAYS (default: 30)")
    options = parser.parse_args()
    # So that the demo cleans up after any of these signals. A shell makes background jobs ignore even SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        account = Account.of(os.environ)
        if options.ui:
            from dev.demo_ui import show_ui

            if account:
                print("UI=1 uses the sandbox, and not the account in TALLYFY_ORGANIZATION_ID.\n")
            with sandbox() as organization, home() as folder:
                show_ui(organization, folder, EXAMPLES)
        elif account:
            with home() as folder:
                show_account(account, folder, options.days, options.archive)
        else:
            with sandbox() as organization, home() as folder:
                show_sandbox(organization, folder, options.days)
    except (Failed, AirflowFailed) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


# -- the sandbox ------------------------------------------------------------------------------------------------------


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with realistic runs, on loopback."""
    organization = Sandbox()
    sample_organization(organization, runs=RUNS)
    with organization:
        yield organization


def show_sandbox(organization: Sandbox, folder: Path, days: int) -> None:
    """Show the organization, run the DAG, and show the organization again."""
    started = time.monotonic()
    before = screen.rows_of(organization)
    screen.title(f"Airflow + Tallyfy: archive runs that are complete and unchanged for {days} days")
    archived = sum(row.archived for row in before)
    screen.heading(1, f"Before: {organization.organization.name}, {len(before)} runs, {archived} of them archived")
    screen.note(f"A Tallyfy sandbox in this process, at {organization.url}")
    screen.table(before)

    screen.heading(2, f"Airflow runs example_dags/{DAG}.py")
    outcome = run_dag(organization.connection(), folder, days)

    # In the same order as before, so that the changes are easy to see.
    now = {row.run_id: row for row in screen.rows_of(organization)}
    after = [now[row.run_id] for row in before]
    changed = screen.changed(before, after)
    screen.heading(3, f"After: {sum(row.archived for row in after)} archived, {len(changed)} of them just now (*)")
    screen.table(after, marked=changed)
    require_success(outcome, folder)
    if not changed:
        raise Failed(f"the DAG run succeeded, but did not archive a run. {keep_log(folder)}")

    show_handover(4, outcome)
    screen.note("")
    screen.note(f"{time.monotonic() - started:.0f} s. The same with Airflow's web interface: make demo UI=1")


# -- a real account ---------------------------------------------------------------------------------------------------


def show_account(account: Account, folder: Path, days: int, archive: bool) -> None:
    """Show the stale runs of a real organization.

    :param archive: archive them, instead of only listing them.
    """
    what = "archive" if archive else "only list"
    screen.title(f"Airflow + Tallyfy: {what} runs that are complete and unchanged for {days} days")
    screen.heading(1, f"Airflow runs example_dags/{DAG}.py")
    screen.note(f"Organization {account.organization_id} at {account.api_url or 'Tallyfy'}")
    outcome = run_dag(account.connection, folder, days, only_list=not archive)
    found = left_by(outcome, FIND)
    if found is None:
        require_success(outcome, folder)
    done = archived_by(outcome)
    screen.heading(2, f"{len(found)} runs are stale; archived just now: {len(done)}{' (*)' if done else ''}")
    screen.table([screen.row_of_listing(row, row["id"] in done) for row in found], marked=done, most=40)
    require_success(outcome, folder)
    if done:
        show_handover(3, outcome)
    elif found:
        screen.note("Nothing was changed. To archive these runs: make demo ARCHIVE=1")


# -- Airflow ----------------------------------------------------------------------------------------------------------


@contextmanager
def home() -> Iterator[Path]:
    """A folder for AIRFLOW_HOME, inside the checkout, that is removed afterwards."""
    SCRATCH.mkdir(exist_ok=True)
    (SCRATCH / "airflow.log").unlink(missing_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="home-", dir=SCRATCH))
    (folder / "tmp").mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not any(SCRATCH.iterdir()):
            SCRATCH.rmdir()


def environment_for(folder: Path) -> dict[str, str]:
    """The environment variables of a separate Airflow that writes to ``folder`` only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
    return {
        **kept,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "TMPDIR": str(folder / "tmp"),
        "NO_COLOR": "1",
        "NO_PROXY": ",".join(filter(None, (kept.get("NO_PROXY"), "127.0.0.1"))),
        "PYTHONUNBUFFERED": "1",
    }


def run_dag(connection: dict[str, Any], folder: Path, days: int, only_list: bool = False) -> dict[str, Any]:
    """Run the DAG in a separate process, show this provider's lines of its log, and return its result.

    :param only_list: run only the tasks that find runs and do the dry run.
    """
    reports = folder / "reports"
    job = {
        "dag_file": str(EXAMPLES / f"{DAG}.py"),
        "params": {"days": days, "reports": str(reports)},
        "leave_out": f"^({ARCHIVE}|{REPORT})$" if only_list else None,
        "result": str(folder / "result.json"),
    }
    environment = {**environment_for(folder), "AIRFLOW_CONN_TALLYFY_DEFAULT": json.dumps(connection)}
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("demo_airflow.py")), json.dumps(job)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    timer = threading.Timer(RUN_SECONDS, child.kill)
    timer.start()
    try:
        assert child.stdout is not None
        with (folder / "airflow.log").open("w") as log, screen.Progress("Airflow is starting") as progress:
            for line in child.stdout:
                line = line.replace(connection["password"], "***")
                log.write(line)
                progress.read(line)
        child.wait()
    finally:
        timer.cancel()
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if child.returncode or not (folder / "result.json").exists():
        raise Failed(f"Airflow ended with exit code {child.returncode}. {keep_log(folder)}")
    outcome: dict[str, Any] = json.loads((folder / "result.json").read_text())
    outcome["archived"] = [
        row["run_id"]
        for path in reports.glob("*.jsonl")
        for row in map(json.loads, path.read_text().splitlines())
        if row.get("result") == "changed"  # the first line, the header, has no result
    ]
    states = states_of(outcome) | (dict.fromkeys((ARCHIVE, REPORT), "left out") if only_list else {})
    tasks = ", ".join(f"{name}: {state}" for name, state in states.items())
    screen.note(f"Airflow {outcome['airflow']}: DAG run {outcome['state']} in {outcome['seconds']:.1f} s ({tasks})")
    return outcome


def states_of(outcome: dict[str, Any]) -> dict[str, str]:
    """The final states of each task's instances, as text."""
    found: dict[str, list[str]] = {}
    for task in outcome["tasks"]:
        found.setdefault(task["task_id"], []).append(task["state"])
    return {
        task_id: ", ".join(
            f"{states.count(state)} x {state}" if len(states) > 1 else state for state in dict.fromkeys(states)
        )
        for task_id, states in found.items()
    }


def require_success(outcome: dict[str, Any], folder: Path) -> None:
    """Raise unless the DAG run succeeded."""
    if outcome["state"] != "success":
        raise Failed(f"the DAG run ended as {outcome['state']}. {keep_log(folder)}")


def keep_log(folder: Path) -> str:
    """Copy the log to a place where it is kept, and return a sentence that names it."""
    kept = SCRATCH / "airflow.log"
    shutil.copy(folder / "airflow.log", kept)
    return f"Airflow's complete log: {kept.relative_to(ROOT)}"


def archived_by(outcome: dict[str, Any]) -> set[str]:
    """The ids of the archived runs, according to the report of the sweep."""
    return set(outcome["archived"])


def left_by(outcome: dict[str, Any], task_id: str) -> Any:
    """The return value of a task."""
    return next(task["return_value"] for task in outcome["tasks"] if task["task_id"] == task_id)


def show_handover(number: int, outcome: dict[str, Any]) -> None:
    """Show the XComs for the next task of a pipeline, and for the people who read the report."""
    screen.heading(number, "The results in Airflow")
    screen.pair(f"XCom of {ARCHIVE}", screen.summary_in_brief(left_by(outcome, ARCHIVE)))
    screen.pair(f"XCom of {REPORT}", screen.indented(left_by(outcome, REPORT)))


if __name__ == "__main__":
    sys.exit(main())
