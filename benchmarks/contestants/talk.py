"""How a contestant talks to the benchmark. Imports nothing but the standard library: Tallyfy's SDK runs it too."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

# Airflow logs to standard output, which is for the answers.
_ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def compete(actions: dict[str, Callable[..., Any]]) -> None:
    """Answer questions until there are no more: how long an action took, what it returned, and the peak memory.

    :param actions: what can be asked for, by name.
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
