"""The operator that completes a task of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.api.protocol.arguments import check_choice, check_id
from airflow_provider_tallyfy.links.tallyfy import RUN_URL_KEY, TallyfyRunLink
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._if_already import IF_ALREADY, IfAlready, nothing_to_do
from airflow_provider_tallyfy.operators._literals import check_literals, checked

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments


class TallyfyCompleteTaskOperator(TallyfyBaseOperator):
    """Complete a task of a run once: write the answers, complete the task or decide the approval, and comment.

    XCom ``return_value``: the task as Tallyfy returned it; ``tallyfy_run_url``: the address of its run. Safe to retry:
    the task is read first, and only the remaining changes are made. If a response is lost, the task is read to find out
    its state.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Complete task")

    :param run_id: 32-character id of the run. (templated)
    :param task: the task's id, title or alias. (templated)
    :param answers: answers to its form, by label, alias or id of the field, as plain Python values. (templated)
    :param approve: ``True`` or ``False`` for an approval; ``None`` for any other task.
    :param comment: a comment to write after the completion. Tallyfy accepts 120 per hour and organization. (templated)
    :param if_already: what to do if the task is already complete: ``succeed``, ``skip`` the Airflow task or ``fail``
        it. An approval that was decided the other way is always an error.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyConflictError: if an approval was decided the other way, or the task or its run has an open issue;
        further errors in :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = ("run_id", "task", "answers", "comment", *TallyfyBaseOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"answers": "json"}
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        task: str | XComArg,
        answers: Mapping[str, Any] | str | XComArg | None = None,
        approve: bool | None = None,
        comment: str | XComArg | None = None,
        if_already: IfAlready = "succeed",
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        from airflow_provider_tallyfy.api.forms import check_answers
        from airflow_provider_tallyfy.api.tasks import model

        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        checked(check_choice, "if_already", if_already, IF_ALREADY)
        checked(model.check_approve, "approve", approve)
        self.run_id = run_id
        self.task = task
        self.answers = answers
        self.approve = approve
        self.comment = comment
        self.if_already = if_already
        check_literals(
            self,
            {
                "run_id": check_id,
                "task": model.check_task,
                "answers": check_answers,
                "comment": model.check_comment,
            },
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Complete the task and return it as Tallyfy returned it."""
        from airflow_provider_tallyfy.api.tasks.model import describe

        run_id: Any = self.run_id
        task: Any = self.task
        answers: Any = self.answers
        comment: Any = self.comment
        context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(run_id))
        self.log.info("Completing the task %r of run %s of organization %s.", task, run_id, self.hook.organization_id)
        outcome = self.hook.complete_task_outcome(
            run_id,
            task,
            answers=answers,
            approve=self.approve,
            comment=comment,
            comment_if_already=self.if_already == "succeed",
        )
        name = describe(outcome.task)
        note = f" ({outcome.note})" if outcome.note else ""
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        if outcome.how != "already":
            result = {True: "approved", False: "rejected", None: "complete"}[self.approve]
            self.log.info("Task %s is %s%s.", name, result, note)
        else:
            nothing_to_do(self, f"Task {name}", note)
        return outcome.task
