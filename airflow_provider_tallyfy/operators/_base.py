"""The base of all operators: connection, organization, and a hook that is created when the task runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy._compat import BaseOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import XComArg
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


class TallyfyBaseOperator(BaseOperator):
    """Base of the operators. It imports the hook, and with it requests, when the task runs, not at DAG parse time.

    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    """

    template_fields: Sequence[str] = ("organization_id", "tallyfy_conn_id")
    ui_color = "#e8f5e9"

    def __init__(
        self,
        *,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.organization_id: Any = organization_id
        self.tallyfy_conn_id: Any = tallyfy_conn_id

    @cached_property
    def hook(self) -> TallyfyHook:
        """The hook, created on first use, when the task runs."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        return TallyfyHook(self.tallyfy_conn_id, organization_id=self.organization_id)
