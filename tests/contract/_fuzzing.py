"""Makes thousands of generated calls, and reports those that end in a way that is not allowed.

Findings are collected and reported together, one for each kind and place, with the smallest call that shows it, so that
a whole class of defects can be fixed instead of its first case.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from airflow_provider_tallyfy._compat import AirflowException, AirflowSkipException
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConfigurationError, TallyfyError
from airflow_provider_tallyfy.operators.tallyfy import TallyfyBulkArchiveRunsOperator
from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._hostile_answers import Spoilt
from tests.contract._hostile_arguments import World
from tests.contract._public_surface import PACKAGE, Case, Context, call_hook, make_operator
from tests.contract._raw_server import Answer, Cut, RawServer, Request

CONN_ID = "tallyfy_generated"
#: More requests than any call needs, whatever the answers are.
MOST_REQUESTS = 400
#: Seconds that a call may take, without waits.
LONGEST = 20.0
#: Number of calls and seed for `make soak`. Without them the tests make a fixed set of calls.
CALLS, SEED = int(os.environ.get("FUZZ_CALLS", "0")), int(os.environ.get("FUZZ_SEED", "0"))
_BATCH = 2000


class Endless(BaseException):
    """A call that does not end. Not an ``Exception``, because the code under test catches those."""


@dataclass
class Finding:
    """A defect at one place."""

    text: str
    case: Case
    count: int = 0
    members: Counter[str] = field(default_factory=Counter)


class Clock:
    """Makes waits pass at once and advances the clock by them, for the whole process."""

    def __init__(self, patch: pytest.MonkeyPatch, is_endless: Callable[[], bool]) -> None:
        self._ahead = 0.0
        self._monotonic, self._wait, self._is_endless = time.monotonic, threading.Event.wait, is_endless
        clock = self

        def wait(event: threading.Event, timeout: float | None = None) -> bool:
            if timeout is None:
                return clock._wait(event)
            came = clock._wait(event, min(timeout, 0.001))
            if not came:
                clock.sleep(timeout)
            return came

        patch.setattr(time, "sleep", self.sleep)
        patch.setattr(time, "monotonic", lambda: clock._monotonic() + clock._ahead)
        patch.setattr(threading.Event, "wait", wait)

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        if self._is_endless():
            raise Endless
        self._ahead += max(float(seconds), 0.0)


class Fuzz:
    """Makes calls and collects findings.

    :param folder: where files may be written.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        # Its warnings about each corrupted header would hide everything else.
        patch.setattr(logging.getLogger("urllib3"), "disabled", True)
        patch.setattr(logging.getLogger("urllib3.connection"), "disabled", True)
        self.calls = 0
        self.findings: dict[tuple[str, str], Finding] = {}
        self._server = RawServer(self._answer)
        self._sandbox: Sandbox | None = None
        self._case: Case | None = None
        self._count = 0
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.spoilt = 0

    @classmethod
    def below(cls, folder: Path, patch: pytest.MonkeyPatch) -> Fuzz:
        """Create one that works in a deep folder, so that relative paths in arguments stay below the test's folder."""
        inner = folder / "a" / "b" / "c"
        inner.mkdir(parents=True)
        patch.chdir(inner)
        _forget_secrets_afterwards(patch)
        return cls(inner, patch)

    # -- the server ----------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Answer:
        case, sandbox = self._case, self._sandbox
        with self._lock:
            number, self._count = self._count, self._count + 1
        if number >= MOST_REQUESTS or sandbox is None or case is None:
            return [Cut.RESET]
        line, body = self._honest(request, sandbox.port)
        spoilt = case.spoilt[number : number + 1] or (case.spoilt[-1:] if case.for_ever else ())
        self.spoilt += bool(spoilt) and spoilt[0] != Spoilt()
        return (spoilt[0] if spoilt else Spoilt()).spoil(line, body, sandbox.token)

    def _honest(self, request: Request, port: int) -> tuple[bytes, bytes]:
        """Return the answer of the sandbox."""
        with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            link.sendall(request.raw)
            answer = HTTPResponse(link, method=request.method)
            answer.begin()
            return f"HTTP/1.1 {answer.status} {answer.reason}".encode("latin-1"), answer.read()

    # -- a call --------------------------------------------------------------------------------------------------------

    def call(self, case: Case) -> None:
        """Make one call and check how it ends."""
        self.calls += 1
        with Sandbox(seed=1) as sandbox:
            world = World(sandbox, self._server.url, self.folder, self.report, self.summary)
            connection = self._connection(sandbox, dict(case.connection))
            self._patch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
            self._server.requests.clear()
            self._count, self._case, self._sandbox = 0, case, sandbox
            started = self.clock._monotonic()
            try:
                self._make(case, world)
            except Exception as error:
                if isinstance(error, (TallyfyError, AirflowSkipException) if _is_operator(case) else TallyfyError):
                    self._judge(error, case, sandbox.token)
                    self.outcomes[type(error).__name__] += 1
                else:
                    self._find(case, type(error).__name__, error)
            except Endless as error:
                self._find(case, "does not end", error)
            else:
                self.outcomes["returned"] += 1
            if self._count >= MOST_REQUESTS:
                self._find(case, f"{MOST_REQUESTS} requests", None)
            if (took := self.clock._monotonic() - started) > LONGEST:
                self._find(case, f"took {took:.0f} s", None)
            self._case = self._sandbox = None
            self._server.cut_all()

    def _connection(self, sandbox: Sandbox, overrides: dict[str, Any]) -> dict[str, Any]:
        # Reuse tokens, because Airflow's masker gets slower with each new secret.
        connection = sandbox.connection(port=self._server.port)
        extra = overrides.pop("extra", {})
        connection["extra"] = (
            {"web_url": "https://app.example", "timeout": 0.3, "max_retries": 0, **extra}
            if isinstance(extra, dict)
            else extra
        )
        return connection | overrides

    def _make(self, case: Case, world: World) -> None:
        if not _is_operator(case):
            call_hook(case, world, CONN_ID)
            return
        try:
            operator = make_operator(case, world, CONN_ID)
        except (ValueError, TypeError, AirflowException):  # this is how a DAG file reports a bad literal
            self.outcomes["refused by the constructor"] += 1
            return
        except Exception as error:
            if not _is_airflows_own(error):
                raise
            return
        if case.killed:
            operator.on_kill()
        outcome = case.outcome.make(world) if case.outcome else world.summary
        operator.execute(Context(case.try_number, outcome).as_mapping())

    def _judge(self, error: Exception, case: Case, token: str) -> None:
        shown = [*traceback.format_exception_only(error), _safe_repr(error), _safe_repr(vars(error))]
        if any(token in text for text in shown):
            self._find(case, f"token in {type(error).__name__}", error)
        if isinstance(error, TallyfyArgumentError | TallyfyConfigurationError):
            writes = [request.method for request in self._server.requests if request.is_write]
            if writes:
                self._find(case, f"{type(error).__name__} after {writes[0]}", error)

    def _find(self, case: Case, kind: str, error: BaseException | None) -> None:
        origin = _origin(error)
        finding = self.findings.setdefault((kind, origin), Finding(_text(error), case))
        finding.count += 1
        finding.members[case.member.name] += 1
        if len(repr(case)) < len(repr(finding.case)):
            finding.case, finding.text = case, _text(error)

    # -- many calls ---------------------------------------------------------------------------------------------------

    def run(self, cases: st.SearchStrategy[Case], calls: int) -> None:
        """Make a number of calls, or those of a soak.

        :raises AssertionError: if a call ended in a way that is not allowed; with a table.
        """
        self.clock = Clock(self._patch, lambda: self._count > 3 * MOST_REQUESTS)
        self.report: str = ""
        self.summary: dict[str, Any] = {}
        with self._server:
            self._prepare()
            batches = range(0, CALLS or calls, _BATCH)
            for start in batches:
                self._batch(cases, min(_BATCH, (CALLS or calls) - start), SEED + start if CALLS else None)
        told = "\n".join(self.table())
        what = f"{self.calls} calls{f' (seed {SEED})' if CALLS else ''}, {self.spoilt} spoilt answers"
        print(f"{what}: {dict(self.outcomes.most_common())}")
        assert not self.findings, f"{len(self.findings)} kinds of escapes in {what}\n{told}"

    def _batch(self, cases: st.SearchStrategy[Case], calls: int, seed: int | None) -> None:
        @hypothesis.settings(
            max_examples=calls,
            derandomize=seed is None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        @hypothesis.given(case=cases)
        def call(case: Case) -> None:
            self.call(case)

        (call if seed is None else hypothesis.seed(seed)(call))()

    def _prepare(self) -> None:
        """Run a bulk task, to get a real report and summary for operators that read them."""
        with Sandbox(seed=1) as sandbox:
            world = World(sandbox, sandbox.url, self.folder)
            self._patch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(sandbox.connection()))
            path, context = self.folder / "earlier.jsonl", Context()
            operator = TallyfyBulkArchiveRunsOperator(
                task_id="bulk",
                tallyfy_conn_id=CONN_ID,
                run_ids=[world.live, world.plain, world.archived],
                report_path=str(path),
            )
            operator.execute(cast("Any", context.as_mapping()))
            self.report, self.summary = path.read_text(encoding="utf-8"), context.pushed["summary"]

    def table(self) -> list[str]:
        """Return a table of the findings, most frequent first."""
        lines = []
        for (kind, origin), finding in sorted(self.findings.items(), key=lambda item: -item[1].count):
            members = ", ".join(f"{name} {count}" for name, count in finding.members.most_common(6))
            lines += [f"{finding.count:5} x {kind} at {origin}: {finding.text}", f"        in {members}"]
            lines.append(f"        such as {finding.case!r}")
        return lines


def _is_operator(case: Case) -> bool:
    return case.member.name.endswith("Operator")


def _is_airflows_own(error: BaseException) -> bool:
    """Whether Airflow raised the error before this package saw the argument."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if f"/{PACKAGE}/" in frame.filename:
            return False
        if "/airflow/" in frame.filename:
            return True
    return False


def _origin(error: BaseException | None) -> str:
    """Return the place in this package where an error began."""
    if error is None:
        return "?"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"/{PACKAGE}/" in frame.filename]
    frame = own[-1] if own else frames[-1]
    return f"{frame.filename.rpartition(f'/{PACKAGE}/')[2]}:{frame.lineno} {frame.name}"


def _text(error: BaseException | None) -> str:
    try:
        return ascii(str(error))[:150] if error is not None else ""
    except Exception:
        return "<an error that has no text>"


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return ""


def _forget_secrets_afterwards(patch: pytest.MonkeyPatch) -> None:
    """Undo the masking, which in this process would hide even "x" and " " from now on."""
    for name, module in list(sys.modules.items()):
        if name.endswith("secrets_masker") and hasattr(module, "_secrets_masker"):
            masker = module._secrets_masker()
            patch.setattr(masker, "patterns", set(masker.patterns))
            patch.setattr(masker, "replacer", masker.replacer)
