"""The DAGs of the browser tests, in addition to the examples. Each has its own connection."""

from __future__ import annotations

from datetime import datetime

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyArchiveRunOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyListRunsOperator,
)

RUN = {"tallyfy_run_id": Param(type="string", minLength=1, title="Run", description="Its 32-character id")}
START = datetime(2026, 1, 1)

with DAG("e2e_one_run", schedule=None, start_date=START, catchup=False, params=RUN) as one_run:
    TallyfyArchiveRunOperator(task_id="archive", run_id="{{ params.tallyfy_run_id }}", tallyfy_conn_id="e2e_one")

with DAG("e2e_every_minute", schedule="* * * * *", start_date=START, catchup=False, max_active_runs=1) as every_minute:
    find = TallyfyListRunsOperator(task_id="find", status="complete", stale_after="P30D", tallyfy_conn_id="e2e_minute")
    TallyfyBulkArchiveRunsOperator(task_id="archive", run_ids=find.output, tallyfy_conn_id="e2e_minute")

with DAG(
    "e2e_bulk", schedule=None, start_date=START, catchup=False, params={"report": Param("", type="string")}
) as bulk:
    rows = TallyfyListRunsOperator(task_id="find", status="complete", tallyfy_conn_id="e2e_bulk")
    TallyfyBulkArchiveRunsOperator(
        task_id="archive",
        run_ids=rows.output,
        concurrency=2,
        report_path="{{ params.report }}",
        tallyfy_conn_id="e2e_bulk",
    )
