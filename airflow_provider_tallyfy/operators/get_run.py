"""The operator that reads a run and the answers in its forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.protocol.arguments import check_id
from airflow_provider_tallyfy.links.tallyfy import RUN_URL_KEY, TallyfyRunLink
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._literals import check_literals

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments


class TallyfyGetRunOperator(TallyfyBaseOperator):
    """Read a live or archived run, with the answers in its kick-off form and its tasks.

    XCom ``return_value``: the run as Tallyfy returned it, plus the key ``answers``: ``{label: value}``. A date is ISO
    8601 text, an option its text, and an unanswered field is ``None``. People are as Tallyfy stores them. If several
    fields have the same label, the title of the step is added to it: ``"Amount (Approve)"``. XCom ``tallyfy_run_url``:
    the address of the run.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Get process")

    :param run_id: 32-character id of the run. (templated)
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        self.run_id = run_id
        check_literals(self, {"run_id": check_id})

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the run and return it with its answers."""
        from airflow_provider_tallyfy.api.runs.model import describe

        run_id: Any = self.run_id
        context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(run_id))
        run = self.hook.get_run(run_id, answers=True)
        answered = sum(value is not None for value in run["answers"].values())
        self.log.info(
            "Run %s of organization %s is %s: %d of %d fields have an answer.",
            describe(run),
            self.hook.organization_id,
            run.get("status") or "in an unknown state",
            answered,
            len(run["answers"]),
        )
        return run
