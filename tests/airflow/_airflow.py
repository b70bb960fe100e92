"""Runs real DAGs for the tests. Only this file of the tests depends on the version of Airflow."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import airflow

VERSION = tuple(int(number) for number in re.findall(r"\d+", airflow.__version__)[:3])
LINK = "Open in Tallyfy"


def dags_in(path: Path) -> dict[str, Any]:
    """Return the DAGs of a file, by id. Import errors are raised."""
    from airflow import DAG

    spec = importlib.util.spec_from_file_location(f"dag_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {dag.dag_id: dag for dag in vars(module).values() if isinstance(dag, DAG)}


def dag_bag_of(folder: Path) -> Any:
    """Return the DagBag of a folder of DAG files."""
    module = "airflow.dag_processing.dagbag" if VERSION >= (3, 2) else "airflow.models.dagbag"
    return importlib.import_module(module).DagBag(str(folder))


def through_json(dag: Any) -> Any:
    """Return the DAG as scheduler and UI see it: stored as JSON in the metadata database, and loaded again."""
    module = importlib.import_module("airflow.serialization.serialized_objects")
    serialization = module.DagSerialization if VERSION >= (3, 2) else module.SerializedDAG
    serialization._load_operator_extra_links = True  # clearing a task switches them off, for the whole process
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))


@dataclass(frozen=True)
class Task:
    """A task instance after the DAG run."""

    instance: Any
    operator: Any

    @property
    def state(self) -> str:
        return str(getattr(self.instance.state, "value", self.instance.state))

    @property
    def tries(self) -> int:
        return int(self.instance.try_number)

    @property
    def map_index(self) -> int:
        return int(self.instance.map_index)

    def xcom(self, key: str = "return_value") -> Any:
        return self.instance.xcom_pull(
            task_ids=self.instance.task_id, key=key, map_indexes=self.instance.map_index, default=None
        )

    @property
    def link(self) -> Any:
        """Return the address of the button, from the deserialized DAG, as the UI does."""
        return self.operator.get_extra_links(self.instance, LINK)

    @property
    def rendered(self) -> Any:
        """The rendered fields that the UI shows."""
        from airflow.models.renderedtifields import RenderedTaskInstanceFields

        return RenderedTaskInstanceFields.get_templated_fields(self.instance)


def killable(operator: str, pid_file: str) -> str:
    """Return code for a DAG file: a class ``Killable`` whose first try runs in a child process.

    All tasks of Airflow 3 run in one. The child writes its process id to a file, so that a test can kill it.

    :param operator: the class of the operator.
    :param pid_file: the expression for the path of that file.
    """
    return f"""
import os
from pathlib import Path

class Killable({operator}):
    def execute(self, context):
        if context["ti"].try_number > 1:
            return super().execute(context)
        child = os.fork()
        if child == 0:
            try:
                Path({pid_file}).write_text(str(os.getpid()))
                super().execute(context)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        raise RuntimeError(f"the process of the task ended with {{os.waitstatus_to_exitcode(status)}}")

"""


@dataclass(frozen=True)
class DagRun:
    """A DAG run that has ended.

    :param messages: log lines of this provider's operators and hooks, with level, in order.
    :param log: everything that Airflow printed.
    """

    dag: Any
    dag_run: Any
    messages: list[str] = field(repr=False)
    log: str = field(repr=False)

    @property
    def state(self) -> str:
        return str(getattr(self.dag_run.state, "value", self.dag_run.state))

    @cached_property
    def _dag_of_the_ui(self) -> Any:
        return through_json(self.dag)

    def tasks(self, task_id: str) -> list[Task]:
        """Return the instances of a task, by map index."""
        operator = self._dag_of_the_ui.get_task(task_id)
        found = [Task(ti, operator) for ti in self.dag_run.get_task_instances() if ti.task_id == task_id]
        return sorted(found, key=lambda task: task.map_index)

    def task(self, task_id: str) -> Task:
        """Return the only instance of a task."""
        [task] = self.tasks(task_id)
        return task

    @property
    def states(self) -> dict[str, list[str]]:
        """Return the states of all tasks."""
        return {task_id: [task.state for task in self.tasks(task_id)] for task_id in self.dag.task_ids}


def run(dag: Any, printed: Callable[[], str], conf: dict[str, Any] | None = None, *, again: Any = None) -> DagRun:
    """Run a DAG in this process.

    :param printed: returns the output since the last call.
    :param again: a DAG run whose tasks are cleared and run again, instead of a new one.
    """
    _settle()
    printed()
    with _standard_logging() as records:
        if again is None:
            dag_run = dag.test(run_conf=conf)
        else:
            # It clears what there is of this date, as the web interface does.
            name = "logical_date" if VERSION >= (3,) else "execution_date"
            with _kept(again):
                dag_run = dag.test(run_conf=conf, **{name: again.logical_date})
    log = printed()
    found = re.finditer(_MESSAGE, log, re.MULTILINE | re.DOTALL)
    messages = [f"{line['level'].upper()} {line['text'].strip()}" for line in found]
    return DagRun(dag, dag_run, messages or records, log)


@contextmanager
def _kept(dag_run: Any) -> Iterator[None]:
    """Have ``dag.test()`` go on with a DAG run, which it would otherwise delete and create anew."""

    def find(*args: Any, session: Any, **kwargs: Any) -> Any:
        found = session.merge(dag_run)
        session.refresh(found)
        found.state = "running"
        found.dag = kwargs["dag"]
        session.commit()
        return found

    module, name = ("airflow.models.dagrun", "get_or_create_dagrun")
    if not hasattr(importlib.import_module(module), name):
        module, name = ("airflow.models.dag", "_get_or_create_dagrun")
    with mock.patch.object(importlib.import_module(module), name, find):
        yield


@cache
def _settle() -> None:
    """Patch ``dag.test()`` where some versions are slow or behave differently from a real task."""
    if (3, 0) <= VERSION < (3, 3):
        from airflow.sdk.execution_time import supervisor

        # 3.3 keeps the API server that tasks call. Earlier versions rebuild it for each task, which takes 1.5 s.
        supervisor.in_process_api_server = cache(supervisor.in_process_api_server)
    if (3, 0) <= VERSION < (3, 1):
        import structlog

        # Real tasks of 3.0 log plain text from level info on. dag.test() would log everything, including Airflow's own
        # messages about secrets to mask, and tracebacks with frames.
        plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(
            processors=[*structlog.get_config()["processors"][:-1], plain],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )


#: A line of this provider as Airflow 3.1 and later print it.
_MESSAGE = (
    r"^\S+Z \[(?P<level>\w+) *\] (?P<text>(?:(?!\n\d{4}-).)*?) +"
    r"\[airflow\.task\.\w+\.airflow_provider_tallyfy[\w.]*\]"
)


@contextmanager
def _standard_logging() -> Iterator[list[str]]:
    """Collect what this provider logs through Python's logging, as it does before Airflow 3.1."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "airflow_provider_tallyfy" in record.pathname:
                found.append(f"{record.levelname} {record.getMessage()}")

    logger = logging.getLogger("airflow.task")
    before = list(logger.handlers)
    logger.addHandler(Collect())
    yield found
    # 2.11 added a handler that prints to a stream, which is closed after the test.
    logger.handlers[:] = before
