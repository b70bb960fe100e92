"""Interrupts bulk changes at many moments: ``python interrupt_driver.py <times> <connection id>``.

As in 2.11, the handler of SIGTERM calls ``on_kill`` and raises an exception that is not an ``Exception``, wherever the
main thread is. Prints one line for each change: how it ended, how many runs the report shows as changed and as unclear,
and whether that is true. If a change hangs, prints the stacks and stops.
"""

from __future__ import annotations

import faulthandler
import random
import signal
import sys
import time
from typing import Any

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

RUNS = 24
HANGS = 20.0  # seconds


class Terminated(BaseException):
    """Like ``AirflowTaskTerminated`` of 2.11."""


def main(times: int, conn_id: str) -> None:
    hook = TallyfyHook(conn_id)
    ids = [run["id"] for run in hook.iter_runs()]
    whole = 0.0
    for number in range(times):
        change = hook.bulk_change("update", ids, changes={"summary": f"Seen {number}"}, skip_modified=False)

        def terminate(*_: Any, change: Any = change) -> None:
            change.stop("the task was killed", at_once=True)
            raise Terminated

        signal.signal(signal.SIGALRM, terminate)
        faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.stdout)
        started = time.monotonic()
        how = "ended"
        try:
            try:
                if number:  # the first change measures how long one takes
                    signal.setitimer(signal.ITIMER_REAL, max(random.uniform(0, whole), 1e-6))
                change.run()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Terminated:
            how = "interrupted"
        whole = whole or time.monotonic() - started
        faulthandler.cancel_dump_traceback_later()
        results = change.report.entries.values()
        told = {entry.run_id for entry in results if entry.result == "changed"}
        unsure = {entry.run_id for entry in results if entry.result == "failed"}
        true = {run["id"] for run in hook.iter_runs() if run["summary"] == f"Seen {number}"}
        right = told <= true <= told | unsure
        print(how, len(told), len(unsure), "right" if right else "WRONG", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
