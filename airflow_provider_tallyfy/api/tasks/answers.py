"""Read the answers in the forms of a run, as plain values by label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api import forms
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.forms.fields import text_of
from airflow_provider_tallyfy.api.protocol.messages import Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import Kind, about
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.api.runs.read import require
from airflow_provider_tallyfy.api.tasks.model import included, stored_answers

#: The relations of a run that contain its forms, the answers, and the titles of its tasks.
INCLUDE = ("ko_form_fields", "form_fields", "tasks")
#: Stands for the title of a step in a label of the kick-off form.
KICKOFF = "kick-off form"


def read_with_answers(org: str, run_id: str, include: Iterable[str] = ()) -> Flow[Run]:
    """Read a live or archived run, and add the key ``answers``: ``{label: value}`` for all of its forms.

    It is one request, and one more if Tallyfy does not return the forms with the run. An unanswered field is ``None``.
    If several fields have the same label, the title of the step is added to it: ``"Amount (Approve)"``.

    :param include: relations to return with the run. Other relations, which are only read for the answers, are removed.
    :return: the run.
    :raises Rejected: if there is no such run, or Tallyfy does not return its forms.
    """
    kept = tuple(include)
    wanted = tuple(dict.fromkeys((*kept, *INCLUDE)))
    run = (yield from require(org, run_id, include=wanted, form_fields_values=True)).run
    kickoff, steps = included(run, "ko_form_fields"), included(run, "form_fields")
    if kickoff is None or steps is None:
        kickoff, steps = yield from _read_forms(org, run)
    found = answers_of(run, kickoff, steps)
    plain = {name: value for name, value in run.items() if name not in INCLUDE or name in kept}
    return {**plain, "answers": found}


def answers_of(
    run: Mapping[str, Any], kickoff: Iterable[Mapping[str, Any]], steps: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the answers in a run's forms, by label.

    :param run: the run, with its tasks if Tallyfy returned them.
    :param kickoff: the fields of its kick-off form.
    :param steps: the fields of its tasks.
    """
    tasks = {str(task.get("id")): task for task in included(run, "tasks") or []}
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in steps:
        rows.setdefault(text_of(row.get("task_id")), []).append(row)
    found = [_form(KICKOFF, kickoff, run.get("prerun"))]
    for task_id, fields in rows.items():
        task = tasks.get(task_id, {})
        found.append(_form(text_of(task.get("title")) or task_id, fields, stored_answers(task)))
    return forms.decode_forms(found)


def _form(title: str, rows: Iterable[Mapping[str, Any]], stored: object) -> tuple[str, list[forms.FormField], Any]:
    """Return the title, fields and answers of a form. Tallyfy returns answers with the fields, or separately."""
    rows = list(rows)
    answers = dict(stored) if isinstance(stored, Mapping) else {}
    answers.update({str(row.get("id")): row["value"] for row in rows if row.get("value") is not None})
    return title, forms.fields_of(rows), answers


def _read_forms(org: str, run: Mapping[str, Any]) -> Flow[tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]]:
    """Read the forms from their own endpoint, because Tallyfy did not return them with the run."""
    request: Request = run_endpoints.get_form_fields(org, str(run["id"]))
    body = yield from ask(request)
    data = body.get("data", body) if isinstance(body, Mapping) else {}
    data = data if isinstance(data, Mapping) else {}
    kickoff, steps = included(data, "ko_form_fields"), included(data, "form_fields")
    if kickoff is None or steps is None:
        raise about(
            request,
            Kind.SERVER,
            f"{request.label}: Tallyfy did not return the forms of the run {describe(run)}, so its answers are "
            "unknown. Is the connection's host the API?",
        )
    return kickoff, steps
