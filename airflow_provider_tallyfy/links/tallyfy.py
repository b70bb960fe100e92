"""The button "Open in Tallyfy" of an Airflow task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy._compat import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import BaseOperator

RUN_URL_KEY = "tallyfy_run_url"


class TallyfyRunLink(BaseOperatorLink):
    """The button "Open in Tallyfy", which opens the run that a task works on.

    The operator pushes the address before it calls Tallyfy, so the button works while the task runs, after it failed,
    and for each mapped index. Airflow 3 stores the link under ``xcom_key``, which is the same XCom.
    """

    name = "Open in Tallyfy"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom that holds the address."""
        return RUN_URL_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address, or ``""`` (no button) if the task failed before it pushed one."""
        return XCom.get_value(key=self.xcom_key, ti_key=ti_key) or ""
