"""Templates ("checklists" in the API)."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, organization
from airflow_provider_tallyfy.api.protocol.arguments import check_id
from airflow_provider_tallyfy.api.protocol.messages import Request


def list_templates(org: str) -> Request:
    """List the organization's templates."""
    return Request("GET", organization(org, "checklists"), (("per_page", PAGE_SIZE),), expects="list")


def get_template(org: str, template_id: str) -> Request:
    """Read a template with its kick-off form and its steps. For an archived template, Tallyfy answers 404."""
    path = organization(org, "checklists", check_id("template_id", template_id))
    return Request("GET", path, (("with", "steps"),), expects="object", identity=template_id)


def list_steps(org: str, template_id: str) -> Request:
    """List the steps of a template with their forms. Tallyfy returns them in pages."""
    path = organization(org, "checklists", check_id("template_id", template_id), "steps")
    return Request("GET", path, (("per_page", PAGE_SIZE),), expects="list")
