"""Archive the stale runs of an organization every night: find, guard, archive, report.

The DAG has four tasks, for ten stale runs as well as for ten thousand. ``guard`` is a dry run: it reads every run
again, logs what would happen, and fails if there are more runs than ``max_runs``. ``archive`` skips runs that somebody
modified in the meantime, and writes the result of each run to a report; a retry archives only the remaining runs.
``report`` turns the result into a short text. The DAG ``tallyfy_undo_sweep`` undoes the sweep.

The age of a run counts from the moment when the task runs, not from the DAG run's date. So catching up on past nights
is useless (``catchup`` is off), and a backfill is harmless.

Needs: the connection ``tallyfy_default``. Set the Airflow Variable ``tallyfy_reports``, or the param ``reports``, to a
folder or an object-storage path (``s3://aws_default@bucket/sweeps``) that all workers can access.
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
        "days": Param(30, type="integer", minimum=1, title="Days", description="Completed and unchanged for this long"),
        "template": Param(None, type=["null", "string"], title="Template", description="Title or id; blank = all"),
        "max_runs": Param(
            5000, type="integer", minimum=1, title="Limit", description="Archive nothing if more runs are stale"
        ),
        "reports": Param(None, type=["null", "string"], title="Reports", description="Folder or object-storage path"),
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
