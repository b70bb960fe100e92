"""Literal arguments are checked when the DAG file is parsed; templates and XComs are not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException, BaseOperator
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_texts
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.operators._literals import (
    check_flag_or_blank,
    check_literals,
    check_number,
    is_literal,
    literals,
)

XCOM: Any = BaseOperator(task_id="upstream").output


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("Urgent", True),
        ("", True),
        (30, True),
        (True, True),
        (timedelta(days=1), True),
        (["a", {"b": ("c", 1)}], True),
        ("{{ params.x }}", False),
        ("{% if x %}a{% endif %}", False),
        ("{# nothing #}", False),
        (["a", "{{ x }}"], False),
        ({"{{ x }}": 1}, False),
        ({"a": [{"b": "{{ x }}"}]}, False),
        (XCOM, False),
        (XCOM["key"], False),
        (XCOM.map(str), False),
        (["a", XCOM], False),
        ({"a": XCOM}, False),
        (iter(["a"]), False),
        ((part for part in "ab"), False),
        (deep(5000), False),
    ],
)
def test_literals_are_recognized(value: Any, literal: bool) -> None:
    assert is_literal(value) is literal


def test_only_literals_are_checked() -> None:
    generator: Iterator[str] = iter(["a"])
    operator = SimpleNamespace(bad="Urgent", none=None, text="{{ x }}", xcom=XCOM, generator=generator, good=["a"])
    names = ("none", "text", "xcom", "generator", "good")
    check_literals(operator, dict.fromkeys(names, check_texts))
    assert literals(operator, names) == {"good": ["a"]}
    assert list(generator) == ["a"]
    with pytest.raises(ValueError, match="bad='Urgent' is not a list") as caught:
        check_literals(operator, {"bad": check_texts})
    assert isinstance(caught.value, TallyfyArgumentError)
    assert isinstance(caught.value, AirflowFailException), "made by .expand() in the task, it burns no retry"


@pytest.mark.parametrize(
    ("value", "number"),
    [(None, None), ("", None), (" ", None), ("None", None), (1, 1), ("25", 25), (" 2 ", 2)],
)
def test_valid_numbers(value: Any, number: int | None) -> None:
    assert check_number("n", value) == number


@pytest.mark.parametrize("value", ["many", "²", "-1", 0, "0", -3, True, 1.5, [], "9" * 5000])
def test_invalid_number_is_an_error(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^n="):
        check_number("n", value)


@pytest.mark.parametrize(("value", "flag"), [(None, None), ("", None), ("None", None), ("true", True), (False, False)])
def test_valid_flags(value: Any, flag: bool | None) -> None:
    assert check_flag_or_blank("f", value) is flag
