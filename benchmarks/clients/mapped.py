"""One mapped task per run, in real Airflow. ``dag.test()`` is faster than a scheduler with workers."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from benchmarks.clients.serve import serve

DAG_FILE = """
from airflow.sdk import DAG
from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator

with DAG("benchmark_mapped", schedule=None, params={"run_ids": []}, render_template_as_native_obj=True) as dag:
    @dag.task
    def run_ids(params):
        return params["run_ids"]

    TallyfyArchiveRunOperator.partial(task_id="archive").expand(run_id=run_ids())
"""


def prepare() -> Any:
    """Create the metadata database and the DAG."""
    from airflow.utils.db import initdb

    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "benchmark_mapped.py"
    path.write_text(DAG_FILE)
    initdb()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def archive(run_ids: list[str]) -> int:
    """Archive each run with a mapped task."""
    dag_run = dag.test(run_conf={"run_ids": run_ids})
    assert str(dag_run.state.value) == "success", dag_run.state
    return len(dag_run.get_task_instances()) - 1


dag = prepare()
serve({"archive": archive})
