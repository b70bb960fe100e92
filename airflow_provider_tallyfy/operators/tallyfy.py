"""All operators, under the import path that DAG files use. A run is a "process" in Tallyfy's web app.

Airflow imports this module whenever it parses a DAG file. The hook, and with it requests, is imported only when a task
runs.
"""

from __future__ import annotations

from airflow_provider_tallyfy.operators.bulk_report import TallyfyBulkReportOperator
from airflow_provider_tallyfy.operators.bulk_runs import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
)
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
    "TallyfyListRunsOperator",
    "TallyfyUpdateRunOperator",
]
