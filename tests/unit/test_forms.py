"""Answers by label: how each type of field is encoded, and which answers are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.forms import (
    FormField,
    Option,
    check_answers,
    decode,
    encode,
    fields_of,
    needs_members,
)
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from tests.unit._form import BY_LABEL, FORM, JSON_VALUES, MEMBERS, SIGNED, SIZES, UPLOADED, a_file, encoded, refused


class Colour(str, Enum):
    RED = "Red"


class TestEncode:
    @pytest.mark.parametrize(
        ("label", "value", "sent"),
        [
            ("Company", "Acme", "Acme"),
            ("Company", "x" * 200, "x" * 200),
            ("Company", 7, 7),
            ("Company", 1.5, 1.5),
            ("Company", 2**53 + 1, "9007199254740993"),
            ("Company", Decimal("1.10"), "1.10"),
            ("Company", Decimal("1E+3"), "1000"),
            ("Company", date(2026, 3, 1), "2026-03-01"),
            ("Company", Colour.RED, "Red"),
            ("Notes", 7, "7"),
            ("Notes", "x" * 30_000, "x" * 30_000),
            ("Contact", " ann@example.com ", "ann@example.com"),
            ("Start", date(2026, 3, 1), "2026-03-01"),
            ("Start", "2026-03-01", "2026-03-01"),
            ("Start", datetime(2026, 3, 1, 12), "2026-03-01T12:00:00Z"),
            ("Start", pendulum.datetime(2026, 3, 1, 12, tz="Europe/Berlin"), "2026-03-01T11:00:00Z"),
            ("Start", pendulum.date(2026, 3, 1), "2026-03-01"),
            ("Start", "2026-03-01 12:00:00+01:00", "2026-03-01T11:00:00Z"),
            ("Start", "2026-03-01T12:00:00.500+01:00", "2026-03-01T11:00:00.500000Z"),
            ("Plan", "Yes", "Yes"),
            ("Plan", " yes ", "Yes"),
            ("Plan", 7, "Yes"),
            ("Plan", True, "Yes"),
            ("Plan", False, "No"),
            ("Plan", {"id": 8, "text": "No"}, "No"),
            ("Size", "L", {"id": 2, "text": "L"}),
            ("Size", "xl", {"id": 3, "text": "XL"}),
            ("Size", "2", {"id": 2, "text": "L"}),
            ("Size", 2.0, {"id": 2, "text": "L"}),
            ("Size", {"id": "2"}, {"id": 2, "text": "L"}),
            ("Size", {"text": "l", "value": None}, {"id": 2, "text": "L"}),
            ("Modules", ["SSO", "l"], [{"id": 1, "text": "SSO", "selected": True}, {**SIZES[1], "selected": True}]),
            ("Modules", {"XL", "SSO"}, [{"id": 1, "text": "SSO", "selected": True}, {**SIZES[2], "selected": True}]),
            ("Modules", ("SSO", "sso", 1), [{"id": 1, "text": "SSO", "selected": True}]),
            ("Modules", "SSO", [{"id": 1, "text": "SSO", "selected": True}]),
            ("Modules", [{"id": 1, "text": "SSO", "selected": False}, "L"], [{**SIZES[1], "selected": True}]),
            ("Modules", {"XL"}, [{**SIZES[2], "selected": True}]),
            ("Items", ["Widget", 3], ["Widget", 3]),
            ("Items", ("Widget", ""), ["Widget", None]),
            ("Items", {"qty": 3, "Item": "Widget"}, ["Widget", 3]),
            ("Items", {"Qty": date(2026, 3, 1)}, [None, "2026-03-01"]),
            (
                "Team",
                ["ann@example.com", "BOB@else.com", 7, "7"],
                {"users": [1001, 7], "guests": ["BOB@else.com"], "groups": []},
            ),
            ("Team", "Ann@Example.com", {"users": [1001], "guests": [], "groups": []}),
            (
                "Team",
                {"users": ["ann@example.com", 7], "groups": ["a" * 32]},
                {"users": [1001, 7], "guests": [], "groups": ["a" * 32]},
            ),
            ("Contract", SIGNED, [a_file("My file.pdf", SIGNED)]),
            (
                "Contract",
                ["http://x.org", "https://x.org/b/"],
                [a_file("x.org", "http://x.org"), a_file("b", "https://x.org/b/")],
            ),
            ("Contract", {"url": "https://x.org/a.pdf"}, [a_file("a.pdf", "https://x.org/a.pdf")]),
            ("Contract", [UPLOADED], [UPLOADED]),
            ("Score", {"stars": [1, None, True]}, {"stars": [1, None, True]}),
        ],
    )  # fmt: skip
    def test_answer_is_encoded_by_the_type_of_its_field(self, label: str, value: object, sent: Any) -> None:
        found = encoded(label, value, members=MEMBERS)
        assert (found, type(found)) == (sent, type(sent))

    @pytest.mark.parametrize(
        ("label", "value", "words"),
        [
            ("Company", "x" * 201, "answers['Company'] has 201 characters; Tallyfy accepts 200"),
            ("Company", True, "answers['Company']=True is of type bool; it must be a text, a number or a date"),
            ("Company", ["a"], "is of type list"),
            ("Company", "\ud800", "half a character"),
            ("Company", math.nan, "a number that can't be sent safely as JSON"),
            ("Company", 10**300, "a number that can't be sent safely as JSON"),
            ("Company", Decimal("sNaN"), "a number that can't be sent safely as JSON"),
            ("Company", Decimal("1e9999"), "a number that can't be sent safely as JSON"),
            ("Notes", "x" * 30_001, "answers['Notes'] has 30001 characters; Tallyfy accepts 30000"),
            ("Contact", "ann", "answers['Contact']='ann' is not an e-mail address"),
            ("Contact", 7, "is not an e-mail address"),
            ("Start", "soon", "answers['Start']='soon' is not a point in time"),
            ("Start", "2026-02-30", "is not a point in time"),
            ("Start", 20260301, "is not a point in time"),
            ("Plan", "Or so", "answers['Plan']='Or so' is not an option of this field. There are 'Yes', 'No'."),
            ("Size", "XLL", "(did you mean 'XL'"),
            ("Size", True, "is not an option"),
            ("Size", {"id": 2, "text": "S"}, "is not an option"),
            ("Size", ["L"], "is of type list; it must be the text of an option: 'S', 'L', 'XL'"),
            ("Modules", "['SSO', 'L']", "set render_template_as_native_obj=True"),
            ("Modules", ["SSO", "Audit"], "answers['Modules'][1]='Audit' is not an option"),
            ("Items", ["Widget"], "answers['Items'] has 1 cells; the table has 2 columns: 'Item', 'Qty'."),
            ("Items", ["Widget", ["x"]], "answers['Items'][1]=['x'] is of type list"),
            ("Items", {"Itme": "x"}, "answers['Items']: 'Itme' is not a column (did you mean 'Item'?)"),
            ("Items", {"Item": "x", "item": "y"}, "'Item' and 'item' name the same column"),
            ("Items", "Widget", "is not a row of a table"),
            ("Team", ["ann"], "answers['Team']='ann' is neither an e-mail address nor a user id"),
            ("Team", {"users": ["bob@else.com"]}, "answers['Team']['users']='bob@else.com' is not the e-mail address"),
            ("Team", {"guests": [7]}, "answers['Team']['guests']=7 is not an e-mail address"),
            ("Team", {"owners": [7]}, "'owners' is not one of 'users', 'guests' and 'groups'"),
            ("Team", "[1001]", "set render_template_as_native_obj=True"),
            ("Contract", "report.pdf", "answers['Contract']='report.pdf' is not the URL of a file"),
            ("Contract", "s3://bucket/report.pdf", "is not the URL of a file"),
            ("Contract", [{"name": "a.pdf"}], "is not a file: it needs a"),
            ("Score", date(2026, 3, 1), "can't be sent as JSON"),
            ("Score", {"a": math.inf}, "a number that can't be sent safely as JSON"),
        ],
    )  # fmt: skip
    def test_answer_that_does_not_fit_its_field_is_refused(self, label: str, value: object, words: str) -> None:
        (line,) = refused([BY_LABEL[label]], {label: value}, members=MEMBERS)
        assert words in line

    def test_one_error_lists_all_mistakes(self) -> None:
        answers = {
            "Compny": "Acme", "Size": "XXL", "Modules": ["a", "SSO", "b"], "Start": "soon", "Items": [1, 2, 3],
            "Team": {"users": [0], "x": 1}, "f2": 1, "notes": 2, "Plan": "Yes",
        }  # fmt: skip
        first, *lines = refused(FORM, answers)
        assert first == f"answers has {len(lines)} mistakes:"
        for line, words in zip(
            lines,
            [
                "no field has the id, alias or label 'Compny' (did you mean 'Company'",
                "answers['Size']='XXL'", "answers['Modules'][0]='a'", "answers['Modules'][2]='b'", "answers['Start']",
                "answers['Items'] has 3 cells", "answers['Team']: 'x'", "answers['Team']['users']=0",
                "answers: 'f2' and 'notes' name the same field, 'Notes'", "answers: 'Company' is required",
            ],
            strict=True,
        ):  # fmt: skip
            assert words in line

    def test_error_lists_fifty_mistakes_and_counts_the_others(self) -> None:
        lines = refused(FORM, {f"unknown {number}": 1 for number in range(200)}, complete=False)
        assert (len(lines), lines[0], lines[-1]) == (52, "answers has 200 mistakes:", "  ... and 150 more")

    @pytest.mark.parametrize(
        ("answers", "words"),
        [
            ("{'Company': 'x'}", "is not an object of labels and answers. Jinja renders an object to text"),
            ([{"Company": "x"}], "is not an object of labels and answers"),
            ({1: "x"}, "has the name 1 of type int"),
            ({"\ud800": "x"}, "half a character"),
        ],
    )
    def test_answers_that_are_not_an_object_are_refused(self, answers: object, words: str) -> None:
        assert words in "\n".join(refused(FORM, answers))
        with pytest.raises(ArgumentError):
            check_answers("answers", answers)

    def test_answers_may_be_none_and_a_form_may_have_no_fields(self) -> None:
        assert encode("answers", FORM, None, complete=False) == {}
        assert refused([], {"a": 1}) == ["answers: no field has the id, alias or label 'a'. There are no fields."]

    @pytest.mark.parametrize(
        ("kind", "value", "sent"),
        [
            ("radio", "Any text", "Any text"),
            ("dropdown", {"id": 4, "text": "Any", "value": None}, {"id": 4, "text": "Any"}),
            ("multiselect", [{"id": 4, "text": "Any"}], [{"id": 4, "text": "Any", "selected": True}]),
            ("dropdown", "Any", "does not show the options of this field"),
            ("dropdown", {"id": 4}, 'needs "id" and "text"'),
        ],
    )
    def test_option_that_tallyfy_does_not_show_needs_id_and_text(self, kind: str, value: object, sent: Any) -> None:
        field = FormField("f", "", "From a list", kind)
        if isinstance(sent, str) and kind != "radio":
            assert sent in refused([field], {"f": value})[0]
        else:
            assert encode("answers", [field], {"f": value}) == {"f": sent}

    def test_options_with_the_same_text_need_the_id(self) -> None:
        options = (Option(1, "Other"), Option(2, "Other"), Option(3, "OTHER"))
        field = FormField("f", "", "Reason", "dropdown", options=options)
        (line,) = refused([field], {"f": "Other"})
        assert line.endswith("""matches 2 options. Use {"id": 1, "text": 'Other'} or {"id": 2, "text": 'Other'}.""")
        assert encode("answers", [field], {"f": {"id": 2, "text": "Other"}}) == {"f": {"id": 2, "text": "Other"}}
        assert encode("answers", [field], {"f": "OTHER"}) == {"f": {"id": 3, "text": "OTHER"}}
        radio = FormField("f", "", "Reason", "radio", options=options)
        assert encode("answers", [radio], {"f": "Other"}) == {"f": "Other"}, "for a radio field, only the text is sent"

    def test_text_that_looks_like_a_list_can_be_an_option(self) -> None:
        field = FormField("f", "", "Kinds", "multiselect", options=(Option(1, "[none]"), Option(2, "TRUE")))
        assert encode("answers", [field], {"f": "[none]"})["f"] == [{"id": 1, "text": "[none]", "selected": True}]
        assert encode("answers", [field], {"f": True})["f"] == [{"id": 2, "text": "TRUE", "selected": True}]

    def test_text_of_an_option_counts_before_the_id_of_another(self) -> None:
        field = FormField("f", "", "Count", "dropdown", options=(Option(1, "2"), Option(2, "1")))
        assert encode("answers", [field], {"f": 2}) == {"f": {"id": 1, "text": "2"}}

    def test_table_whose_columns_have_the_same_label_needs_a_list(self) -> None:
        field = FormField("f", "", "T", "table", columns=("A", "A"))
        assert "'A' names 2 columns; use a list" in refused([field], {"f": {"A": 1}})[0]
        assert encode("answers", [field], {"f": [1, 2]}) == {"f": [1, 2]}


class TestRequired:
    @pytest.mark.parametrize(
        ("answers", "stored", "missing"),
        [
            ({}, {}, True),
            ({"Company": None}, {}, True),
            ({"Company": ""}, {}, True),
            ({"Company": "  "}, {"f1": "Acme"}, True),
            ({"Company": None}, {"f1": "Acme"}, False),
            ({}, {"f1": "Acme"}, False),
            ({}, {"f1": ""}, True),
            ({}, [], True),
            ({"company_1": 0}, {}, False),
        ],
    )
    def test_required_field_needs_an_answer_given_or_stored(self, answers: Any, stored: Any, missing: bool) -> None:
        if missing:
            assert refused(FORM, answers, stored=stored) == ["answers: 'Company' is required, but has no answer."]
        else:
            encode("answers", FORM, answers, stored=stored)
        encode("answers", FORM, answers, stored=stored, complete=False)

    @pytest.mark.parametrize(
        ("label", "empty"),
        [
            ("Size", ""), ("Modules", []), ("Modules", [{"id": 1, "selected": False}]), ("Items", ["", None]),
            ("Items", {}), ("Team", []), ("Team", {"users": []}), ("Contract", []), ("Score", {}),
        ],
    )  # fmt: skip
    def test_empty_value_does_not_answer_a_required_field(self, label: str, empty: object) -> None:
        field = BY_LABEL[label]
        needed = FormField(**{**vars(field), "required": True})
        assert refused([needed], {label: empty}) == [f"answers: '{label}' is required, but has no answer."]

    @pytest.mark.parametrize(
        ("label", "empty", "sent"),
        [
            ("Company", "", ""), ("Start", " ", ""), ("Size", "", ""), ("Modules", "", []), ("Modules", [], []),
            ("Contract", "", []), ("Team", "", {"users": [], "guests": [], "groups": []}),
        ],
    )  # fmt: skip
    def test_empty_value_clears_an_answer(self, label: str, empty: object, sent: object) -> None:
        assert encoded(label, empty, complete=False) == sent

    def test_table_can_not_be_cleared(self) -> None:
        table = [BY_LABEL["Items"]]
        empties: list[Any] = ["", [], {}, [None, ""]]
        for empty in empties:
            assert encode("answers", table, {"Items": empty}) == {}
            (line,) = refused(table, {"Items": empty}, stored={"f8": ["Widget", 1]})
            assert line.endswith("Tallyfy can't clear a table.")


class TestKeys:
    NAMES = fields_of(
        [
            {"id": "size", "alias": "a1", "label": "Id"},
            {"id": "i2", "alias": "size", "label": "Alias"},
            {"id": "i3", "alias": "a3", "label": "size"},
            {"id": "i4", "alias": "a4", "label": "Straße  9"},
            {"id": "i5", "alias": "a5", "label": "Name"},
            {"id": "i6", "alias": "a6", "label": "Name"},
            {"id": "i7", "alias": "NAME", "label": "Cafe\u0301"},
        ]
    )

    @pytest.mark.parametrize(
        ("key", "field"),
        [
            ("size", "size"), ("Alias", "i2"), ("SIZE", "size"), ("A3", "i3"), ("strasse 9", "i4"), ("NAME", "i7"),
            ("Name (i6)", "i6"), ("café", "i7"), (" alias ", "i2"),
        ],
    )  # fmt: skip
    def test_key_matches_id_then_alias_then_label_then_any_letter_case(self, key: str, field: str) -> None:
        assert encode("answers", self.NAMES, {key: "x"}) == {field: "x"}

    def test_key_that_several_fields_match_lists_their_ids(self) -> None:
        (line,) = refused(self.NAMES, {"Name": "x"})
        assert line == "answers: 2 fields are called 'Name': i5, i6. Use the id."

    def test_unknown_key_lists_the_nearest(self) -> None:
        (line,) = refused(self.NAMES, {"Alais": "x"})
        assert "(did you mean 'Alias'" in line
        assert "There are 'Id', 'Alias', 'size'" in line


class TestFields:
    def test_field_is_read_from_its_row(self) -> None:
        (field,) = fields_of(
            {
                "data": [
                    {"id": 7, "alias": None, "label": "Size", "field_type": "dropdown", "required": "1",
                     "options": {"data": [{"id": 1, "label": "S"}, {"text": "?"}, "x", {"id": 2, "value": 5}]},
                     "columns": [{"id": 1, "label": "A"}, {"id": 2}, "B"]},
                    {"id": 7, "label": "again"}, {"label": "no id"}, None, "text", {"id": True},
                ]
            }
        )  # fmt: skip
        assert field == FormField("7", "", "Size", "dropdown", True, (Option(1, "S"), Option(2, "5")), ("A", "", "B"))

    @pytest.mark.parametrize("rows", [None, {}, [], "text", 7, {"data": None}])
    def test_anything_but_a_list_has_no_fields(self, rows: object) -> None:
        assert fields_of(rows) == []


class TestPeople:
    @pytest.mark.parametrize(
        ("answers", "needed"),
        [
            ({"Team": ["ann@example.com"]}, True),
            ({"team": "ann@example.com"}, True),
            ({"Team": {"users": ["ann@example.com"]}}, True),
            ({"Team": (mail for mail in ["ann@example.com"])}, True),
            ({"Team": {"guests": ["ann@example.com"]}}, False),
            ({"Team": [7, "8"]}, False),
            ({"Team": None, "Contact": "ann@example.com"}, False),
            ({"Nobody": ["ann@example.com"]}, False),
            ("text", False),
        ],
    )
    def test_members_are_needed_if_an_address_may_be_that_of_a_member(self, answers: Any, needed: bool) -> None:
        assert needs_members(FORM, answers) is needed

    def test_needs_members_does_not_consume_an_iterator(self) -> None:
        answers = {"Team": (mail for mail in ["ann@example.com"])}
        assert needs_members(FORM, answers)
        assert encode("answers", FORM, answers, members=MEMBERS, complete=False)["f9"]["users"] == [1001]


class Unreadable:
    """An object whose special methods all raise an error."""

    def _refuse(self, *args: object) -> Any:
        raise RuntimeError("an object that can't be read")

    __repr__ = __str__ = __eq__ = __bool__ = __iter__ = __len__ = __int__ = __float__ = __index__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # like a list, it can't be put into a set


def _failing() -> Iterator[str]:
    yield "SSO"
    raise LookupError("a generator that raises an error")


_CYCLE: list[Any] = ["a"]
_CYCLE.append(_CYCLE)
_UNUSUAL: list[Any] = [
    _CYCLE, b"x", 1j, ..., object, timedelta(1), range(3), {"a"}, frozenset(), math.nan, -math.inf,
    Decimal("NaN"), Decimal("1e9999"), 10**5000, "\ud800", "x" * 10**5, datetime.min, Option(1, "S"), "[", "{",
    date.max, datetime.max.replace(tzinfo=timezone.utc), "https://[", "http://x/\ud800", {None: None}, {1: 2}, "@",
]  # fmt: skip
# By index, because Hypothesis prints the values that it samples from, and some of these can't be printed.
_unusual = st.integers(0, len(_UNUSUAL) - 1).map(lambda number: _UNUSUAL[number])
_anything = st.recursive(
    _unusual
    | JSON_VALUES
    | st.builds(Unreadable)
    | st.floats()
    | st.decimals()
    | st.datetimes()
    | st.binary()
    | st.builds(_failing),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(
            st.sampled_from(["id", "text", "url", "users", "Item", "guests", "selected"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*BY_LABEL, "f1", "x"]), _anything, max_size=3) | _anything)
def test_any_value_is_either_encoded_as_json_or_refused(answers: Any) -> None:
    needs_members(FORM, answers)
    try:
        sent = encode("answers", FORM, answers, members=MEMBERS)
    except ArgumentError:
        return
    json.dumps(sent, allow_nan=False).encode()
    decode(FORM, sent)
