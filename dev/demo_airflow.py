"""Runs DAGs in this process, like ``airflow dags test``, and writes the result of each as JSON.

``dev/demo_process.py`` starts this script with a separate AIRFLOW_HOME. It is one process for all DAGs, because each
process takes seconds to import Airflow.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

#: The line that this process prints when a DAG run has ended.
END_OF_RUN = "--- end of the DAG run ---"


def main() -> None:
    """Migrate the database. Then add the connection on the command line, or run the DAG of each line of stdin."""
    from airflow.utils.db import initdb

    initdb()
    if len(sys.argv) > 1:
        add_connection(json.loads(sys.argv[1])["connection"])
        return
    for line in sys.stdin:
        run(json.loads(line))
        print(END_OF_RUN, flush=True)


def run(job: dict[str, Any]) -> None:
    """Run a DAG, and write its result."""
    import airflow

    dag = dag_in(Path(job["dag_file"]))
    for task in dag.tasks:
        # Somebody is waiting, so a failure must show at once, not after the retries of a nightly run.
        task.retries = 0
    started = time.monotonic()
    dag_run = dag.test(run_conf=job["params"], mark_success_pattern=job["leave_out"])
    result = {
        "airflow": airflow.__version__,
        "state": word(dag_run.state),
        "seconds": time.monotonic() - started,
        "tasks": [
            {
                "task_id": ti.task_id,
                "map_index": ti.map_index,
                "state": word(ti.state),
                "return_value": xcom(ti, "return_value"),
                "url": xcom(ti, "tallyfy_run_url"),
            }
            for ti in sorted(
                dag_run.get_task_instances(), key=lambda ti: (dag.task_ids.index(ti.task_id), ti.map_index)
            )
        ],
    }
    Path(job["result"]).write_text(json.dumps(result))


def dag_in(path: Path) -> Any:
    """The DAG of a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def word(state: Any) -> str:
    """The name of a state."""
    return str(getattr(state, "value", state))


def xcom(ti: Any, key: str) -> Any:
    """An XCom of a task instance."""
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index, default=None)


def add_connection(fields: dict[str, Any]) -> None:
    """Add the connection to the database, where the Airflow UI shows it."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(Connection(conn_id="tallyfy_default", **{**fields, "extra": json.dumps(fields["extra"])}))


if __name__ == "__main__":
    main()
