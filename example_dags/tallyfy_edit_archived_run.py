"""Edit an archived Tallyfy run: activate it, change it, archive it again.

Tallyfy does not update archived runs. Activation is the setup task, and archiving is the teardown task. So the run is
archived again even if the change fails. A run that is not archived is not changed at all.

If the last retry of ``archive`` fails, its task fails and the run stays active, but the DAG run succeeds, because
Airflow ignores the result of teardown tasks. With ``on_failure_fail_dagrun=True``, the DAG run would succeed although
the change failed.

Needs: the connection ``tallyfy_default``.

Params:

* ``tallyfy_run_id``: 32-character id of the run.
* ``name``: its new name.
"""

from __future__ import annotations

from datetime import timedelta

from airflow import DAG
from airflow.models import Param

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyUpdateRunOperator,
)

with DAG(
    "tallyfy_edit_archived_run",
    description="Edit an archived Tallyfy run",
    schedule=None,
    tags=["tallyfy", "example"],
    params={
        "tallyfy_run_id": Param(type="string", minLength=1, title="Run", description="Its 32-character id"),
        "name": Param(type="string", minLength=1, maxLength=550, title="New name"),
    },
    doc_md=__doc__,
) as dag:
    # Fails if the run is active. Otherwise the teardown would archive a run that people are working on.
    activate = TallyfyActivateRunOperator(
        task_id="activate", run_id="{{ params.tallyfy_run_id }}", if_already="fail"
    ).as_setup()

    update = TallyfyUpdateRunOperator(task_id="update", run_id="{{ params.tallyfy_run_id }}", name="{{ params.name }}")

    archive = TallyfyArchiveRunOperator(
        task_id="archive", run_id="{{ params.tallyfy_run_id }}", retries=3, retry_delay=timedelta(minutes=1)
    ).as_teardown(setups=activate)

    activate >> update >> archive
