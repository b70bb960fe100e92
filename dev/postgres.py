"""A temporary PostgreSQL server as a context manager. It can be stopped and started again in between.

It listens on a free port on loopback only, with a random password. PostgreSQL refuses to run as root. If this process
is root, the server runs as the user ``postgres``, which Debian's package creates.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from dev.airflow_stack import HOST, free_port

USER = DATABASE = "airflow"
START_SECONDS, STOP_SECONDS = 30, 20

#: Debian installs the programs of each version into a folder below this one, which is not on PATH.
DEBIAN = Path("/usr/lib/postgresql")

#: The data need not survive a power cut; without this safety, PostgreSQL is several times as fast.
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": HOST,
    "max_connections": "200",
    "synchronous_commit": "off",
    "unix_socket_directories": "",
}


class PostgresFailed(Exception):
    """PostgreSQL is missing or did not start. The message has the reason."""


class Postgres:
    """A database server with one empty database, in a folder that is removed at the end."""

    def __init__(self) -> None:
        self._programs = programs()
        self._account = _account()
        # Not in the checkout, because PostgreSQL's user may not be allowed to open that folder.
        self.folder = Path(tempfile.mkdtemp(prefix="airflow-provider-tallyfy-postgres-"))
        self._data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.password = secrets.token_hex(16)
        self._port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables that make Airflow use this database."""
        address = f"{USER}:{self.password}@{HOST}:{self._port}/{DATABASE}"
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}"}

    def start(self) -> None:
        """Start the server, and return when it answers.

        :raises PostgresFailed: if it does not answer.
        """
        options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-p", str(self._port), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._as_account(),
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while self._run("pg_isready", "-h", HOST, "-p", str(self._port)).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL did not start.\n{self.tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server at once, like a crash: all connections and transactions are cut off."""
        if self.process is None:
            return
        # SIGQUIT is PostgreSQL's immediate shutdown, which also ends its child processes.
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def tail(self, lines: int = 25) -> str:
        """The last lines of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def __enter__(self) -> Postgres:
        try:
            self._prepare()
            self.start()
            self._must("createdb", "-h", HOST, "-p", str(self._port), "-U", USER, DATABASE)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _prepare(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._account is not None:
            for path in (self.folder, secret):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        self._must(
            *("initdb", "--pgdata", str(self._data), "--username", USER, "--pwfile", str(secret), "--no-sync"),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"),
        )
        secret.unlink()

    def _must(self, program: str, *arguments: str) -> None:
        done = self._run(program, *arguments)
        if done.returncode:
            raise PostgresFailed(f"{program} ended with exit code {done.returncode}.\n{done.stdout}\n{done.stderr}")

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._programs / program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=START_SECONDS, check=False, **self._as_account(),
        )  # fmt: skip

    def _as_account(self) -> dict[str, Any]:
        """User, folder and environment of PostgreSQL's programs, without the PostgreSQL settings of the shell."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        common = {"cwd": self.folder, "env": {**kept, "PGPASSWORD": self.password, "LC_ALL": "C"}}
        if self._account is None:
            return common
        return {**common, "user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}


def programs() -> Path:
    """The folder with the programs of the newest PostgreSQL.

    :raises PostgresFailed: if PostgreSQL is not installed.
    """
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    found = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))])
    if not found:
        raise PostgresFailed("PostgreSQL is not installed. On Debian and Ubuntu: sudo apt-get install postgresql")
    return found[-1].parent


def _account() -> pwd.struct_passwd | None:
    """The user that PostgreSQL must run as; ``None`` = the current user."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise PostgresFailed("PostgreSQL refuses to run as root, and the user postgres does not exist.") from None
