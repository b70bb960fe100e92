"""All operators, under the import path that DAG files use. A run is a "process" in Tallyfy's web app.

Airflow parses a DAG file again and again, and most DAG files name one or two operators. So an operator's module is
imported when a DAG file names the operator, and the hook, and with it requests, when a task runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_tallyfy.operators.archive_run import (
        TallyfyActivateRunOperator,
        TallyfyArchiveRunOperator,
    )
    from airflow_provider_tallyfy.operators.bulk_report import TallyfyBulkReportOperator
    from airflow_provider_tallyfy.operators.bulk_runs import (
        TallyfyBulkActivateRunsOperator,
        TallyfyBulkArchiveRunsOperator,
        TallyfyBulkUpdateRunsOperator,
    )
    from airflow_provider_tallyfy.operators.complete_task import TallyfyCompleteTaskOperator
    from airflow_provider_tallyfy.operators.delete_run import TallyfyDeleteRunOperator
    from airflow_provider_tallyfy.operators.get_run import TallyfyGetRunOperator
    from airflow_provider_tallyfy.operators.launch_run import TallyfyLaunchRunOperator
    from airflow_provider_tallyfy.operators.list_runs import TallyfyListRunsOperator
    from airflow_provider_tallyfy.operators.update_run import TallyfyUpdateRunOperator

#: The module beside this one that an operator is in.
_MODULES = {
    "TallyfyActivateRunOperator": "archive_run",
    "TallyfyArchiveRunOperator": "archive_run",
    "TallyfyBulkActivateRunsOperator": "bulk_runs",
    "TallyfyBulkArchiveRunsOperator": "bulk_runs",
    "TallyfyBulkReportOperator": "bulk_report",
    "TallyfyBulkUpdateRunsOperator": "bulk_runs",
    "TallyfyCompleteTaskOperator": "complete_task",
    "TallyfyDeleteRunOperator": "delete_run",
    "TallyfyGetRunOperator": "get_run",
    "TallyfyLaunchRunOperator": "launch_run",
    "TallyfyListRunsOperator": "list_runs",
    "TallyfyUpdateRunOperator": "update_run",
}

__all__ = [
    "TallyfyActivateRunOperator",
    "TallyfyArchiveRunOperator",
    "TallyfyBulkActivateRunsOperator",
    "TallyfyBulkArchiveRunsOperator",
    "TallyfyBulkReportOperator",
    "TallyfyBulkUpdateRunsOperator",
    "TallyfyCompleteTaskOperator",
    "TallyfyDeleteRunOperator",
    "TallyfyGetRunOperator",
    "TallyfyLaunchRunOperator",
    "TallyfyListRunsOperator",
    "TallyfyUpdateRunOperator",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    operator = getattr(import_module(f"airflow_provider_tallyfy.operators.{_MODULES[name]}"), name)
    globals()[name] = operator
    return operator


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
