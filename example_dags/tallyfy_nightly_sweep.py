"""Archive the stale runs of an organization every night: find, guard, archive, report.

Four tasks, whether ten runs are stale or ten thousand. ``guard`` is a dry run: it looks at every run again, says what
would happen, and refuses more runs than ``max_runs``. ``archive`` leaves runs alone that somebody modified meanwhile
and writes down what it did; a retry does only what is still to do. ``report`` makes a text of it. The DAG
``tallyfy_undo_sweep`` brings all of it back.

A run is as stale as it is when the task looks, so catching up on past nights would do nothing new: ``catchup`` is off,
and a backfill is harmless.

Needs: the connection ``tallyfy_default``. Set the Airflow Variable ``tallyfy_reports``, or the param ``reports``, to a
folder or an object-storage path (``s3://aws_default@bucket/sweeps``) that all workers share.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkReportOperator,
    TallyfyListRunsOperator,
)

REPORTS = "{{ params.reports or var.value.get('tallyfy_reports', '/tmp/tallyfy-sweeps') }}"

with DAG(
    "tallyfy_nightly_sweep",
    description="Archive the stale runs of an organization",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["tallyfy", "example"],
    params={
        "days": Param(30, type="integer", minimum=1, title="Days", description="Completed and unchanged for so long"),
        "template": Param(None, type=["null", "string"], title="Template", description="Title or id; blank = all"),
        "max_runs": Param(5000, type="integer", minimum=1, title="At most", description="Refuse to archive more"),
        "reports": Param(None, type=["null", "string"], title="Reports", description="Folder, or storage path"),
    },
    doc_md=__doc__,
) as dag:
    find = TallyfyListRunsOperator(
        task_id="find",
        status="complete",
        template="{{ params.template or '' }}",
        stale_after="P{{ params.days }}D",
        order="last_updated",
    )

    guard = TallyfyBulkArchiveRunsOperator(
        task_id="guard", run_ids=find.output, max_runs="{{ params.max_runs }}", dry_run=True
    )

    archive = TallyfyBulkArchiveRunsOperator(
        task_id="archive",
        run_ids=find.output,
        max_runs="{{ params.max_runs }}",
        report_path=f"{REPORTS}/{{{{ run_id }}}}.jsonl",
    )

    report = TallyfyBulkReportOperator(task_id="report", bulk_task_id="archive")

    guard >> archive >> report
