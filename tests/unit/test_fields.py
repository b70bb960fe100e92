"""Whether a run shows the wanted value: compared by the type of the field, in any notation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.runs.fields import (
    FIELDS,
    current_values,
    describe_changes,
    differing,
    not_applied,
    shows,
    trimmed,
)

_SAME: list[tuple[str, Any, Any]] = [
    ("name", "x", "x"),
    ("summary", None, ""),
    ("summary", "", ""),
    ("owner_id", 7, 7),
    ("owner_id", "7", 7),
    ("owner_id", 7, "7"),
    ("starred", True, True),
    ("starred", 1, True),
    ("starred", "1", True),
    ("starred", 0, False),
    ("is_public", "false", False),
    ("tags", [], []),
    ("tags", ["a", "b"], ["b", "a"]),
    ("tags", {"data": [{"id": 5, "tag_id": "a"}]}, ["a"]),
    ("folders", [{"id": 9, "folder_id": "f"}], ["f"]),
    ("folders", [{"id": "f", "folder_object_id": 9}], ["f"]),
    ("users", [1, "2"], [2, 1]),
    ("users", {"data": [{"id": 1}]}, [1]),
    ("groups", ["g"], ["g"]),
    ("prerun", {"a": "1", "b": "2"}, {"a": "1"}),
    ("prerun", {"a": 1}, {"a": "1"}),
    ("prerun", {"a": {"id": 2, "text": "Gold", "more": 1}}, {"a": {"id": 2, "text": "Gold"}}),
    ("prerun", {"a": [{"id": 1, "selected": "1"}]}, {"a": [{"id": 1, "selected": True}]}),
    ("prerun", {}, {"a": ""}),
    ("prerun", [], {"a": None}),
    ("prerun", {"a": None}, {"a": []}),
    ("publicly_hidden_fields", ["a", "b"], ["b", "a"]),
    ("due_date", "2026-03-01T00:00:00.000Z", "2026-03-01T01:00:00+01:00"),
    ("priority", 1, "1"),
]
_OTHER: list[tuple[str, Any, Any]] = [
    ("name", "2026-03-01", "20260301"),
    ("name", "x", "X"),
    ("name", "x", "x "),
    ("name", "1", "true"),
    ("name", None, "None"),
    ("name", ["x"], "x"),
    ("summary", "None", ""),
    ("summary", 0, ""),
    ("owner_id", None, 0),
    ("owner_id", None, "None"),
    ("owner_id", True, 1),
    ("owner_id", "", ""),
    ("starred", None, False),
    ("starred", "yes", True),
    ("starred", [], False),
    ("tags", None, []),
    ("tags", ["a"], []),
    ("tags", [None], ["None"]),
    ("users", [1], [1, 2]),
    ("users", [None], ["None"]),
    ("users", [True], [1]),
    ("users", "12", ["1", "2"]),
    ("groups", {"g": 1}, ["g"]),
    ("prerun", {"a": "true"}, {"a": "1"}),
    ("prerun", {"a": "1"}, {"a": True, "b": "x"}),
    ("prerun", {"a": True}, {"a": "true"}),
    ("prerun", {"a": None}, {"a": "None"}),
    ("prerun", {"a": "x"}, {"a": ""}),
    ("prerun", {"a": ["x"]}, {"a": ["x", "y"]}),
    ("prerun", {"a": {"id": 2}}, {"a": {"id": 2, "text": "Gold"}}),
    ("prerun", "a", {"a": "x"}),
    ("publicly_hidden_fields", "ab", ["a", "b"]),
    ("due_date", "2026-03-01T00:00:00Z", "2026-03-01T00:00:01Z"),
    ("due_date", None, "2026-03-01T00:00:00Z"),
    ("priority", "1.0", "1"),
]


@pytest.mark.parametrize(("field", "have", "want"), _SAME, ids=repr)
def test_same_value_in_another_notation_is_equal(field: str, have: Any, want: Any) -> None:
    assert shows({field: have}, field, want)
    assert differing({field: have}, {field: want}) == []


@pytest.mark.parametrize(("field", "have", "want"), _OTHER, ids=repr)
def test_different_value_is_not_equal(field: str, have: Any, want: Any) -> None:
    assert not shows({field: have}, field, want)
    assert differing({field: have}, {field: want}) == [field]


@pytest.mark.parametrize("field", [name for name in FIELDS if not name.endswith("_tags")] + ["due_date", "priority"])
def test_field_that_the_run_does_not_show_is_not_equal(field: str) -> None:
    want = {"prerun": {"a": ""}, "starred": False}.get(field, [] if field.endswith("s") else "")
    assert not shows({}, field, want)


_texts = st.text(max_size=12)
_answers = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)


@given(_answers)
def test_stored_answer_equals_the_sent_one(answer: Any) -> None:
    assert shows({"prerun": {"a": answer}}, "prerun", {"a": answer})
    assert not_applied({"prerun": {"a": trimmed(answer)}}, {"prerun": {"a": answer}}) == []


@given(_texts, _texts)
def test_texts_are_the_same_only_if_they_are_equal(have: str, want: str) -> None:
    for field in ("name", "summary"):
        assert shows({field: have}, field, want) is (have == want)


@given(_texts)
def test_stored_text_may_be_stripped(text: str) -> None:
    assert not_applied({"name": text.strip()}, {"name": text}) == []
    assert not_applied({"name": f"{text}x"}, {"name": text}) == ["name"]


def test_current_values_have_the_form_of_an_update() -> None:
    run = {
        "name": "Old",
        "summary": None,
        "tags": {"data": [{"id": 5, "tag_id": "a"}]},
        "users": [{"id": 1}],
        "prerun": {"a": "1", "b": "2"},
    }
    changed = {
        "name": "New",
        "summary": "x",
        "tags": ["b"],
        "users": [],
        "prerun": {"a": "2", "c": "3"},
        "starred": True,
    }
    was = current_values(run, changed)
    assert was == {"name": "Old", "summary": "", "tags": ["a"], "users": [1], "prerun": {"a": "1", "c": None}}
    # What an update can send.
    for name, value in was.items():
        FIELDS[name].check(name, value)


def test_changes_are_described_in_one_line() -> None:
    run = {"name": "New\nline", "prerun": {"a": "2"}}
    text = describe_changes({"name": "Old", "prerun": {"a": "1"}}, run)
    assert text == r"name 'Old' -> 'New\nline', answer a '1' -> '2'"
