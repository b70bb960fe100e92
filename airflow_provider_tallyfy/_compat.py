"""Imports the names that Airflow 2.11 and 3.x keep in different places. No other file depends on Airflow's version.

``airflow.providers.common.compat`` has the same purpose, but the constraints of Airflow 2.11.0, 3.0.6 and 3.1.0 pin
versions that lack the names needed here, and users who install with constraints cannot use a newer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, BaseOperatorLink, Context, ObjectStoragePath, XComArg
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSkipException,
    )
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.sdk.log import mask_secret
else:
    # Airflow 3 runs tasks with the classes of its SDK; 2.11 has no SDK.
    try:
        from airflow.sdk import BaseOperator, BaseOperatorLink
    except ImportError:
        from airflow.models.baseoperator import BaseOperator
        from airflow.models.baseoperatorlink import BaseOperatorLink
    try:
        from airflow.sdk import XComArg
    except ImportError:
        from airflow.models.xcom_arg import XComArg
    try:
        from airflow.sdk import ObjectStoragePath
    except ImportError:
        from airflow.io.path import ObjectStoragePath
    try:
        from airflow.sdk import Context
    except ImportError:
        from airflow.utils.context import Context
    # In 3.0 and 3.1, airflow.sdk.exceptions lacks these, and the task runner catches those of airflow.exceptions.
    try:
        from airflow.sdk.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSkipException,
        )
    except ImportError:
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSkipException,
        )
    try:
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        from airflow.models.xcom import XCom
    # Public since 3.2. In 3.0 and 3.1 it is internal, and 2.11 has it in another module.
    try:
        from airflow.sdk.log import mask_secret
    except ImportError:
        try:
            from airflow.sdk.execution_time.secrets_masker import mask_secret
        except ImportError:
            from airflow.utils.log.secrets_masker import mask_secret


def task_states(ti: Any, task_id: str) -> set[str | None]:
    """Return the states of another task in the same DAG run, one for each of its mapped instances.

    :param ti: the running task's ``context["ti"]``.
    """
    if hasattr(ti, "get_task_states"):  # Airflow 3, where a task has no access to the database
        found = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id])
        return set(found.get(ti.run_id, {}).values())
    return {other.state for other in ti.get_dagrun().get_task_instances() if other.task_id == task_id}


__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "BaseOperator",
    "BaseOperatorLink",
    "Context",
    "ObjectStoragePath",
    "XCom",
    "XComArg",
    "mask_secret",
    "task_states",
]
