"""Launches whose process is killed at any time, followed by a retry: there is one run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_tallyfy.api.runs.launch_key import LAG
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from tests.contract import launch_driver
from tests.contract.launch_driver import SPEED

LAUNCHES = 200
DRIVERS = 2


@pytest.mark.parametrize("read_lag", [0.0, 0.6 * LAG / SPEED], ids=["no lag", "lag"])
def test_killed_launch_and_its_retry_leave_one_run(read_lag: float, connect: Callable[..., TallyfyHook]) -> None:
    per_driver = LAUNCHES // 2 // DRIVERS
    with Sandbox(Behaviour(read_lag=read_lag), latency=0.004) as sandbox:
        template, conn_id = sandbox.add_template("Onboarding"), connect(sandbox).tallyfy_conn_id
        command = [sys.executable, "-W", "ignore", str(Path(launch_driver.__file__))]
        drivers = [
            subprocess.Popen(
                [*command, str(per_driver), str(1000 * number), template, conn_id],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number in range(1, DRIVERS + 1)
        ]
        printed = "".join(driver.communicate(timeout=300)[0] for driver in drivers)
        lines = re.findall(r"^r(\d+) (killed|ended) (\w+)$", printed, re.MULTILINE)
        assert len(lines) == per_driver * DRIVERS, printed
        launched = Counter(str(run["name"]) for run in sandbox.runs())
        assert {f"Hire {number}": launched[f"Hire {number}"] for number, *_ in lines} == {
            f"Hire {number}": 1 for number, *_ in lines
        }
        results = Counter((first, second) for _, first, second in lines)
        # Some were killed before the POST, some after it, and some ended normally.
        assert set(results) <= {("killed", "changed"), ("killed", "already"), ("ended", "already")}
        assert min(results[("killed", "changed")], results[("killed", "already")]) >= 1, results
