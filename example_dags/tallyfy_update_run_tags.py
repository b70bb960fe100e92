"""Show the state of a pipeline in Tallyfy, as a tag on a run.

The first task adds a tag to the run. The last task replaces it with another tag. All other tags of the run stay. Put
your own tasks between these two. If one of them fails, the run keeps the first tag, and people in Tallyfy see that the
pipeline is stuck.

Needs: the connection ``tallyfy_default``.

Params:

* ``tallyfy_run_id``: 32-character id of the run; it must not be archived.
* ``tag_during``, ``tag_after``: titles of the tags; missing tags are created.
"""

from __future__ import annotations

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyUpdateRunOperator

with DAG(
    "tallyfy_update_run_tags",
    description="Show the state of a pipeline as a tag on a Tallyfy run",
    schedule=None,
    tags=["tallyfy", "example"],
    params={
        "tallyfy_run_id": Param(type="string", minLength=1, title="Run", description="Its 32-character id"),
        "tag_during": Param("In pipeline", type="string", minLength=1, maxLength=30, title="Tag during the work"),
        "tag_after": Param("Processed", type="string", minLength=1, maxLength=30, title="Tag after the work"),
    },
    doc_md=__doc__,
) as dag:
    begin = TallyfyUpdateRunOperator(
        task_id="begin",
        run_id="{{ params.tallyfy_run_id }}",
        add_tags=["{{ params.tag_during }}"],
        create_missing_tags=True,
    )

    # The XCom of a task is the run as Tallyfy returned it: name, owner, kick-off answers and all.
    end = TallyfyUpdateRunOperator(
        task_id="end",
        run_id="{{ ti.xcom_pull(task_ids='begin')['id'] }}",
        add_tags=["{{ params.tag_after }}"],
        remove_tags=["{{ params.tag_during }}"],
        summary="Processed by Airflow ({{ dag.dag_id }}, {{ run_id }}).",
        create_missing_tags=True,
    )

    begin >> end
