"""The processes of a benchmark: the sandbox and the clients. Each has its own Python interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
SDK_PYTHON = ROOT / ".venv-sdk" / "bin" / "python"


def clean_environment(home: str, **more: str) -> dict[str, str]:
    """The environment variables of this process, with a separate AIRFLOW_HOME and without other settings of Airflow.

    :param home: folder for Airflow's files.
    :param more: more variables.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **kept,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(home) / "dags"),
        "NO_PROXY": "127.0.0.1",
        "PYTHONWARNINGS": "ignore",
        **more,
    }


class Process:
    """A process that reads and prints lines of JSON. It ends when its standard input is closed.

    :param command: command line.
    :param environment: environment variables.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in __exit__
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def read(self) -> Any:
        """Return the next line that the process prints.

        :raises RuntimeError: if the process has ended; with the end of its log.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise RuntimeError(f"{self._command} ended: {self._log.read()[-3000:]}")
        return json.loads(line)

    def ask(self, **question: Any) -> Any:
        """Send a line, and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.read()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


class Server(Process):
    """A sandbox process.

    :param runs: number of active runs in its organization.
    :param latency: seconds added to every answer.
    :param limit: ``(requests, seconds)``, or ``None``.
    """

    def __init__(self, runs: int, latency: float = 0.0, limit: tuple[int, float] | None = None) -> None:
        options = [str(runs), str(latency), *(str(part) for part in limit or ())]
        super().__init__([sys.executable, "-m", "benchmarks.server", *options])
        self.about = self.read()
        self._unused = list(self.about["run_ids"])

    def take(self, count: int) -> list[str]:
        """Return ids of active runs that were not taken before."""
        taken, self._unused = self._unused[:count], self._unused[count:]
        assert len(taken) == count
        return taken

    def counted(self) -> dict[str, Any]:
        """The number of requests since the last call, in all and by status."""
        found = self._control("GET")
        self._control("DELETE")
        return found

    def archived(self) -> int:
        """The number of archived runs."""
        with urlopen(f"{self.about['url']}/_sandbox") as answer:
            return int(json.load(answer)["archived_runs"])

    def _control(self, method: str) -> dict[str, Any]:
        with urlopen(Request(f"{self.about['url']}/_sandbox/requests", method=method)) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


class Client(Process):
    """A client to compare: a module of ``benchmarks.clients`` in a process.

    :param name: name of the module.
    :param server: the sandbox that it calls.
    :param home: its AIRFLOW_HOME.
    """

    def __init__(self, name: str, server: Server, home: str) -> None:
        about = {key: value for key, value in server.about.items() if key != "run_ids"}
        python = str(SDK_PYTHON) if name == "sdk" else sys.executable
        environment = clean_environment(home, AIRFLOW_CONN_TALLYFY_DEFAULT=about["connection"])
        environment["AIRFLOW_CONN_HTTP_DEFAULT"] = _http_connection(about)
        super().__init__([python, "-m", f"benchmarks.clients.{name}", json.dumps(about)], environment)
        self.read()


def _http_connection(about: Mapping[str, str]) -> str:
    """The connection for the HTTP provider, which sends its extras as headers."""
    headers = {
        "Authorization": f"Bearer {about['token']}",
        "Accept": "application/json",
        "X-Tallyfy-Client": "APIClient",
    }
    return json.dumps({"conn_type": "http", "host": about["url"], "extra": headers})
