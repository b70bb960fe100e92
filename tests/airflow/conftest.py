"""Fixtures that write short DAGs into the DAGs folder and run them with Airflow."""

from __future__ import annotations

import itertools
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.airflow import _airflow

EXAMPLES = Path(__file__).parents[2] / "example_dags"

DAG_FILE = """\
from datetime import timedelta

from airflow import DAG, XComArg

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
    TallyfyCompleteTaskOperator,
    TallyfyGetRunOperator,
    TallyfyLaunchRunOperator,
    TallyfyUpdateRunOperator,
)

with DAG({dag_id!r}, schedule=None, params={params!r}) as dag:
{body}
"""


class WriteDag(Protocol):
    """Write a DAG file around some tasks and import it."""

    def __call__(self, body: str, **params: Any) -> Any: ...


class RunDag(Protocol):
    """Write a DAG file around some tasks and run it."""

    def __call__(self, body: str, **params: Any) -> _airflow.DagRun: ...


@pytest.fixture
def write_dag(dags_folder: Path, request: pytest.FixtureRequest) -> Iterator[WriteDag]:
    written: list[Path] = []
    numbers = itertools.count(1)

    def write(body: str, **params: Any) -> Any:
        # A new id for each run, because Airflow keeps versions and mapped lengths of earlier DAGs.
        dag_id = f"{re.sub('[^A-Za-z0-9_]+', '_', request.node.name)[:80]}_{next(numbers)}"
        path = dags_folder / f"{dag_id}.py"
        body = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
        path.write_text(DAG_FILE.format(dag_id=dag_id, params=params, body=body))
        written.append(path)
        return _airflow.dags_in(path)[dag_id]

    yield write
    # Airflow 3.3 parses the whole folder for each run.
    for path in written:
        path.unlink()


@pytest.fixture
def printed(capfd: pytest.CaptureFixture[str]) -> Any:
    """Returns the output since the last call."""

    def read() -> str:
        out, err = capfd.readouterr()
        return out + err

    return read


@pytest.fixture
def run_dag(write_dag: WriteDag, printed: Any, tallyfy_sandbox: Sandbox) -> RunDag:
    def write_and_run(body: str, **params: Any) -> _airflow.DagRun:
        done = _airflow.run(write_dag(body, **params), printed)
        # Every test also checks that no secret is printed.
        assert tallyfy_sandbox.token not in done.log
        return done

    return write_and_run


class RunAgain(Protocol):
    """Clear the tasks of a DAG run and run them again."""

    def __call__(self, done: _airflow.DagRun) -> _airflow.DagRun: ...


@pytest.fixture
def run_again(printed: Any, tallyfy_sandbox: Sandbox) -> RunAgain:
    def clear_and_run(done: _airflow.DagRun) -> _airflow.DagRun:
        again = _airflow.run(done.dag, printed, again=done.dag_run)
        assert tallyfy_sandbox.token not in again.log
        return again

    return clear_and_run


class RunExample(Protocol):
    """Run an example DAG like a person who fills in its form."""

    def __call__(self, name: str, /, **params: Any) -> _airflow.DagRun: ...


@pytest.fixture
def run_example(dags_folder: Path, printed: Any, tallyfy_sandbox: Sandbox) -> Iterator[RunExample]:
    copies = []

    def run(name: str, /, **params: Any) -> _airflow.DagRun:
        copies.append(Path(shutil.copy(EXAMPLES / f"{name}.py", dags_folder)))
        [dag] = _airflow.dags_in(copies[-1]).values()
        done = _airflow.run(dag, printed, conf=params)
        assert tallyfy_sandbox.token not in done.log
        return done

    yield run
    for copy in copies:
        copy.unlink(missing_ok=True)  # a test may run an example twice
