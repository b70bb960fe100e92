"""A form with a field of every type, for tests."""

from __future__ import annotations

from datetime import timezone
from typing import Any

import pytest
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.forms import (
    FormField,
    encode,
    fields_of,
)
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError

YES_NO = [{"id": 7, "text": "Yes"}, {"id": 8, "text": "No"}]
SIZES = [{"id": 1, "text": "S"}, {"id": 2, "text": "L"}, {"id": 3, "text": "XL"}]
ROWS: list[dict[str, Any]] = [
    {"id": "f1", "label": "Company", "alias": "company_1", "field_type": "text", "required": True},
    {"id": "f2", "label": "Notes", "field_type": "textarea"},
    {"id": "f3", "label": "Contact", "field_type": "email"},
    {"id": "f4", "label": "Start", "field_type": "date"},
    {"id": "f5", "label": "Plan", "field_type": "radio", "options": YES_NO},
    {"id": "f6", "label": "Size", "field_type": "dropdown", "options": SIZES},
    {"id": "f7", "label": "Modules", "field_type": "multiselect", "options": [{"id": 1, "text": "SSO"}, *SIZES[1:]]},
    {"id": "f8", "label": "Items", "field_type": "table", "columns": [{"id": 1, "label": "Item"}, {"label": "Qty"}]},
    {"id": "f9", "label": "Team", "field_type": "assignees_form"},
    {"id": "f10", "label": "Contract", "field_type": "file"},
    {"id": "f11", "label": "Score", "field_type": "rating"},
]
FORM = fields_of(ROWS)
BY_LABEL = {field.label: field for field in FORM}
SIGNED = "https://x.org/a/My%20file.pdf?sig=s3cret#p"
UPLOADED = {"id": "4", "filename": "a.pdf", "source": "local"}
MEMBERS = {"ann@example.com": 1001}


def encoded(label: str, value: object, **more: Any) -> Any:
    """Return one answer, encoded."""
    (answer,) = encode("answers", [BY_LABEL[label]], {label: value}, **more).values()
    return answer


def refused(fields: list[FormField], answers: object, **more: Any) -> list[str]:
    """Return the lines of the error for these answers."""
    with pytest.raises(ArgumentError) as caught:
        encode("answers", fields, answers, **more)
    return str(caught.value).split("\n")


def a_file(name: str, url: str) -> dict[str, Any]:
    return {"filename": name, "source": "url", "url": url}


#: Strategies for values.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(str.strip)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(timezones=st.just(timezone.utc)).map(lambda m: m.isoformat().replace("+00:00", "Z"))
MAILS = st.from_regex(r"[a-z0-9.]{1,8}@[a-z]{1,8}\.com", fullmatch=True)
URLS = st.from_regex(r"https://[a-z]{1,8}\.com/[a-z0-9%?=#/.]{0,20}", fullmatch=True)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | NUMBERS | TEXTS | st.just(""),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
