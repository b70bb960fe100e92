"""The operator that reads a run and what people wrote into its forms."""

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
    """Read a run, live or archived, and what people wrote into its kick-off form and its tasks.

    XCom ``return_value``: the run as Tallyfy returned it, with one key more: ``answers``, ``{label: value}``. Dates are
    ISO text, choices their text, people as Tallyfy stores them, and a field without an answer is ``None``. A label that
    occurs twice is followed by the title of its step: ``"Amount (Approve)"``. XCom ``tallyfy_run_url``: its address.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Get process")

    :param run_id: 32-character id of the run. (templated)
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection. (templated)
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
        """Read it, and return it with its answers."""
        from airflow_provider_tallyfy.api.runs.model import describe

        run_id: Any = self.run_id
        context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(run_id))
        run = self.hook.get_run(run_id, answers=True)
        given = sum(value is not None for value in run["answers"].values())
        self.log.info(
            "Run %s of organization %s is %s: %d of %d fields have an answer.",
            describe(run),
            self.hook.organization_id,
            run.get("status") or "in an unknown state",
            given,
            len(run["answers"]),
        )
        return run
