"""Invalid arguments are errors that name the argument, the value and the fix. Valid ones are sent unchanged."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol import arguments as check
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.runs.fields import FIELDS
from airflow_provider_tallyfy.api.runs.kickoff_answers import check_kickoff_answers
from airflow_provider_tallyfy.api.runs.update import checked_changes

RUN = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
EMPTY = "is empty. If it comes from XCom or a Jinja template, the upstream task returned nothing"
ABSENT = "is not an id. If it comes from XCom or a Jinja template, the upstream task returned nothing"
NOT_AN_ID = "is not a Tallyfy id: an id consists of letters, digits, '_' and '-'"

_BAD_IDS: list[tuple[Any, str]] = [
    (None, EMPTY),
    ("", EMPTY),
    ("  \t\n", EMPTY),
    ("None", ABSENT),
    (" none ", ABSENT),
    ("null", ABSENT),
    ("NaN", ABSENT),
    ("undefined", ABSENT),
    ("{{ ti.xcom_pull('find') }}", "is a template that was not rendered"),
    ("{% raw %}", "is a template that was not rendered"),
    ("a" * 256, "is longer than 255 characters"),
    (5012, "is of type int; it must be a string: Tallyfy's 32-character id (not the number that its web app"),
    (b"0a1b", "is of type bytes; it must be a string"),
    ([RUN], "is of type list; it must be a string"),
    ({"id": RUN}, "is a whole object. Pass its id: row['id']"),
    (True, "is of type bool; it must be a string"),
    *(
        (f"{RUN[:16]}{bad}{RUN[16:]}", NOT_AN_ID)
        for bad in ("/", "?", "#", "%", "\\", ".", "..", " ", "\x00", "\n", "\x7f", "\u202e", "é", ";", "@", "&")
    ),
    (".", NOT_AN_ID),
    ("..", NOT_AN_ID),
    (f"{RUN}/delete", NOT_AN_ID),
    (f"../tags/{RUN}", NOT_AN_ID),
    (f"{RUN}%2Fdelete", NOT_AN_ID),
    (f"{RUN}\n", NOT_AN_ID),
    ("٠١٢", NOT_AN_ID),  # digits, but not ASCII digits
    (f"https://go.tallyfy.com/{RUN}/processes/{RUN}", "Pass the id alone, not a URL or a path."),
]


@pytest.mark.parametrize(("value", "says"), _BAD_IDS, ids=lambda value: repr(value)[:30])
def test_invalid_id_is_an_error(value: Any, says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        check.check_id("run_id", value)
    assert str(caught.value).startswith(f"run_id={check.show(value)}")
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400
    with pytest.raises(ArgumentError, match=r"^run_ids\[1\]="):
        check.check_ids("run_ids", [RUN, value])


@pytest.mark.parametrize("value", [RUN, "a", "a" * 255, "Ab-9_z", "0", "none1"])
def test_valid_id_is_returned_unchanged(value: str) -> None:
    assert check.check_id("run_id", value) == value
    assert check.check_ids("run_ids", (value, "b", value)) == [value, "b"]


_RENDERED = "Jinja renders a list to text"
_BAD: list[tuple[Callable[[str, Any], Any], Any, str]] = [
    (check.check_ids, RUN, _RENDERED),
    (check.check_ids, f"['{RUN}']", _RENDERED),
    (check.check_ids, {RUN: 1}, "is not a list of ids"),
    (check.check_ids, None, "is not a list of ids"),
    (check.check_name, "", "a run needs a name. If it comes from XCom"),
    (check.check_name, " \n", "a run needs a name"),
    (check.check_name, "None", "a run needs a name"),
    (check.check_name, 7, "is of type int; it must be a string"),
    (check.check_name, "x" * 551, "has 551 characters; Tallyfy allows 550"),
    (check.check_text, 7, "is of type int; it must be a string"),
    (check.check_user_id, "ann@example.com", "an e-mail address or a name is not accepted"),
    (check.check_user_id, "", "is not a Tallyfy user id"),
    (check.check_user_id, "12.5", "is not a Tallyfy user id"),
    (check.check_user_id, 12.0, "is not a Tallyfy user id"),
    (check.check_user_id, "²", "is not a Tallyfy user id"),
    (check.check_user_id, True, "is not a Tallyfy user id"),
    (check.check_user_id, 0, "it must be above 0"),
    (check.check_user_id, -3, "it must be above 0"),
    (check.check_user_id, 2**63, "it must be above 0"),
    (check.check_user_id, "9" * 5000, "it must be above 0"),
    (check.check_user_ids, 1001, "is not a list of user ids, such as [1001, 1002]"),
    (check.check_user_ids, "1001,1002", "is not a list of user ids"),
    (check.check_user_ids, [1001, "x"], "[1]='x' is not a Tallyfy user id"),
    (check.check_flag, "maybe", "is not true or false"),
    (check.check_flag, 1, "is not true or false"),
    (check.check_texts, "comments", "is not a list of strings"),
    (check.check_texts, {"a": 1}, "is not a list of strings"),
    (check.check_texts, ["a", 1], "[1]=1 is of type int"),
    (check_kickoff_answers, "Amount=5", "does not have a known format. Use {field_id: answer}"),
    (check_kickoff_answers, 5, "does not have a known format"),
    (check_kickoff_answers, b"x", "does not have a known format"),
    (check_kickoff_answers, {}, "is empty: nothing to set"),
    (check_kickoff_answers, [], "is empty: nothing to set"),
    (check_kickoff_answers, [RUN], "[0]='0a1b2c3d4e5f60718293a4b5c6d7e8f9' does not have a known format"),
    (check_kickoff_answers, [{"a": 1, "b": 2}], "[0]={'a': 1, 'b': 2} does not have a known format"),
    (check_kickoff_answers, [{"id": "a"}], "[0]={'id': 'a'} does not have a known format"),
    (check_kickoff_answers, [{"id": "a", "value": 1, "label": "A"}], "does not have a known format"),
    (check_kickoff_answers, {5: "x"}, "key of the_argument=5 is of type int"),
    (check_kickoff_answers, {"": "x"}, "key of the_argument='' is empty"),
    (check_kickoff_answers, [{"a": 1}, {"id": "a", "value": 2}], "answers the field a twice: 1 and 2"),
    (check_kickoff_answers, [{"a": 1}, {"a": True}], "answers the field a twice: 1 and True"),
]


@pytest.mark.parametrize(
    ("rule", "value", "says"), _BAD, ids=lambda value: getattr(value, "__name__", repr(value)[:30])
)
def test_invalid_value_is_an_error(rule: Callable[[str, Any], Any], value: Any, says: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        rule("the_argument", value)
    assert "the_argument" in str(caught.value)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 600


_GOOD: list[tuple[Callable[[str, Any], Any], Any, Any]] = [
    (check.check_name, "x" * 550, "x" * 550),
    (check.check_name, " Ünïcode ", " Ünïcode "),
    (check.check_text, "", ""),
    (check.check_user_id, " 1001 ", 1001),
    (check.check_user_id, "0" * 30 + "1001", 1001),
    (check.check_user_ids, (1001, "1001", "1002"), [1001, 1002]),
    (check.check_user_ids, [], []),
    (check.check_flag, " TRUE ", True),
    (check.check_flag, False, False),
    (check.check_texts, ("comments",), ["comments"]),
]


@pytest.mark.parametrize(("rule", "value", "kept"), _GOOD)
def test_valid_value_is_returned(rule: Callable[[str, Any], Any], value: Any, kept: Any) -> None:
    assert rule("argument", value) == kept


def test_error_lists_the_choices() -> None:
    assert check.check_choice("if_already", "skip", ("succeed", "skip")) == "skip"
    with pytest.raises(ArgumentError, match=r"if_already='ignore': choose one of 'succeed', 'skip'\."):
        check.check_choice("if_already", "ignore", ("succeed", "skip"))


class TestChanges:
    def test_no_changes_is_an_error_that_lists_the_fields(self) -> None:
        with pytest.raises(ArgumentError) as caught:
            checked_changes(dict.fromkeys(FIELDS))
        assert f"nothing to update: give at least one of {', '.join(FIELDS)}, or extra_fields." in str(caught.value)

    @pytest.mark.parametrize("field", ["summary", "tags", "folders", "users", "groups", "publicly_hidden_fields"])
    def test_empty_value_is_a_change_and_none_is_not(self, field: str) -> None:
        empty: Any = "" if field == "summary" else []
        assert checked_changes({"name": None, field: empty}) == {field: empty}

    @pytest.mark.parametrize(
        ("extra", "says"),
        [
            ("x", "extra_fields='x' is not an object of field names and values"),
            ({1: 2}, "extra_fields has the name 1 of type int; names are strings"),
            (
                {"when": datetime(2026, 1, 1)},
                r"extra_fields\['when'\]=.* is of type datetime, which can't be sent as JSON",
            ),
            ({"name": "x", "tags": []}, "extra_fields contains name, tags: use the argument of that name"),
            ({}, "nothing to update"),
        ],
        ids=repr,
    )
    def test_invalid_extra_fields_are_an_error(self, extra: Any, says: str) -> None:
        with pytest.raises(ArgumentError, match=says):
            checked_changes({}, extra)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_field_ids = st.text(alphabet="0123456789abcdef", min_size=1, max_size=32).filter(lambda text: text not in {"id"})
_forms: list[Callable[[str, Any], Mapping[str, Any]]] = [
    lambda field, answer: {field: answer},
    lambda field, answer: {"id": field, "value": answer},
    lambda field, answer: {"field_id": field, "value": answer},
]


def as_json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(st.dictionaries(_field_ids, _json, min_size=1, max_size=6), st.lists(st.sampled_from(_forms), min_size=6))
def test_all_forms_of_kickoff_answers_keep_every_answer(
    answers: dict[str, Any], forms: list[Callable[..., Any]]
) -> None:
    as_list = [form(field, answer) for form, (field, answer) in zip(forms, answers.items(), strict=False)]
    for given_as in (answers, as_list, tuple(as_list), iter(as_list), [*as_list, *as_list]):
        assert as_json(check_kickoff_answers("prerun", given_as)) == as_json(answers)


@given(st.lists(st.tuples(_field_ids, _json, st.sampled_from(_forms)), min_size=1, max_size=5))
@example([("a", 0, _forms[0]), ("a", False, _forms[1])])
@example([("a", [1], _forms[0]), ("a", [1.0], _forms[2])])
def test_different_answers_to_one_field_are_an_error(given_answers: list[tuple[str, Any, Callable[..., Any]]]) -> None:
    said = {(field, as_json(answer)) for field, answer, _ in given_answers}
    clash = any(first[0] == second[0] for first, second in itertools.combinations(said, 2))
    entries = [form(field, answer) for field, answer, form in given_answers]
    if clash:
        with pytest.raises(ArgumentError, match="twice"):
            check_kickoff_answers("prerun", entries)
    else:
        folded = check_kickoff_answers("prerun", entries)
        assert {(field, as_json(answer)) for field, answer in folded.items()} == said
