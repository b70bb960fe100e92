"""Collects what a test session leaves behind, and searches it for access tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from dev.airflow_stack import Airflow

#: 127.0.0.1 and ::1, in the kernel's notation.
LOOPBACK = {"0100007F", "0" * 24 + "01000000"}


class ProcessList:
    """Records the command lines of Airflow's processes, twice a second."""

    def __init__(self, airflow: Airflow) -> None:
        self.seen: set[str] = set()
        self._airflow = airflow
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-list", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            for pid in self._airflow.pids():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    self.seen.add(b" ".join(words).decode(errors="replace").strip())


def dump_of(database: Path) -> str:
    """Return the whole database as SQL."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return "\n".join(connection.iterdump())


def answers_in(archive: Path) -> Iterator[tuple[str, str]]:
    """Return address and text of all responses to the browser. Its requests contain what a person typed."""
    for entry in json.loads(archive.read_text())["log"]["entries"]:
        content = entry["response"]["content"]
        text = content.get("text", "")
        if content.get("encoding") == "base64":
            text = base64.b64decode(text).decode(errors="replace")
        yield entry["request"]["url"], text


def listening(pids: Iterable[int]) -> set[str]:
    """Return the local addresses, in hexadecimal, on which these processes listen."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(file.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                address, state, inode = (line.split()[column] for column in (1, 3, 9))
                if state == "0A" and f"socket:[{inode}]" in inodes:
                    found.add(address.partition(":")[0])
    return found


def found_in(text: str, canaries: set[str]) -> list[str]:
    """Return the tokens that are in a text, in plain form or in base64."""
    forms = [(token, form) for token in canaries for form in (token, base64.b64encode(token.encode()).decode())]
    return [token for token, form in forms if form.rstrip("=") in text]
