"""The fields that an update can change, as arguments of the update operators."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.operators._literals import checked, literals

#: Names of these fields.
UPDATE_FIELDS = (
    "name",
    "summary",
    "owner_id",
    "tags",
    "add_tags",
    "remove_tags",
    "folders",
    "prerun",
    "starred",
    "is_public",
    "users",
    "groups",
    "publicly_hidden_fields",
    "extra_fields",
)


def check_update_literals(operator: Any) -> None:
    """Check the literal update fields of an operator: each by itself and, if all are literal, all of them together.

    :raises TallyfyArgumentError: for a bad value, and if there is nothing to update. It is a ``ValueError``.
    """
    from airflow_provider_tallyfy.api.runs.fields import FIELDS
    from airflow_provider_tallyfy.api.runs.update import check_extra_fields, checked_changes

    given = {name for name in UPDATE_FIELDS if getattr(operator, name) is not None}
    known = literals(operator, UPDATE_FIELDS)
    for name, value in known.items():
        checked(check_extra_fields if name == "extra_fields" else FIELDS[name].check, name, value)
    if len(known) == len(given):
        extra_fields = known.pop("extra_fields", None)
        checked(checked_changes, known, extra_fields)
