"""Tag a Tallyfy run from a pipeline, and note in the run which Airflow run did it.

The tags given replace those of the run. The second task takes the run from the first one's XCom.

Needs: the connection ``tallyfy_default``.

Params:

* ``tallyfy_run_id``: 32-character id of the run; it must not be archived.
* ``tag_ids``: ids of the tags that the run shall have, ``[]`` for none.
"""

from __future__ import annotations

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyUpdateRunOperator

with DAG(
    "tallyfy_update_run_tags",
    description="Tag a Tallyfy run from a pipeline",
    schedule=None,
    tags=["tallyfy", "example"],
    params={
        "tallyfy_run_id": Param(type="string", minLength=1, title="Run", description="Its 32-character id"),
        "tag_ids": Param([], type="array", items={"type": "string"}, title="Tags", description="Their ids, one a line"),
    },
    doc_md=__doc__,
) as dag:
    set_tags = TallyfyUpdateRunOperator(
        task_id="set_tags",
        run_id="{{ params.tallyfy_run_id }}",
        # A list by the time the task runs; "{{ params.tag_ids }}" would make a string of it.
        tags=dag.param("tag_ids"),  # type: ignore[arg-type]
    )

    note_origin = TallyfyUpdateRunOperator(
        task_id="note_origin",
        run_id="{{ ti.xcom_pull(task_ids='set_tags')['id'] }}",
        summary="Tags set by Airflow ({{ dag.dag_id }}, {{ run_id }}).",
    )

    set_tags >> note_origin
