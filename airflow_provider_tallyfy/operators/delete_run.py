"""The operator that deletes an archived run permanently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.protocol.arguments import check_confirm, check_id
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._literals import check_literals, checked

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments


class TallyfyDeleteRunOperator(TallyfyBaseOperator):
    """Delete an archived run permanently, with its tasks and answers. This cannot be undone.

    XCom ``return_value``: the run as it was before.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Delete process")

    :param run_id: 32-character id of the run. (templated)
    :param confirm: must be ``True``, written in the DAG file.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyValidationError: if the run is not archived; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        confirm: bool = False,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        checked(check_confirm, "confirm", confirm)
        self.run_id = run_id
        self.confirm = confirm
        check_literals(self, {"run_id": check_id})

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the run and return it as it was before."""
        from airflow_provider_tallyfy.api.runs.model import describe

        run_id: Any = checked(check_id, "run_id", self.run_id)
        self.log.info("Permanently deleting run %s of organization %s.", run_id, self.hook.organization_id)
        run = self.hook.delete_run(run_id, confirm=self.confirm)
        self.log.info("Run %s is deleted permanently.", describe(run))
        return run
