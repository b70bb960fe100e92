"""Kill launches at random times, and retry each of them.

``python launch_driver.py <launches> <first DAG run> <template> <connection id>``. Each launch runs in its own process,
which gets a SIGKILL between its first request and a little after its usual end. Then a second process retries it. The
script prints one line per launch: its DAG run, ``killed`` or ``ended``, and how the second try ended. Waiting for
Tallyfy's read replicas is ``SPEED`` times as fast as usual.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from airflow_provider_tallyfy.client.clock import Clock
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator

SPEED = 160.0
WARM_UPS = 5


class SpeedyClock(Clock):
    """A clock that sleeps ``SPEED`` times as fast."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / SPEED)


class Launches:
    """The tries of one task, in many DAG runs.

    :param template: the template to launch.
    :param conn_id: id of the connection.
    """

    def __init__(self, template: str, conn_id: str) -> None:
        self.template = template
        self.conn_id = conn_id
        self.created = datetime.now(timezone.utc)

    def attempt(self, number: int, try_number: int, report: Callable[[str], object]) -> None:
        """Execute the operator.

        :param number: number of the DAG run.
        :param try_number: number of the try.
        :param report: called with ``.`` before the first request, and with the outcome at the end.
        """
        operator = TallyfyLaunchRunOperator(
            task_id="launch",
            template=self.template,
            name=f"Hire {number}",
            assignees={"Review": ["guest@example.org"]},
            tallyfy_conn_id=self.conn_id,
        )
        hook = operator.hook
        assert hook.settings.token  # looked up now, so that it is not part of the measured time
        outcomes: list[str] = []

        def launch(*args: Any, **more: Any) -> Any:
            report(".")
            outcome = TallyfyHook.launch_run_outcome(hook, *args, **more)
            outcomes.append(outcome.how)
            return outcome

        vars(hook)["launch_run_outcome"] = launch
        ti = SimpleNamespace(
            dag_id="hr",
            run_id=f"r{number}",
            map_index=-1,
            try_number=try_number,
            max_tries=1,
            xcom_push=lambda key, value: None,
        )
        context: Any = {"ti": ti, "dag_run": SimpleNamespace(run_id=ti.run_id, run_after=self.created)}
        operator.execute(context)
        report(outcomes[0])

    def forked(self, number: int, try_number: int, kill_after: float | None = None) -> tuple[str, float]:
        """Execute the operator in a child process.

        :param kill_after: seconds after the first request at which the process is killed.
        :return: the outcome, empty if the process was killed; and the seconds after the first request.
        """
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self.attempt(number, try_number, lambda text: os.write(write, text.encode()))
            except BaseException as fault:
                os.write(write, type(fault).__name__.encode())
                traceback.print_exc()
            os._exit(0)
        os.close(write)
        os.read(read, 1)
        started = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        how = os.read(read, 100).decode()
        took = time.monotonic() - started
        os.close(read)
        os.waitpid(pid, 0)
        return how, took


def main(count: int, first: int, template: str, conn_id: str) -> None:
    logging.disable(logging.INFO)
    TallyfyHook.clock = SpeedyClock()
    launches = Launches(template, conn_id)
    duration = min(launches.forked(-first - warm_up, 1)[1] for warm_up in range(1, WARM_UPS + 1))
    for number in range(first, first + count):
        how, _ = launches.forked(number, 1, random.uniform(0, 1.3 * duration))
        again, _ = launches.forked(number, 2)
        print(f"r{number}", "ended" if how else "killed", again or "nothing", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
