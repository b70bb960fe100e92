"""Form fields of every type that Tallyfy has, to build templates from."""

from __future__ import annotations

from typing import Any


def every_field(*, required: bool = False) -> list[dict[str, Any]]:
    """One field of every type, as ``kickoff_fields`` or the ``fields`` of a step take them.

    :param required: whether each of them must be answered.
    :returns: new mappings, which the caller may change.
    """
    fields: list[dict[str, Any]] = [
        {"label": "Company", "field_type": "text"},
        {"label": "Notes", "field_type": "textarea"},
        {"label": "Contact", "field_type": "email"},
        {"label": "Start", "field_type": "date"},
        {"label": "Plan", "field_type": "radio", "options": ["Monthly", "Yearly"]},
        {"label": "Size", "field_type": "dropdown", "options": ["S", "M", "L"]},
        {"label": "Modules", "field_type": "multiselect", "options": ["SSO", "Audit", "API"]},
        {"label": "First order", "field_type": "table", "columns": ["Item", "Quantity"]},
        {"label": "Reviewers", "field_type": "assignees_form"},
        {"label": "Contract", "field_type": "file"},
    ]
    for field in fields:
        field["required"] = required
    return fields
