"""What people wrote into the forms of a run: by the label of each field, as plain values."""

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

#: The relations that hold a run's forms, their answers, and the titles of their steps.
INCLUDE = ("ko_form_fields", "form_fields", "tasks")
#: What the kick-off form is called where a label needs the title of its step.
KICKOFF = "kick-off form"


def read_with_answers(org: str, run_id: str, include: Iterable[str] = ()) -> Flow[Run]:
    """Read a run, live or archived, with one key more: ``answers``, ``{label: value}`` of all of its forms.

    One request, and one more where Tallyfy does not show the forms with the run. A field without an answer is
    ``None``. A label that occurs twice is followed by the title of its step: ``"Amount (Approve)"``.

    :param include: relations that the caller wants to keep; those that are only read for the answers are left out.
    :raises Rejected: if there is no such run, or Tallyfy does not show its forms.
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
    """The answers in a run's forms, by label.

    :param run: the run, with its tasks where they are shown.
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
    return forms.labelled(found)


def _form(title: str, rows: Iterable[Mapping[str, Any]], stored: object) -> tuple[str, list[forms.FormField], Any]:
    """One form: its title, its fields, its answers. An answer stands in the field's own row, or beside the form."""
    rows = list(rows)
    answers = dict(stored) if isinstance(stored, Mapping) else {}
    answers.update({str(row.get("id")): row["value"] for row in rows if row.get("value") is not None})
    return title, forms.fields_of(rows), answers


def _read_forms(org: str, run: Mapping[str, Any]) -> Flow[tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]]:
    """Read the forms from their own address, where the run does not show them."""
    request: Request = run_endpoints.get_form_fields(org, str(run["id"]))
    body = yield from ask(request)
    data = body.get("data", body) if isinstance(body, Mapping) else {}
    data = data if isinstance(data, Mapping) else {}
    kickoff, steps = included(data, "ko_form_fields"), included(data, "form_fields")
    if kickoff is None or steps is None:
        raise about(
            request,
            Kind.SERVER,
            f"{request.label}: Tallyfy does not show the forms of the run {describe(run)}, so there are no answers to "
            "return. Is the connection's host the API?",
        )
    return kickoff, steps
