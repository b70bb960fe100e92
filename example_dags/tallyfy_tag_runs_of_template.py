"""Keep the tags of a template's runs in order: those that have waited too long get a tag, in one task.

Tags are given by their titles. A tag that does not exist yet is made; a run that has it already is left alone, and so
are all other tags of a run.

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
        "days": Param(14, type="integer", minimum=1, title="Days", description="Unmodified for so long"),
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
