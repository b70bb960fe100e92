"""Every day, archive the completed Tallyfy runs that have not been modified for some time.

``find_stale_runs`` lists these runs. ``archive`` is a mapped task with one instance per run. If an instance fails, you
can see its log and retry it without the others. This suits dozens of runs a day; for thousands, use
``tallyfy_nightly_sweep``.

The age of a run counts from the moment when the task runs, not from the DAG run's date. So catching up on past days is
useless (``catchup`` is off), and a backfill is harmless. Archiving deletes nothing; ``TallyfyActivateRunOperator``
activates a run again.

Needs: the connection ``tallyfy_default``. Its token must belong to a standard member or an administrator.

Params:

* ``days``: archive runs that are completed and have not changed for this many days.
* ``template``: title or id; blank = all templates.
* ``keep``: title of a tag, such as ``Keep``; runs with this tag are not archived. Blank = no such tag.
* ``limit``: maximum number of runs per day, the oldest first. Airflow maps a task at most 1,024 times by default
  (``[core] max_map_length``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator, TallyfyListRunsOperator

with DAG(
    "tallyfy_archive_stale_runs",
    description="Archive completed Tallyfy runs that have not been modified for some time",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["tallyfy", "example"],
    params={
        "days": Param(30, type="integer", minimum=1, title="Days", description="Completed and unchanged for this long"),
        "template": Param(None, type=["null", "string"], title="Template", description="Title or id; blank = all"),
        "keep": Param(None, type=["null", "string"], title="Keep", description="Do not archive runs with this tag"),
        "limit": Param(
            500, type="integer", minimum=1, maximum=1024, title="Limit", description="Maximum number of runs per day"
        ),
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

    # Only four at a time, so that most of the API limit remains for other users of the organization.
    archive = TallyfyArchiveRunOperator.partial(task_id="archive", max_active_tis_per_dag=4).expand(
        run_id=find_stale_runs.output.map(lambda row: row["id"])
    )
