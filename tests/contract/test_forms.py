"""Answers by label, sent to the sandbox, which shares no code with the client, and decoded to the given values."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow_provider_tallyfy.api import forms
from airflow_provider_tallyfy.api.endpoints.paths import organization
from airflow_provider_tallyfy.api.protocol.messages import Request
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.templates import find_template
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Sandbox

FIELDS: list[dict[str, Any]] = [
    {"label": "Company", "required": True},
    {"label": "Headcount"},
    {"label": "Notes", "field_type": "textarea"},
    {"label": "Contact", "field_type": "email"},
    {"label": "Start", "field_type": "date"},
    {"label": "Call", "field_type": "date"},
    {"label": "Plan", "field_type": "radio", "options": ["Free", "Paid"]},
    {"label": "Size", "field_type": "dropdown", "options": ["S", "L"]},
    {"label": "Modules", "field_type": "multiselect", "options": ["SSO", "Audit", "API"]},
    {"label": "Seats", "field_type": "table", "columns": [{"id": 1, "label": "Kind"}, {"id": 2, "label": "Number"}]},
    {"label": "Team", "field_type": "assignees_form"},
    {"label": "Contract", "field_type": "file"},
    {"label": "Nothing", "field_type": "textarea"},
]
ANSWERS = {
    "Company": "Acme",
    "Headcount": 40,
    "Notes": "By post\n",
    "Contact": "ann@acme.com",
    "Start": "2026-03-01",
    "Call": "2026-03-01T11:00:00Z",
    "Plan": "Paid",
    "Size": "L",
    "Modules": ["API", "SSO"],
    "Seats": ["Full", None],
    "Team": None,
    "Contract": ["https://acme.com/contract.pdf"],
    "Nothing": None,
}


def test_answer_to_every_type_of_field_is_stored_and_decoded_unchanged(hook: TallyfyHook, sandbox: Sandbox) -> None:
    sandbox.add_template("Onboarding", kickoff_fields=FIELDS)
    template = hook._perform(find_template(hook.organization_id, "template", "Onboarding"))
    assert [field.label for field in template.kickoff] == list(ANSWERS)

    ann = sandbox.add_member("ann@acme.com")
    answers = {**ANSWERS, "Team": {"users": [ann], "guests": ["bob@acme.com"], "groups": []}}
    given = {**answers, "Start": date(2026, 3, 1), "Seats": {"kind": "Full"}, "size": "l"}
    del given["Size"]
    sent = forms.encode("answers", template.kickoff, given)
    body = {"checklist_id": template.id, "name": "Acme", "prerun": sent}
    run = hook._perform(ask(Request("POST", organization(hook.organization_id, "runs"), json=body, expects="object")))

    assert sandbox.requests[-1].json["prerun"] == sent
    stored = hook.get_run(run["id"])["prerun"]
    assert stored == sent
    assert forms.decode(template.kickoff, stored) == answers
