"""Templates ("checklists" in the API)."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, organization
from airflow_provider_tallyfy.api.protocol.messages import Request


def list_templates(org: str) -> Request:
    """List the organization's templates (``checklists`` in the API)."""
    return Request("GET", organization(org, "checklists"), (("per_page", PAGE_SIZE),), expects="list")
