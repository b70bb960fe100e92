"""``make demo UI=1``: the whole of Airflow, with its web interface, until Ctrl-C."""

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
    # DAGs run when somebody clicks, not because it is midnight somewhere.
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
}


def show_ui(sandbox: Sandbox, folder: Path, examples: Path) -> None:
    """Start Airflow, say where to look, wait for Ctrl-C, stop everything.

    :param folder: Airflow's home.
    :param examples: the DAGs folder.
    :raises AirflowFailed: if Airflow does not start, or ends by itself.
    """
    started = time.monotonic()
    print("Airflow is starting; that takes some 20 seconds ...", flush=True)
    # The database, with the connection in it, so that the web interface shows it.
    job = json.dumps({"connection": sandbox.connection()})
    prepare = [[str(Path(__file__).with_name("demo_airflow.py")), job]]
    settings = {**SETTINGS, "AIRFLOW_VAR_TALLYFY_REPORTS": str(folder / "reports")}
    airflow = Airflow(folder, examples, port=PORT, settings=settings, prepare=prepare)
    try:
        airflow.start()
        tell(sandbox, airflow.url, examples, time.monotonic() - started)
        with contextlib.suppress(KeyboardInterrupt):  # which is how it is meant to end
            while True:
                airflow.require_alive()
                time.sleep(0.5)
    finally:
        say("\nStopping Airflow ...")
        airflow.stop()
    say("Everything is stopped, and nothing is kept.")


def say(words: str) -> None:
    """Print, if there is still somebody to read it: a closed terminal must not keep Airflow from being stopped."""
    with contextlib.suppress(OSError):
        print(words, flush=True)


def tell(sandbox: Sandbox, address: str, examples: Path, seconds: float) -> None:
    """Say where to look, how to log in, and what to click, in that order."""
    screen.title("Airflow is up, with a Tallyfy organization beside it")
    screen.pair("Airflow", f"{address}      login: {USER}, password: {PASSWORD}")
    screen.pair("Tallyfy (sandbox)", f"{sandbox.url}")
    print(
        f"""
   1. {sandbox.url}
      The organization: which runs are complete and long unchanged?
   2. {address}/connections
      The connection tallyfy_default. Its button "Test Connection" asks the sandbox.
   3. {address}/dags/tallyfy_nightly_sweep
      "Trigger", then "Trigger" in the form that comes up. Among the task instances, "archive": its
      log lists the runs, "Storage" > "XCom" counts them; "report" makes a text of it, with links.
   4. {address}/dags/tallyfy_archive_stale_runs
      The same with one mapped task per run. "Trigger", with "Days" set to 1, for nothing is stale
      for 30 any more. Each "archive" has, under "Details", the button "Open in Tallyfy".
   5. {sandbox.url}
      The organization again: the stale runs are archived now.

   The DAGs are those in {examples.name}/: edit them, Airflow reads them again within half a minute.
   Up in {seconds:.0f} s. Ctrl-C stops everything.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit("Run this as: make demo UI=1")
