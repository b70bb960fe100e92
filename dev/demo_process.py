"""The Airflow of the demo: one process with a separate AIRFLOW_HOME, which runs one DAG after the other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from dev import demo_screen as screen
from dev.airflow_stack import UNWANTED
from dev.demo_airflow import END_OF_RUN

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".demo"
EXAMPLES = ROOT / "example_dags"
RUN_SECONDS = 300  # a DAG run that takes longer is killed


class Failed(Exception):
    """The demo failed. The message tells the user why."""


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


def keep_log(folder: Path) -> str:
    """Copy the log to a place where it is kept, and return a sentence that names it."""
    kept = SCRATCH / "airflow.log"
    shutil.copy(folder / "airflow.log", kept)
    return f"Airflow's complete log: {kept.relative_to(ROOT)}"


class AirflowProcess:
    """Runs example DAGs, and shows this provider's lines of their log. Leaving the context ends the process.

    :param folder: AIRFLOW_HOME.
    :param connection: the connection ``tallyfy_default``.
    """

    def __init__(self, folder: Path, connection: dict[str, Any]) -> None:
        self.folder = folder
        self._connection = connection
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> AirflowProcess:
        self._child = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("demo_airflow.py"))],
            cwd=self.folder, env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        child = self._child
        assert child is not None
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # its DAG runs have ended, or nobody waits for them any more
        child.communicate()

    def run(self, dag_id: str, params: dict[str, Any], leave_out: str | None = None) -> dict[str, Any]:
        """Run an example DAG, and return its result: state, seconds, and the tasks with their XComs.

        :param leave_out: pattern for the ids of tasks that are not run.
        :raises Failed: if Airflow ends before the DAG run does.
        """
        child = self._child
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        result = self.folder / f"{dag_id}.json"
        job = {
            "dag_file": str(EXAMPLES / f"{dag_id}.py"),
            "params": params,
            "leave_out": leave_out,
            "result": str(result),
        }
        timer = threading.Timer(RUN_SECONDS, child.kill)
        timer.start()
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(json.dumps(job) + "\n")
                child.stdin.flush()
            with (self.folder / "airflow.log").open("a") as log, screen.Progress("Airflow is starting") as progress:
                for line in child.stdout:
                    if line.rstrip() == END_OF_RUN:
                        break
                    line = line.replace(self._connection["password"], "***")
                    log.write(line)
                    progress.read(line)
        finally:
            timer.cancel()
        if not result.exists():
            raise Failed(f"Airflow ended with exit code {child.wait(10)}. {keep_log(self.folder)}")
        outcome: dict[str, Any] = json.loads(result.read_text())
        return outcome

    def _environment(self) -> dict[str, str]:
        """The environment variables of a separate Airflow that writes to ``folder`` only."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
        return {
            **kept,
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW_CONN_TALLYFY_DEFAULT": json.dumps(self._connection),
            "TMPDIR": str(self.folder / "tmp"),
            "NO_COLOR": "1",
            "NO_PROXY": ",".join(filter(None, (kept.get("NO_PROXY"), "127.0.0.1"))),
            "PYTHONUNBUFFERED": "1",
        }
