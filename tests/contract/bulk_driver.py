"""Runs a bulk task in a separate process, which tests can kill: ``python bulk_driver.py <class> <arguments as JSON>``.

Signals are handled as Airflow's task runners do: Airflow 3 calls ``on_kill`` and lets the task go on; 2.11 calls it and
interrupts the task with an exception that is not an ``Exception``.
"""

from __future__ import annotations

import json
import signal
import sys
from types import SimpleNamespace
from typing import Any

from airflow_provider_tallyfy.operators import tallyfy


class Terminated(BaseException):
    """Like ``AirflowTaskTerminated`` of 2.11."""


def main(name: str, text: str) -> int:
    arguments = json.loads(text)
    interrupt = arguments.pop("interrupt")
    operator = getattr(tallyfy, name)(task_id="bulk", **arguments)

    def terminate(*_: Any) -> None:
        operator.on_kill()
        if interrupt:
            raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    ti = SimpleNamespace(
        **{"dag_id": "sweep", "run_id": "r1", "task_id": "bulk", "map_index": -1, "try_number": 1},
        xcom_push=lambda key, value: None,
    )
    try:
        operator.execute({"ti": ti})
    except (Exception, Terminated) as error:
        print(type(error).__name__, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
