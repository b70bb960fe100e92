"""Undo a nightly sweep: activate all runs that it archived, and no other runs.

The DAG reads the report of a DAG run of ``tallyfy_nightly_sweep``. Runs that are active again already are not changed.
Runs that somebody modified after the sweep are skipped and listed.

Needs: the connection ``tallyfy_default``, and the report of the sweep.

Params:

* ``sweep``: run id of the sweep, as the Airflow UI shows it, such as ``scheduled__2026-11-22T03:00:00+00:00``.
* ``reports``: as in the sweep.
* ``include_unclear``: if the sweep was killed, some runs have no result in its report. Activate these too, if they were
  archived after the sweep began.
* ``dry_run``: only log what would happen.
"""

from __future__ import annotations

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyBulkActivateRunsOperator, TallyfyBulkReportOperator

REPORTS = "{{ params.reports or var.value.get('tallyfy_reports', '/tmp/tallyfy-sweeps') }}"

with DAG(
    "tallyfy_undo_sweep",
    description="Activate the runs that a nightly sweep archived",
    schedule=None,
    tags=["tallyfy", "example"],
    params={
        "sweep": Param(type="string", minLength=1, title="Sweep", description="Run id of the nightly sweep"),
        "reports": Param(None, type=["null", "string"], title="Reports", description="As in the sweep"),
        "include_unclear": Param(
            False,
            type="boolean",
            title="Include unclear",
            description="Also runs without a result in the report of a killed sweep",
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Only log what would happen"),
    },
    doc_md=__doc__,
) as dag:
    activate = TallyfyBulkActivateRunsOperator(
        task_id="activate",
        from_report=f"{REPORTS}/{{{{ params.sweep }}}}.jsonl",
        include_unclear="{{ params.include_unclear }}",
        dry_run="{{ params.dry_run }}",
        report_path=f"{REPORTS}/undo-{{{{ run_id }}}}.jsonl",
    )

    report = TallyfyBulkReportOperator(task_id="report", bulk_task_id="activate")

    activate >> report
