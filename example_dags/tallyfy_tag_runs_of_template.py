"""Tag the active runs of a template that have not been modified for some time, in one task.

The tag is given by its title, and is created if it does not exist. Runs that have the tag already are not changed. All
other tags of a run stay.

Needs: the connection ``tallyfy_default``.
"""

from __future__ import annotations

from datetime import datetime

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyBulkUpdateRunsOperator, TallyfyListRunsOperator

with DAG(
    "tallyfy_tag_runs_of_template",
    description="Tag the runs of a template that have waited too long",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["tallyfy", "example"],
    params={
        "template": Param("Customer Onboarding", type="string", minLength=1, title="Template"),
        "days": Param(14, type="integer", minimum=1, title="Days", description="Not modified for this long"),
        "tag": Param("Waiting", type="string", minLength=1, maxLength=30, title="Tag to add"),
    },
    doc_md=__doc__,
) as dag:
    find = TallyfyListRunsOperator(
        task_id="find",
        template="{{ params.template }}",
        status="active",
        stale_after="P{{ params.days }}D",
    )

    tag = TallyfyBulkUpdateRunsOperator(
        task_id="tag", run_ids=find.output, add_tags=["{{ params.tag }}"], create_missing_tags=True
    )
