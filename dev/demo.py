"""``make demo``: real Airflow archives the stale runs of a Tallyfy organization, then launches runs for people.

The organization is a sandbox on loopback, unless TALLYFY_ORGANIZATION_ID and TALLYFY_ACCESS_TOKEN are set. With these,
the demo only lists the runs that it would archive in that organization; ``make demo ARCHIVE=1`` archives them.
``make demo UI=1`` starts all of Airflow with its web interface, on the sandbox. All files are in ``.demo/``, and are
removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from airflow_provider_tallyfy.sandbox import Sandbox, sample_organization
from dev import demo_screen as screen
from dev.airflow_stack import AirflowFailed
from dev.demo_process import EXAMPLES, AirflowProcess, Failed, home, keep_log

DAG = "tallyfy_nightly_sweep"
FIND, ARCHIVE, REPORT = "find", "archive", "report"
LAUNCH_DAG = "tallyfy_onboarding"
HIRES = 3
RUNS = 20  # in the sandbox: enough for one of each kind, and few enough for two tables on one screen


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
    screen.title("Airflow + Tallyfy: archive stale runs, then hand work to people")
    archived = sum(row.archived for row in before)
    screen.heading(1, f"Before: {organization.organization.name}, {len(before)} runs, {archived} of them archived")
    screen.note(f"A Tallyfy sandbox in this process, at {organization.url}")
    screen.table(before)

    with AirflowProcess(folder, organization.connection()) as airflow:
        screen.heading(2, f"Airflow runs example_dags/{DAG}.py")
        outcome = sweep(airflow, days)
        show_sweep(organization, before, outcome, folder)
        screen.heading(5, f"Airflow runs example_dags/{LAUNCH_DAG}.py")
        show_launch(airflow, organization)
    screen.note("")
    screen.note(f"{time.monotonic() - started:.0f} s. The same with Airflow's web interface: make demo UI=1")


def show_sweep(organization: Sandbox, before: list[screen.Row], outcome: dict[str, Any], folder: Path) -> None:
    """Show what the sweep has changed."""
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


def show_launch(airflow: AirflowProcess, organization: Sandbox) -> None:
    """Launch a run for each of three new hires, and show people's answers."""
    known = {run["id"] for run in organization.runs()}
    # A person who answers at once. In the real Tallyfy, people take hours or days.
    organization.people.always("fill", task="Create accounts", answers={"Work e-mail": "new.hire@northwind.example"})
    outcome = airflow.run(LAUNCH_DAG, {"hires": HIRES})
    show_states(outcome)
    require_success(outcome, airflow.folder)
    launched = {run["id"] for run in organization.runs()} - known
    screen.heading(6, f"Launched: {len(launched)} runs, whose tasks people complete now")
    screen.table([row for row in screen.rows_of(organization) if row.run_id in launched])
    answers = {label: answer for label, answer in left_by(outcome, "read_answers")["answers"].items() if answer}
    screen.pair("Answers (XCom)", screen.wrapped(json.dumps(answers)))


# -- a real account ---------------------------------------------------------------------------------------------------


def show_account(account: Account, folder: Path, days: int, archive: bool) -> None:
    """Show the stale runs of a real organization.

    :param archive: archive them, instead of only listing them.
    """
    what = "archive" if archive else "only list"
    screen.title(f"Airflow + Tallyfy: {what} runs that are complete and unchanged for {days} days")
    screen.heading(1, f"Airflow runs example_dags/{DAG}.py")
    screen.note(f"Organization {account.organization_id} at {account.api_url or 'Tallyfy'}")
    with AirflowProcess(folder, account.connection) as airflow:
        outcome = sweep(airflow, days, only_list=not archive)
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


def sweep(airflow: AirflowProcess, days: int, only_list: bool = False) -> dict[str, Any]:
    """Run the DAG of the sweep, and return its result.

    :param only_list: run only the tasks that find runs and do the dry run.
    """
    reports = airflow.folder / "reports"
    leave_out = f"^({ARCHIVE}|{REPORT})$" if only_list else None
    outcome = airflow.run(DAG, {"days": days, "reports": str(reports)}, leave_out)
    outcome["archived"] = [
        row["run_id"]
        for path in reports.glob("*.jsonl")
        for row in map(json.loads, path.read_text().splitlines())
        if row.get("result") == "changed"  # the first line, the header, has no result
    ]
    show_states(outcome, dict.fromkeys((ARCHIVE, REPORT), "left out") if only_list else {})
    return outcome


def show_states(outcome: dict[str, Any], instead: Mapping[str, str] = MappingProxyType({})) -> None:
    """Show how a DAG run and its tasks ended.

    :param instead: words for tasks that were left out.
    """
    tasks = ", ".join(f"{name}: {state}" for name, state in (states_of(outcome) | dict(instead)).items())
    screen.note(f"Airflow {outcome['airflow']}: DAG run {outcome['state']} in {outcome['seconds']:.1f} s ({tasks})")


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
