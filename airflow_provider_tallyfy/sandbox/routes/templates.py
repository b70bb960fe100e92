"""Templates, which the API calls checklists."""

from __future__ import annotations

import time

from airflow_provider_tallyfy.sandbox import forms
from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Template
from airflow_provider_tallyfy.sandbox.refusal import invalid, not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
CHECKLISTS = "/organizations/{}/checklists"


@routes.add("GET", CHECKLISTS)
def list_templates(call: Call) -> Answer:
    """``GET /checklists``: without archived ones."""
    text = call.query.get("q", "").lower()
    templates = [t for t in call.organization.templates.values() if t.archived_at is None and text in t.title.lower()]
    return page(call, templates, lambda template: call.serializer.template(template, call.with_))


@routes.add("GET", f"{CHECKLISTS}/{{}}")
def get_template(call: Call) -> Answer:
    """``GET /checklists/{checklist}``: 404 when archived."""
    return Answer({"data": call.serializer.template(_find(call), call.with_)})


@routes.add("PUT", f"{CHECKLISTS}/{{}}")
def update_template(call: Call) -> Answer:
    """``PUT /checklists/{checklist}``: the title is required; ``folder_id`` files it."""
    template, body = _find(call), call.json
    title = forms.a_text("title", body.get("title"))
    if not title:
        raise invalid("title", "The title field is required.")
    template.title = title
    if "folder_id" in body:
        template.folder_id = body["folder_id"]
    if "summary" in body:
        template.summary = forms.a_text("summary", body["summary"])
    template.last_updated = time.time()
    call.organization.version += 1
    return Answer({"data": call.serializer.template(template)})


@routes.add("GET", f"{CHECKLISTS}/{{}}/steps")
def list_steps(call: Call) -> Answer:
    """``GET /checklists/{checklist}/steps``: pages, whatever ``without_pagination`` says."""
    return page(call, call.serializer.steps(_find(call)), dict)


@routes.add("GET", f"{CHECKLISTS}/{{}}/form-fields")
def form_fields(call: Call) -> Answer:
    """``GET /checklists/{checklist}/form-fields``: those of its steps and those of its kick-off form."""
    template, write = _find(call), call.serializer.form_field
    fields = [{**write(item), "step_id": step.id} for step in template.steps for item in step.fields]
    kickoff = [{**write(item), "checklist_id": template.id} for item in template.kickoff]
    short = {"id": template.id, "title": template.title, "form_fields": fields, "ko_form_fields": kickoff}
    return Answer({"data": short})


def _find(call: Call) -> Template:
    template = call.organization.templates.get(call.ids[1])
    if template is None or template.archived_at is not None:
        raise not_found()
    return template
