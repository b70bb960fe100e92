"""The only file that knows two Airflow versions exist: one name for what 2.11 and 3.x keep in different places.

``airflow.providers.common.compat`` would do the same, but the versions that the constraints of Airflow 2.11.0,
3.0.6 and 3.1.0 pin lack the names needed here, and users with constraints could not install a newer one.
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
    # Airflow 3 runs tasks on the SDK's classes; 2.11 has no SDK.
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
    # 3.0 and 3.1 have airflow.sdk.exceptions without these; there the runner catches those of airflow.exceptions.
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
    # Public since 3.2; 3.0 and 3.1 keep it inside, 2.11 elsewhere.
    try:
        from airflow.sdk.log import mask_secret
    except ImportError:
        try:
            from airflow.sdk.execution_time.secrets_masker import mask_secret
        except ImportError:
            from airflow.utils.log.secrets_masker import mask_secret


def task_states(ti: Any, task_id: str) -> set[str | None]:
    """The states of another task of the same DAG run, one for each of its mapped instances.

    :param ti: the running task's ``context["ti"]``.
    """
    if hasattr(ti, "get_task_states"):  # a task of Airflow 3 has no access to the database
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
