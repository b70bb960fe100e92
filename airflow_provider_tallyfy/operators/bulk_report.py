"""The operator that tells people what a bulk task did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import Context


class TallyfyBulkReportOperator(TallyfyBaseOperator):
    """Turn the outcome of a bulk task into a short Markdown text: for an e-mail, a chat message, a run's notes.

    XCom ``return_value``: the text, with a link to each run that it names. It sends nothing to Tallyfy. It is a
    teardown task: it runs whether the bulk task succeeded or failed, and its own success does not make a DAG run
    succeed in which the bulk task has failed.

    :param bulk_task_id: ``task_id`` of the bulk task of the same DAG. (templated)
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection, for the links. (templated)
    :raises TallyfyArgumentError: if that task has left no outcome.
    """

    template_fields: Sequence[str] = ("bulk_task_id", *TallyfyBaseOperator.template_fields)

    def __init__(self, *, bulk_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bulk_task_id = bulk_task_id
        self.as_teardown()

    def execute(self, context: Context) -> str:
        """Read the outcome and return the text."""
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
        from airflow_provider_tallyfy.operators.bulk_runs import SUMMARY_KEY

        summary = context["ti"].xcom_pull(task_ids=self.bulk_task_id, key=SUMMARY_KEY)
        if not isinstance(summary, Mapping):
            raise TallyfyArgumentError(
                f"bulk_task_id={self.bulk_task_id!r}: this task has left no outcome. It did not begin, or it is no "
                "bulk task of this provider."
            )
        text = self._text(summary)
        self.log.info("%s", text)
        return text

    def _text(self, summary: Mapping[str, Any]) -> str:
        lines = [f"**{summary['sentence']}**"]
        done = {"archive": "Archived", "activate": "Activated"}.get(summary["doing"], "Updated")
        changed = f"To be {done.lower()}" if summary["dry_run"] else done
        for result, heading in (("failed", "Failed"), ("modified", "Left alone"), ("changed", changed)):
            examples = summary["examples"].get(result, ())
            if examples:
                some = "" if len(examples) == summary[result] else f", {len(examples)} of {summary[result]}"
                lines += ["", f"{heading}{some}:"]
            for entry in examples:
                reason = f": {entry['reason']}" if entry.get("reason") else ""
                lines.append(f"- [{entry['name'] or entry['run_id']}]({self.hook.run_url(entry['run_id'])}){reason}")
        return "\n".join(lines)
