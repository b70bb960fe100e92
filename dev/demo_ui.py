"""``make demo UI=1``: all of Airflow with its web interface, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

from airflow_provider_tallyfy.sandbox import Sandbox
from dev import demo_screen as screen
from dev.airflow_stack import PASSWORD, USER, Airflow

PORT = 8080
SETTINGS = {
    # DAGs run only when the user triggers them, not on their schedule.
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
}


def show_ui(sandbox: Sandbox, folder: Path, examples: Path) -> None:
    """Start Airflow, print the addresses, wait for Ctrl-C, and stop everything.

    :param folder: Airflow's home.
    :param examples: the DAGs folder.
    :raises AirflowFailed: if Airflow does not start, or one of its processes ends.
    """
    started = time.monotonic()
    print("Airflow is starting. This takes about 20 seconds ...", flush=True)
    # Creates the database and stores the connection in it, so that the web interface shows it.
    job = json.dumps({"connection": sandbox.connection()})
    prepare = [[str(Path(__file__).with_name("demo_airflow.py")), job]]
    settings = {**SETTINGS, "AIRFLOW_VAR_TALLYFY_REPORTS": str(folder / "reports")}
    airflow = Airflow(folder, examples, port=PORT, settings=settings, prepare=prepare)
    try:
        airflow.start()
        show_addresses(sandbox, airflow.url, examples, time.monotonic() - started)
        with contextlib.suppress(KeyboardInterrupt):  # the normal end
            while True:
                airflow.require_alive()
                time.sleep(0.5)
    finally:
        say("\nStopping Airflow ...")
        airflow.stop()
    say("Everything is stopped, and all files are removed.")


def say(words: str) -> None:
    """Print, and ignore a closed terminal, because Airflow must be stopped in any case."""
    with contextlib.suppress(OSError):
        print(words, flush=True)


def show_addresses(sandbox: Sandbox, address: str, examples: Path, seconds: float) -> None:
    """Print the addresses, the login, and what to click, in that order."""
    screen.title("Airflow and a Tallyfy sandbox are running")
    screen.pair("Airflow", f"{address}      login: {USER}, password: {PASSWORD}")
    screen.pair("Tallyfy (sandbox)", f"{sandbox.url}")
    print(
        f"""
   1. {sandbox.url}
      The organization. Which runs are complete and have not changed for a long time?
   2. {address}/connections
      The connection tallyfy_default. Its button "Test Connection" calls the sandbox.
   3. {address}/dags/tallyfy_nightly_sweep
      Click "Trigger", then "Trigger" in the form. The log of the task instance "archive" lists the
      runs; "Storage" > "XCom" has their counts. The XCom of "report" is a text with links.
   4. {address}/dags/tallyfy_archive_stale_runs
      The same with one mapped task per run. Set "Days" to 1 when you trigger it, because no run is
      stale for 30 days now. Each "archive" has the button "Open in Tallyfy" under "Details".
   5. {sandbox.url}
      The organization again. The stale runs are archived now.

   The DAG files are in {examples.name}/. Airflow reads your changes to them within half a minute.
   Started in {seconds:.0f} s. Ctrl-C stops everything.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit("Run this as: make demo UI=1")
