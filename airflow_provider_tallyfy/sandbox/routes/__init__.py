"""Tallyfy's routes, by resource."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.routes import activity, labels, launch, members, runs, search, tasks, templates
from airflow_provider_tallyfy.sandbox.routing import Routes


def all_routes() -> Routes:
    """Every route of the API."""
    table = Routes()
    for module in (runs, launch, tasks, labels, members, templates, activity, search):
        table.include(module.routes)
    return table
