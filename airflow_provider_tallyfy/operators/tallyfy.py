"""Operators for Tallyfy runs ("processes" in Tallyfy's web app): the import path that DAG files use.

Imported at every parse of a DAG file, so the hook, and requests with it, is imported only when a task runs.
"""

from __future__ import annotations

from airflow_provider_tallyfy.operators.bulk_report import TallyfyBulkReportOperator
from airflow_provider_tallyfy.operators.bulk_runs import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
)
from airflow_provider_tallyfy.operators.launch_run import TallyfyLaunchRunOperator
from airflow_provider_tallyfy.operators.list_runs import TallyfyListRunsOperator
from airflow_provider_tallyfy.operators.single_runs import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyDeleteRunOperator,
    TallyfyUpdateRunOperator,
)

__all__ = [
    "TallyfyActivateRunOperator",
    "TallyfyArchiveRunOperator",
    "TallyfyBulkActivateRunsOperator",
    "TallyfyBulkArchiveRunsOperator",
    "TallyfyBulkReportOperator",
    "TallyfyBulkUpdateRunsOperator",
    "TallyfyDeleteRunOperator",
    "TallyfyLaunchRunOperator",
    "TallyfyListRunsOperator",
    "TallyfyUpdateRunOperator",
]
