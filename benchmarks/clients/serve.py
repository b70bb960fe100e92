"""The loop of a client process. Uses only the standard library, because Tallyfy's SDK runs in another environment."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

# Airflow logs to standard output. These lines move its logs to standard error, so that only answers remain.
_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def serve(actions: dict[str, Callable[..., Any]]) -> None:
    """Run one action per line of standard input; print its seconds, its result, and the peak memory.

    :param actions: the actions, by name.
    """
    print("{}", file=_ANSWERS, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        action = actions[question.pop("do")]
        started = time.perf_counter()
        result = action(**question)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(json.dumps({"seconds": seconds, "result": result, "peak": peak}), file=_ANSWERS, flush=True)
