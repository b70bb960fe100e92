"""All of Airflow on this machine, as a context manager: for the demo's web interface and the browser tests.

Each component is a process, as in production. They listen on loopback only, and write to a temporary AIRFLOW_HOME.
This works with Airflow 3 and 2.11. It needs only Python, so it can start the Airflow of another environment.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

HOST = "127.0.0.1"
USER, PASSWORD = "admin", "admin"
START_SECONDS, STOP_SECONDS, COMMAND_SECONDS = 120, 20, 120

#: ``--skip-serve-logs``: the servers for log files would listen on all interfaces, and one machine does not need them.
COMPONENTS: Mapping[int, Mapping[str, Sequence[str]]] = {
    2: {"webserver": ("--workers", "1"), "scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)},
    3: {
        "api-server": (),
        "scheduler": ("--skip-serve-logs",),
        "dag-processor": (),
        "triggerer": ("--skip-serve-logs",),
    },
}

#: Variables of the shell that are not passed on, because they would change Airflow or make it use a real account.
UNWANTED = ("AIRFLOW", "TALLYFY", "PYTHONWARNINGS", "PYTHONPATH", "VIRTUAL_ENV")


class AirflowFailed(Exception):
    """Airflow did not start, or one of its processes has ended. The message has the end of the log."""


class Airflow:
    """Airflow's components. Entering the context starts them, leaving it stops them.

    :param home: an empty folder; everything that Airflow writes goes there.
    :param dags: the DAGs folder.
    :param python: interpreter of the environment that Airflow is installed in.
    :param port: port of the web interface on 127.0.0.1, if it is free; 0 = any.
    :param settings: more environment variables for all processes, such as ``AIRFLOW__CORE__PARALLELISM``.
    :param prepare: arguments of commands that this interpreter runs before the start, instead of
        ``-m airflow db migrate``.
    :param supervised: if a component ends, start it again instead of failing, like systemd or Kubernetes in production.
        Some components end when they lose the database. ``restarted`` lists those that were started again.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        python: str | Path = sys.executable,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        prepare: Sequence[Sequence[str]] = (("-m", "airflow", "db", "migrate"),),
        supervised: bool = False,
    ) -> None:
        self.home = home.resolve()
        self.python = str(python)
        self.version = self._version()
        self.major = int(self.version.split(".")[0])
        self.url = f"http://{HOST}:{free_port(port)}"
        self.environment = self._environment(dags) | dict(settings or {})
        self._prepare = prepare
        self._supervised = supervised
        self.restarted: list[str] = []
        self._token: str | None = None
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()

    # -- start and stop ------------------------------------------------------------------------------------------------

    def start(self) -> Airflow:
        """Create the database, start the components, and return when all of them are healthy."""
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        if self.major >= 3:
            # The users of Airflow's simple login, with a password that a person can type.
            (self.home / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({USER: PASSWORD}))
        for command in self._prepare:
            self._must(*command)
        if self.major == 2:
            self._must(
                *("-m", "airflow", "users", "create", "--username", USER, "--password", PASSWORD, "--role", "Admin"),
                *("--firstname", "Ada", "--lastname", "Admin", "--email", "admin@sandbox.example"),
            )
        try:
            for name in COMPONENTS[self.major]:
                self._start(name)
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Terminate all components, and kill those processes that do not end in time."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(max(0.1, deadline - time.monotonic()))
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # Processes that started their own session, such as the web server's workers.
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.processes.clear()

    def __enter__(self) -> Airflow:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def require_alive(self) -> None:
        """Raise if a component has ended; if they are supervised, start it again instead.

        :raises AirflowFailed: with the name of the component.
        """
        for name, process in list(self.processes.items()):
            if process.poll() is None:
                continue
            if not self._supervised:
                raise self._failure(f"Airflow's {name} ended with exit code {process.returncode}", name)
            # First kill its remaining child processes, as a container would.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            self._start(name)
            self.restarted.append(name)

    def pids(self) -> list[int]:
        """All processes of this Airflow, with their children; empty on systems without ``/proc``."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # The name is in parentheses and may contain anything; state, parent, group and session follow it.
                session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
                # The environment variables are no help, because Airflow overwrites them with the process titles.
                if session in self._sessions or (folder / "cwd").readlink() == self.home:
                    found.append(int(folder.name))
        return found

    def tails(self, lines: int = 25) -> str:
        """The last lines of all logs."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(line[:300] for line in _lines(path)[-lines:])
            for path in sorted(self.home.glob("*.log"))
        )

    # -- commands and requests -----------------------------------------------------------------------------------------

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the ``airflow`` command."""
        return self._run("-m", "airflow", *arguments)

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Call the public REST API.

        :param path: below ``/api/v2`` (Airflow 3) or ``/api/v1`` (2.11).
        :raises urllib.error.HTTPError: if the answer is an error.
        """
        if self._token is None:
            self._token = self._log_in()
        return self._ask(method, f"/api/v{self.major - 1}{path}", body, {"Authorization": self._token})

    def _log_in(self) -> str:
        if self.major == 2:
            return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        answer = self._ask("POST", "/auth/token", {"username": USER, "password": PASSWORD}, {})
        return f"Bearer {answer['access_token']}"

    def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
            method=method,
        )
        # The proxy settings of the shell must not apply to loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None

    # -- inside --------------------------------------------------------------------------------------------------------

    def _environment(self, dags: Path) -> dict[str, str]:
        """The settings of an Airflow that only this machine can reach."""
        port = self.url.rpartition(":")[2]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(UNWANTED)}
        common = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "TMPDIR": str(self.home / "tmp"),
            "NO_COLOR": "1",
            "NO_PROXY": ",".join(filter(None, (kept.get("NO_PROXY"), HOST))),
            "PYTHONUNBUFFERED": "1",
            # Airflow starts some processes (2.11: all tasks) with the command `airflow`.
            "PATH": os.pathsep.join((str(Path(self.python).parent), kept.get("PATH", os.defpath))),
        }
        if self.major == 2:
            return {
                **kept,
                **common,
                "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth,airflow.api.auth.backend.session",
                "AIRFLOW__WEBSERVER__BASE_URL": self.url,
                "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(32),
                "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": HOST,
                "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": port,
            }
        return {
            **kept,
            **common,
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        }

    def _version(self) -> str:
        """The version of Airflow in the environment, without an import of Airflow."""
        script = "import importlib.metadata as metadata; print(metadata.version('apache-airflow'))"
        found = subprocess.run([self.python, "-c", script], capture_output=True, text=True, timeout=30, check=False)
        if found.returncode:
            raise AirflowFailed(f"Airflow is not installed for {self.python}.")
        return found.stdout.strip()

    def _start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("a") as log:
            # In a new session, so that only this process gets Ctrl-C; it then stops the others in order.
            process = subprocess.Popen(
                [self.python, "-W", "ignore", "-m", "airflow", name, *COMPONENTS[self.major][name]],
                env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.home,
                start_new_session=True,
            )  # fmt: skip
        self.processes[name] = process
        self._sessions.add(process.pid)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-W", "ignore", *arguments],
            env=self.environment, cwd=self.home, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip

    def _must(self, *arguments: str) -> None:
        done = self._run(*arguments)
        with (self.home / "prepare.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            raise self._failure(
                f"A command before the start of Airflow ended with exit code {done.returncode}", "prepare"
            )

    def _wait_until_healthy(self) -> None:
        path = "/health" if self.major == 2 else "/api/v2/monitor/health"
        needed = {"metadatabase", "scheduler", "triggerer"} | ({"dag_processor"} if self.major >= 3 else set())
        deadline = time.monotonic() + START_SECONDS
        health: Mapping[str, Any] = {}
        while time.monotonic() < deadline:
            self.require_alive()
            with contextlib.suppress(OSError, ValueError):
                health = self._ask("GET", path, None, {})
                if all((health.get(part) or {}).get("status") == "healthy" for part in needed):
                    return
            time.sleep(0.2)
        states = {part: (health.get(part) or {}).get("status") for part in sorted(needed)}
        raise AirflowFailed(f"Airflow was not healthy after {START_SECONDS} s: {states}.\n{self.tails()}")

    def _failure(self, what: str, log: str) -> AirflowFailed:
        lines = [f"    {line[:200]}" for line in _lines(self.home / f"{log}.log")[-15:]]
        return AirflowFailed("\n".join([f"{what}. The end of its log:", *lines]))


def free_port(wanted: int = 0) -> int:
    """Return the port if it is free, otherwise another free port."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            # Without this, a port counts as used for a minute after it was closed.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise OSError("no port is free")


def _lines(log: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return log.read_text(errors="replace").splitlines()
    return []
