"""Archive completed Tallyfy runs that nobody has modified for some time, every day.

``find_stale_runs`` lists them, ``archive`` is one task for each: a run that can't be archived fails alone, and can be
looked at and retried alone. Right for dozens of runs a day; for thousands, see ``tallyfy_nightly_sweep``.

A run is as stale as it is when the task looks, so catching up on past days would do nothing new: ``catchup`` is off,
and a backfill is harmless. Archiving keeps everything; ``TallyfyActivateRunOperator`` brings a run back.

Needs: the connection ``tallyfy_default``. Its token must belong to a standard member or an administrator.

Params:

* ``days``: completed, and unchanged for so many days.
* ``template``: title or id; blank = all templates.
* ``keep``: title of a tag whose runs are left alone, such as ``Keep``; blank = none.
* ``limit``: most runs a day, the oldest first. Airflow maps a task over 1,024 at most (``[core] max_map_length``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator, TallyfyListRunsOperator

with DAG(
    "tallyfy_archive_stale_runs",
    description="Archive completed Tallyfy runs that nobody has modified for some time",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["tallyfy", "example"],
    params={
        "days": Param(30, type="integer", minimum=1, title="Days", description="Completed and unchanged for so long"),
        "template": Param(None, type=["null", "string"], title="Template", description="Title or id; blank = all"),
        "keep": Param(None, type=["null", "string"], title="Keep", description="Leave runs with this tag alone"),
        "limit": Param(500, type="integer", minimum=1, maximum=1024, title="At most", description="Runs a day"),
    },
    doc_md=__doc__,
) as dag:
    find_stale_runs = TallyfyListRunsOperator(
        task_id="find_stale_runs",
        status="complete",
        stale_after="P{{ params.days }}D",
        template="{{ params.template or '' }}",
        exclude_tags=["{{ params.keep or '' }}"],
        limit="{{ params.limit }}",
        order="last_updated",
    )

    # A few at a time, so that the people of the organization keep most of its API limit.
    archive = TallyfyArchiveRunOperator.partial(task_id="archive", max_active_tis_per_dag=4).expand(
        run_id=find_stale_runs.output.map(lambda row: row["id"])
    )
