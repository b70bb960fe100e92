"""The fields of a run that an update can change, as the operators take them."""

from __future__ import annotations

CHANGES = (
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
