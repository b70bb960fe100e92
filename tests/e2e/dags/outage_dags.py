"""A mapped archive that a test can hold at the two places where an outage of Airflow's database does most harm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow import DAG

from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator, TallyfyListRunsOperator

#: The test and the tasks communicate through files in this folder.
GATE = Path(os.environ["AIRFLOW_HOME"]) / "gate"
CLOSED, BACK = GATE / "closed", GATE / "back"
PATIENCE = 60


class HeldArchiveOperator(TallyfyArchiveRunOperator):
    """Waits before it looks up the connection, and again after a failure, before Airflow learns of it."""

    def execute(self, context: Any) -> Any:
        """Archive the run."""
        place = context["ti"].map_index
        if held := CLOSED.exists():
            (GATE / f"waiting-{place}").touch()
            wait_until(lambda: not CLOSED.exists())
        try:
            return super().execute(context)
        except Exception as error:
            if held:
                (GATE / f"failed-{place}").write_text(type(error).__name__)
                wait_until(BACK.exists)
            raise


def wait_until(question: Callable[[], bool]) -> None:
    """Wait until a condition is true, with a time limit."""
    deadline = time.monotonic() + PATIENCE
    while not question() and time.monotonic() < deadline:
        time.sleep(0.05)


with DAG("e2e_outage", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as outage:
    find = TallyfyListRunsOperator(task_id="find", status="complete", tallyfy_conn_id="e2e_outage")
    HeldArchiveOperator.partial(
        task_id="archive", tallyfy_conn_id="e2e_outage", retries=2, retry_delay=timedelta(seconds=2)
    ).expand(run_id=find.output.map(lambda row: row["id"]))
