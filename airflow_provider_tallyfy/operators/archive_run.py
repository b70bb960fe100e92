"""The operators that archive a run, and bring an archived run back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_tallyfy.operators._if_already import IfAlready
from airflow_provider_tallyfy.operators._single_run import TallyfySingleRunOperator

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import XComArg
    from airflow_provider_tallyfy.api.runs.archive import Outcome
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments


class TallyfyArchiveRunOperator(TallyfySingleRunOperator):
    """Archive a run. Tallyfy keeps it and its tasks; :class:`TallyfyActivateRunOperator` brings them back.

    XCom ``return_value``: the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry: an archived
    run counts as done, and if a response is lost, the run is read to find out its state.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Archive process")

    :param run_id: 32-character id of the run. (templated)
    :param if_already: what to do if the run is already archived: ``succeed``, ``skip`` the task or ``fail`` it. For
        ``skip`` and ``fail`` the run is read first (one more request), to know for certain.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    doing = "Archiving"

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        if_already: IfAlready = "succeed",
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_id=run_id,
            if_already=if_already,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )

    def act(self, look_first: bool) -> Outcome:
        """Archive the run."""
        return self.hook.archive_run_outcome(self.rendered_run_id, look_first=look_first)

    def done(self, outcome: Outcome) -> str:
        """Say that the run is archived."""
        return "is archived"


class TallyfyActivateRunOperator(TallyfySingleRunOperator):
    """Bring an archived run back to life, with its tasks, in the state that it had before.

    XCom ``return_value``: the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Activate process")

    :param run_id: 32-character id of the run. (templated)
    :param if_already: what to do if the run is not archived: ``succeed``, ``skip`` the task or ``fail`` it. For
        ``skip`` and ``fail`` the run is read first (one more request), to know for certain.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    doing = "Activating"

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        if_already: IfAlready = "succeed",
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_id=run_id,
            if_already=if_already,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )

    def act(self, look_first: bool) -> Outcome:
        """Activate the run."""
        return self.hook.activate_run_outcome(self.rendered_run_id, look_first=look_first)

    def done(self, outcome: Outcome) -> str:
        """Say that the run is active."""
        return "is active"
