"""Links from an Airflow task to Tallyfy's web app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy._compat import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import BaseOperator

RUN_URL_KEY = "tallyfy_run_url"


class TallyfyRunLink(BaseOperatorLink):
    """The button "Open in Tallyfy": the run that a task is about.

    The operator pushes the address before it calls Tallyfy, so the button is there while the task runs, after it
    failed, and for each mapped index. Airflow 3 stores the link under ``xcom_key``, which is the same XCom.
    """

    name = "Open in Tallyfy"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom that holds the address."""
        return RUN_URL_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address, or ``""`` (no button) where the task did not get as far as knowing it."""
        return XCom.get_value(key=self.xcom_key, ti_key=ti_key) or ""
