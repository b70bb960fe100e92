"""What the operators that change one run share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.api.protocol.arguments import check_choice, check_id
from airflow_provider_tallyfy.links.tallyfy import RUN_URL_KEY, TallyfyRunLink
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._if_already import IF_ALREADY, IfAlready, nothing_to_do
from airflow_provider_tallyfy.operators._literals import check_literals, checked

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.api.runs.archive import Outcome


class TallyfySingleRunOperator(TallyfyBaseOperator):
    """Base of the operators that change one run."""

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    #: The verb for the log line "Archiving run 0a1b... of organization ...".
    doing: ClassVar[str]

    def __init__(self, *, run_id: str | XComArg, if_already: IfAlready, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checked(check_choice, "if_already", if_already, IF_ALREADY)
        self.run_id = run_id
        self.if_already = if_already
        check_literals(self, {"run_id": check_id})

    @property
    def rendered_run_id(self) -> Any:
        """The id of the run, rendered. It is checked when the request is built."""
        return self.run_id

    @abstractmethod
    def act(self, look_first: bool) -> Outcome:
        """Change the run.

        :param look_first: read the run first, to know for certain whether there is anything to do.
        """

    @abstractmethod
    def done(self, outcome: Outcome) -> str:
        """Return the end of the log line "Run 'Onboarding' (0a1b...) is archived.", from the verb on."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the run and return it as Tallyfy returned it."""
        from airflow_provider_tallyfy.api.runs.model import describe

        run_id = self.rendered_run_id
        context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(run_id))
        self.log.info("%s run %s of organization %s.", self.doing, run_id, self.hook.organization_id)
        outcome = self.act(self.if_already != "succeed")
        name = describe({**outcome.run, "id": run_id})
        note = f" ({outcome.note})" if outcome.note else ""
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        if outcome.how != "already":
            self.log.info("Run %s %s%s.", name, self.done(outcome), note)
        else:
            nothing_to_do(self, f"Run {name}", note)
        return outcome.run
