"""The operator that turns the result of a bulk task into a text for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy._compat import AirflowSkipException, task_states
from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments

#: States of a task that never started in this DAG run.
_NEVER_RUN = frozenset({"upstream_failed", "skipped", "removed", None})


class TallyfyBulkReportOperator(TallyfyBaseOperator):
    """Turn the result of a bulk task into a short Markdown text: for an e-mail, a chat message, a run's notes.

    XCom ``return_value``: the text, with a link to each run that it names. Names and reasons are escaped, so they
    cannot add links, images or lines. The operator sends nothing to Tallyfy.

    It is a teardown task: it runs whether the bulk task succeeded or failed, and a failed bulk task still fails the DAG
    run. It is skipped if the bulk task did not run because an upstream task failed.

    :param bulk_task_id: ``task_id`` of the bulk task in the same DAG. (templated)
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection, for the links. (templated)
    :raises TallyfyArgumentError: if that task ran and left no result.
    """

    template_fields: Sequence[str] = ("bulk_task_id", *TallyfyBaseOperator.template_fields)

    def __init__(
        self,
        *,
        bulk_task_id: str | XComArg,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        self.bulk_task_id = bulk_task_id
        self.as_teardown()

    def execute(self, context: Context) -> str:
        """Read the result of the bulk task and return the text."""
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
        from airflow_provider_tallyfy.operators._bulk_base import SUMMARY_KEY

        task_id: Any = self.bulk_task_id
        if not isinstance(task_id, str) or not task_id.strip():
            raise TallyfyArgumentError(f"bulk_task_id={show(task_id)} is not the task_id of a bulk task.")
        summary = context["ti"].xcom_pull(task_ids=task_id, key=SUMMARY_KEY)
        if summary is None:
            states = task_states(context["ti"], task_id)
            if states and states <= _NEVER_RUN:
                raise AirflowSkipException(f"The task {task_id!r} did not run, so there is nothing to report.")
            raise TallyfyArgumentError(
                f"bulk_task_id={task_id!r}: this task left no result. It ended before it changed a run, or it is not "
                "a bulk task of this provider."
            )
        try:
            text = self._text(summary)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise TallyfyArgumentError(
                f"bulk_task_id={task_id!r}: the XCom {SUMMARY_KEY!r} of this task is not the summary of a bulk task of "
                "this provider."
            ) from None
        self.log.info("%s", text)
        return text

    def _text(self, summary: Mapping[str, Any]) -> str:
        from airflow_provider_tallyfy.api.runs.report import DONE

        lines = [f"**{escape(summary['sentence'])}**"]
        done = DONE.get(summary["doing"], "updated")
        changed = f"To be {done}" if summary["dry_run"] else done.capitalize()
        for result, heading in (("failed", "Failed"), ("modified", "Left alone"), ("changed", changed)):
            examples = summary["examples"].get(result, ())
            if examples:
                some = "" if len(examples) == summary[result] else f", {len(examples)} of {summary[result]}"
                lines += ["", f"{heading}{some}:"]
            for entry in examples:
                reason = f": {escape(entry['reason'])}" if entry.get("reason") else ""
                name = escape(entry["name"] or entry["run_id"])
                lines.append(f"- [{name}]({self.hook.run_url(entry['run_id'])}){reason}")
        return "\n".join(lines)


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
#: Characters with a meaning in Markdown at any position, and those that turn a bare address into a link. Dots and
#: hyphens have a meaning only at the beginning of a line, where no text from outside is placed.
_SPECIAL = re.compile(r"[\\`*_{}\[\]()#+!|~^=$@]|(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)


def escape(text: object) -> str:
    """Return text from outside as one line that Markdown and HTML show unchanged, without interpreting it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    line = _SPECIAL.sub(lambda found: f"\\{found[0]}", line)
    return "".join(_ENTITIES.get(c, c) for c in line)
