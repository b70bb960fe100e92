"""Edit a Tallyfy run that is archived: bring it back, change it, archive it again.

Tallyfy updates no archived runs. Activating is the setup and archiving the teardown of the change, so the run is
archived again also when the change fails. A run that was not archived in the first place is left alone.

When the archiving fails for good, its task is red and the run stays live, but the DAG run counts as a success: that is
how Airflow treats teardowns. ``on_failure_fail_dagrun=True`` would instead hide a change that failed.

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
    description="Edit a Tallyfy run that is archived",
    schedule=None,
    tags=["tallyfy", "example"],
    params={
        "tallyfy_run_id": Param(type="string", minLength=1, title="Run", description="Its 32-character id"),
        "name": Param(type="string", minLength=1, maxLength=550, title="New name"),
    },
    doc_md=__doc__,
) as dag:
    # Fails for a live run, which the teardown would otherwise archive while it is in use.
    activate = TallyfyActivateRunOperator(
        task_id="activate", run_id="{{ params.tallyfy_run_id }}", if_already="fail"
    ).as_setup()

    update = TallyfyUpdateRunOperator(task_id="update", run_id="{{ params.tallyfy_run_id }}", name="{{ params.name }}")

    archive = TallyfyArchiveRunOperator(
        task_id="archive", run_id="{{ params.tallyfy_run_id }}", retries=3, retry_delay=timedelta(minutes=1)
    ).as_teardown(setups=activate)

    activate >> update >> archive
