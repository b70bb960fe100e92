"""What a provider costs before a task runs: at each DAG parse, and at the start of each Airflow process.

The figures are medians of several tries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from statistics import median
from typing import Any

from benchmarks.plan import Plan
from benchmarks.processes import ROOT, clean_environment
from benchmarks.table import Row

OURS = "tallyfy"
EVERYTHING = "all of tallyfy's"
#: What a DAG file writes to use the provider.
OPERATORS = {
    OURS: "from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator",
    EVERYTHING: "from airflow_provider_tallyfy.operators.tallyfy import *",
    "dbt-cloud": "from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator",
    "airbyte": "from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator",
    "fivetran-async": "from fivetran_provider_async.operators import FivetranOperator",
}
REGISTRATIONS = {
    OURS: "airflow_provider_tallyfy.get_provider_info:get_provider_info",
    "dbt-cloud": "airflow.providers.dbt.cloud.get_provider_info:get_provider_info",
    "airbyte": "airflow.providers.airbyte.get_provider_info:get_provider_info",
    "fivetran-async": "fivetran_provider_async:get_provider_info",
}
#: Modules that a DAG parse does not need.
HEAVY = ("requests", "aiohttp", "airflow_provider_tallyfy.hooks")
MOST_MS = 50.0

#: Like the DAG processor: a process that has imported Airflow forks, and the child imports the operators.
PARSE = """
import json, os, sys, time
import airflow.dag_processing.processor
from airflow.sdk import DAG, BaseOperator

def child(statement, out):
    before = set(sys.modules)
    started = time.perf_counter()
    exec(statement, {})
    milliseconds = (time.perf_counter() - started) * 1000
    os.write(out, json.dumps([milliseconds, sorted(set(sys.modules) - before)]).encode())

answers = []
for statement in json.loads(sys.argv[1]):
    ear, mouth = os.pipe()
    if not (pid := os.fork()):
        os.close(ear)
        child(statement, mouth)
        os._exit(0)
    os.close(mouth)
    with os.fdopen(ear) as pipe:
        answers.append(json.loads(pipe.read()))
    os.waitpid(pid, 0)
print(json.dumps(answers))
"""

REGISTER = """
import json, sys, time
started = time.perf_counter()
module, name = sys.argv[1].split(":")
getattr(__import__(module, fromlist=[name]), name)()
print(json.dumps([(time.perf_counter() - started) * 1000, "airflow" in sys.modules]))
"""


def measure(plan: Plan) -> list[Row]:
    """Rows on importing operators and on the registration dict."""
    with tempfile.TemporaryDirectory() as home:
        return [*_parsing(plan, home), _registering(plan, home)]


def _parsing(plan: Plan, home: str) -> list[Row]:
    # Each statement in turn, and the first round not counted: it reads the files from disk.
    order = list(OPERATORS) * (plan.imports + 1)
    found = _python(PARSE, json.dumps([OPERATORS[name] for name in order]), home)
    answers = list(zip(order, found, strict=True))[len(OPERATORS) :]
    costs = {name: median(answer[0] for who, answer in answers if who == name) for name in OPERATORS}
    loaded = {module for who, answer in answers if who in (OURS, EVERYTHING) for module in answer[1]}
    heavy = [name for name in HEAVY if name in loaded]
    return [
        Row(
            "parse",
            "import of an operator at DAG parse, beyond Airflow (of all)",
            f"{costs[OURS]:.1f} ms ({costs[EVERYTHING]:.1f} ms)",
            _others(costs),
            f"{costs[OURS] / _best(costs):.2f}",
            "the smallest",
            costs[OURS] < _best(costs),
            {f"{name}_ms": cost for name, cost in costs.items()},
        ),
        Row(
            "parse-modules",
            "the same: requests, aiohttp, the hook",
            ", ".join(heavy) or "not imported",
            target="not imported",
            met=not heavy,
            figures={"modules": len(loaded)},
        ),
    ]


def _registering(plan: Plan, home: str) -> Row:
    answers: dict[str, list[Any]] = {name: [] for name in REGISTRATIONS}
    for number in range(plan.repetitions + 1):
        for name, function in REGISTRATIONS.items():
            answer = _python(REGISTER, function, home)
            if number:
                answers[name].append(answer)
    costs = {name: median(answer[0] for answer in found) for name, found in answers.items()}
    airflow = any(answer[1] for answer in answers[OURS])
    return Row(
        "registration",
        "registration dict, in a fresh interpreter",
        f"{costs[OURS]:.1f} ms, {'imports Airflow' if airflow else 'no Airflow'}",
        _others(costs),
        f"{costs[OURS] / _best(costs):.2f}",
        f"<= {MOST_MS:.0f} ms, no Airflow",
        costs[OURS] <= MOST_MS and not airflow,
        {f"{name}_ms": cost for name, cost in costs.items()},
    )


def _best(costs: dict[str, float]) -> float:
    return min(cost for name, cost in costs.items() if name not in (OURS, EVERYTHING))


def _others(costs: dict[str, float]) -> str:
    others = sorted((cost, name) for name, cost in costs.items() if name not in (OURS, EVERYTHING))
    return ", ".join(f"{cost:.0f} ms ({name})" for cost, name in others)


def _python(code: str, argument: str, home: str) -> Any:
    command = [sys.executable, "-c", code, argument]
    done = subprocess.run(command, env=clean_environment(home), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argument}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])
