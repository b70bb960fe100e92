"""Answers as Tallyfy stores them, decoded to plain values by label."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.forms import (
    FormField,
    decode,
    decode_forms,
    encode,
    fields_of,
)
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from tests.unit._form import (
    BY_LABEL,
    FORM,
    JSON_VALUES,
    MAILS,
    MOMENTS,
    NUMBERS,
    ROWS,
    SIZES,
    TEXTS,
    URLS,
    a_file,
    encoded,
)

# -- round trip --------------------------------------------------------------------------------------------------------

_cells = st.none() | TEXTS | NUMBERS
#: For each field of the form: answers that decoding returns unchanged.
CANONICAL: dict[str, st.SearchStrategy[Any]] = {
    "Company": TEXTS | NUMBERS,
    "Notes": TEXTS,
    "Contact": MAILS,
    "Start": st.dates().map(date.isoformat) | MOMENTS,
    "Plan": st.sampled_from(["Yes", "No"]),
    "Size": st.sampled_from(["S", "L", "XL"]),
    "Modules": st.lists(st.sampled_from(["SSO", "L", "XL"]), min_size=1, unique=True),
    "Items": st.lists(_cells, min_size=2, max_size=2).filter(lambda cells: cells != [None, None]),
    "Team": st.fixed_dictionaries(
        {
            "users": st.lists(st.integers(1, 2**62), unique=True, max_size=3),
            "guests": st.lists(MAILS, unique=True, max_size=3),
            "groups": st.lists(st.from_regex(r"[0-9a-f]{32}", fullmatch=True), unique=True, max_size=3),
        }
    ).filter(lambda people: any(people.values())),
    "Contract": st.lists(
        URLS | st.fixed_dictionaries({"id": TEXTS, "filename": TEXTS, "source": st.just("local")}), min_size=1
    ),
    "Score": JSON_VALUES.filter(lambda value: value not in (None, "", [], {})),
}


class TestDecode:
    def test_every_type_has_a_strategy(self) -> None:
        assert set(CANONICAL) == set(BY_LABEL)

    @pytest.mark.parametrize("label", CANONICAL)
    @given(data=st.data())
    def test_decode_returns_what_encode_was_given(self, label: str, data: st.DataObject) -> None:
        value = data.draw(CANONICAL[label])
        sent = encode("answers", FORM, {label: value}, complete=False)
        stored = json.loads(json.dumps(sent))
        assert stored == sent
        decoded = decode(FORM, stored)
        assert list(decoded) == list(BY_LABEL)
        assert decoded.pop(label) == value
        assert set(decoded.values()) == {None}
        assert encode("answers", FORM, {**decoded, label: value}, complete=False) == sent

    @given(st.datetimes(timezones=st.timezones()) | st.dates())
    @example(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))
    def test_point_in_time_is_decoded_to_the_same_point(self, moment: date) -> None:
        try:
            sent = encoded("Start", moment)
        except ArgumentError:
            assert isinstance(moment, datetime), "in UTC it is outside of the calendar"
            return
        text = decode(FORM, {"f4": sent})["Start"]
        if isinstance(moment, datetime):
            # In UTC, because Python never takes a time in an hour that a zone repeats for equal to one in another zone.
            assert datetime.fromisoformat(text.replace("Z", "+00:00")) == moment.astimezone(timezone.utc)
        else:
            assert date.fromisoformat(text) == moment

    @pytest.mark.parametrize(
        ("label", "stored", "value"),
        [
            ("Start", "2026-03-01 12:00:00", "2026-03-01T12:00:00Z"),
            ("Start", "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00Z"),
            ("Start", "next week", "next week"),
            ("Start", "0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
            ("Company", {"value": "x"}, {"value": "x"}),
            ("Plan", {"id": 7, "text": "Yes"}, "Yes"),
            ("Size", {"id": "2"}, "L"),
            ("Size", {"id": 99}, {"id": 99}),
            ("Size", {"id": 99, "text": "Removed since"}, "Removed since"),
            ("Size", "L", "L"),
            ("Modules", [{**SIZES[1], "selected": True}, {**SIZES[2], "selected": False}, {"id": 1}], ["L", "SSO"]),
            ("Modules", [{**SIZES[2], "selected": False}], None),
            ("Modules", {"id": 1, "text": "SSO"}, ["SSO"]),
            ("Modules", [None, 7], [None, 7]),
            ("Items", ["Widget", ""], ["Widget", None]),
            ("Items", ["", None], None),
            ("Items", [["Widget", 1]], [["Widget", 1]]),
            ("Team", {"users": [], "guests": [], "groups": []}, None),
            ("Team", {"users": [{"id": 7}]}, {"users": [{"id": 7}]}),
            ("Contract", [{**a_file("a", "https://x.org/a"), "full_url": "https://x.org/a"}], ["https://x.org/a"]),
            ("Contract", {"source": "local", "id": 4}, [{"source": "local", "id": 4}]),
            ("Contract", "https://x.org/a", "https://x.org/a"),
            ("Score", 0, 0),
            ("Company", "", None),
            ("Company", [], None),
        ],
    )
    def test_stored_answer_is_decoded(self, label: str, stored: Any, value: Any) -> None:
        assert decode(FORM, {BY_LABEL[label].id: stored})[label] == value

    @given(
        st.dictionaries(st.sampled_from([field.id for field in FORM]), JSON_VALUES) | JSON_VALUES,
        JSON_VALUES | st.just(ROWS),
    )
    def test_any_stored_value_can_be_decoded(self, stored: Any, rows: Any) -> None:
        for fields in (FORM, fields_of(rows)):
            json.dumps(decode(fields, stored), allow_nan=False)

    def test_ids_are_added_to_labels_that_several_fields_have(self) -> None:
        fields = fields_of([{"id": "a", "label": "Name"}, {"id": "b", "label": "Name"}, {"id": "c", "alias": "x"}])
        values = {"Name (a)": "1", "Name (b)": "2", "x": "3"}
        assert decode(fields, {"a": "1", "b": "2", "c": "3"}) == values
        assert encode("answers", fields, values) == {"a": "1", "b": "2", "c": "3"}

    def test_titles_of_steps_are_added_to_labels_that_several_steps_have(self) -> None:
        amount, note, again = (fields_of([{"id": i, "label": label}]) for i, label in ("aA", "bN", "cA"))
        approval = [*fields_of([{"id": "d", "label": "A"}]), *note]
        assert decode_forms([("", amount, {"a": 1}), ("Approve", approval, {"d": 2, "b": 3})]) == {
            "A (a)": 1,
            "A (Approve)": 2,
            "N": 3,
        }
        repeated = [("Check", amount, {"a": 1}), ("Check", again, {"c": 2}), ("Pay", note, {})]
        assert decode_forms(repeated) == {"A (a)": 1, "A (c)": 2, "N": None}

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["", "A", "B"]), st.sampled_from("xy"), st.sampled_from(["", "l", "l (A)", "l (x)"])
            ),
            unique_by=lambda row: row[:2],
        )
    )
    def test_no_answer_replaces_another(self, rows: list[tuple[str, str, str]]) -> None:
        forms = [(title, [FormField(i, "", label, "text")], {i: f"{title}/{i}"}) for title, i, label in rows]
        assert sorted(decode_forms(forms).values()) == sorted(f"{title}/{i}" for title, i, _ in rows)


# -- anything at all ---------------------------------------------------------------------------------------------------
