"""``python -m airflow_provider_tallyfy.sandbox``: runs the sandbox until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from airflow_provider_tallyfy.sandbox.sample import sample_organization
from airflow_provider_tallyfy.sandbox.sandbox import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Start a sandbox, print its address and how to connect, and wait for a signal.

    :param arguments: command line, without the program's name.
    :returns: exit code.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    sandbox = Sandbox(latency=options.latency, rate_limit=options.rate_limit, port=options.port, seed=options.seed)
    if not options.empty:
        sample_organization(sandbox, seed=options.seed or 1, runs=options.runs)
    try:
        for told in options.people:
            sandbox.people.tell(**told)
    except (TypeError, ValueError) as error:
        parser.error(f"--people: {error}")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox.start()
    except OSError as error:
        print(f"The sandbox can't listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        print(describe(sandbox, options.latency, options.rate_limit), flush=True)
        stop.wait()
    finally:
        sandbox.stop()
    with contextlib.suppress(BrokenPipeError):
        print("The sandbox has stopped. Nothing is kept.", flush=True)
    return 0


def describe(sandbox: Sandbox, latency: float = 0.0, rate_limit: tuple[int, float] | None = None) -> str:
    """Return the text that tells how to use a running sandbox.

    :param sandbox: a started sandbox.
    :param latency: its latency in seconds.
    :param rate_limit: its rate limit.
    """
    organization = sandbox.organization
    states = Counter(run.status for run in organization.runs.values() if run.archived_at is None)
    live = sum(states.values())
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    connection = sandbox.connection_json()
    pace = [f"{latency:g} s latency"] if latency else []
    pace += [f"at most {rate_limit[0]} requests per {rate_limit[1]:g} s"] if rate_limit else []
    return "\n".join(
        [
            f"Tallyfy sandbox ready at {sandbox.url}",
            "",
            f"  Organization   {organization.name}",
            f"                 {sandbox.organization_id}",
            f"  Runs           {live} ({counted or 'none'}), {len(organization.runs) - live} archived",
            f"  Also           {len(organization.templates)} templates, {len(organization.members)} members,"
            f" {len(organization.tags)} tags, {len(organization.folders)} folders",
            *([f"  Pace           {', '.join(pace)}"] if pace else []),
            f"  Page           {sandbox.url}/",
            f"  API            {sandbox.url} and {sandbox.api_url}",
            f"  Look inside    {sandbox.url}/_sandbox/runs, /_sandbox/requests, /_sandbox/people",
            "",
            "Connect Airflow, either way:",
            "",
            f"  airflow connections add tallyfy_default --conn-json {shlex.quote(connection)}",
            "",
            f"  export AIRFLOW_CONN_TALLYFY_DEFAULT={shlex.quote(connection)}",
            "",
            "Ctrl-C stops it. Nothing is kept.",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_tallyfy.sandbox",
        description="A Tallyfy organization on 127.0.0.1, to try DAGs against. Nothing leaves this machine.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds added to every response")
    parser.add_argument(
        "--rate-limit", type=_rate, metavar="N/S", help="requests per seconds, e.g. 140/10; more get 429"
    )
    parser.add_argument("--runs", type=int, default=60, metavar="N", help="runs in the organization (default: 60)")
    parser.add_argument("--seed", type=int, metavar="N", help="makes ids and token reproducible")
    parser.add_argument(
        "--people",
        type=_told,
        action="append",
        default=[],
        metavar="JSON",
        help="what people do on every run that is launched, any number of times: "
        """'{"act": "approve", "task": "Go-live approval", "after": 20}'""",
    )
    parser.add_argument("--empty", action="store_true", help="no templates, no runs, no tags")
    return parser


def _rate(text: str) -> tuple[int, float]:
    requests, _, seconds = text.partition("/")
    try:
        rate = int(requests), float(seconds or 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 140/10") from None
    if rate[0] < 1 or rate[1] <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} lets nothing through")
    return rate


def _told(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON") from None
    if not isinstance(told, dict) or "act" not in told:
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object with an act")
    return told


if __name__ == "__main__":
    sys.exit(main())
