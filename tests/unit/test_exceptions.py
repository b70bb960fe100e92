"""The table in the module's docstring is correct, and every exception can be pickled."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from airflow_provider_tallyfy import exceptions
from airflow_provider_tallyfy._compat import AirflowException, AirflowFailException
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem

CLASSES = {
    name: value
    for name, value in vars(exceptions).items()
    if isinstance(value, type)
    and issubclass(value, exceptions.TallyfyError)
    and value.__module__ == exceptions.__name__
}
#: Never raised themselves.
BASES = {"TallyfyError", "TallyfyApiError"}
TABLE = re.findall(r"^:class:`(\w+)`\s{2,}(.*?)\s{2,}(yes|no)$", exceptions.__doc__ or "", re.MULTILINE)


def test_table_lists_every_class_once() -> None:
    assert sorted(name for name, _, _ in TABLE) == sorted(set(CLASSES) - BASES)


@pytest.mark.parametrize(("name", "retried"), [(name, retried) for name, _, retried in TABLE])
def test_table_says_which_airflow_retries(name: str, retried: str) -> None:
    assert issubclass(CLASSES[name], AirflowFailException) is (retried == "no")
    assert issubclass(CLASSES[name], AirflowException)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_problem_has_an_exception_with_all_its_details(kind: Kind) -> None:
    problem = Problem(kind, "The story.", "PUT", "/runs/1", 422, "req-7", {"name": ["Bad."]}, 5.0)
    error = exceptions.error_from(problem)
    assert type(error).__name__ in {name for name, _, _ in TABLE}
    assert str(error) == "The story."
    assert (error.method, error.path, error.http_status, error.request_id) == ("PUT", "/runs/1", 422, "req-7")
    assert (error.errors, error.retry_after) == ({"name": ["Bad."]}, 5.0)


_STATUSES = [
    (Kind.AUTH, "401"),
    (Kind.FORBIDDEN, "403"),
    (Kind.NOT_FOUND, "404, 410"),
    (Kind.VALIDATION, "400, 422"),
    (Kind.CONFLICT, "409"),
    (Kind.RATE_LIMITED, "429, after all waits or with too long a wait"),
]


@pytest.mark.parametrize(("kind", "when"), _STATUSES)
def test_table_names_the_status_of_each_exception(kind: Kind, when: str) -> None:
    error = exceptions.error_from(Problem(kind, "", "GET", "/"))
    assert {name: text for name, text, _ in TABLE}[type(error).__name__] == when


_RAISED: list[exceptions.TallyfyError] = [
    exceptions.TallyfyArgumentError("run_id='' is empty."),
    exceptions.TallyfyConfigurationError("The connection 'x' has no access token."),
    exceptions.TallyfyConnectionNotFoundError("Airflow finds no connection 'x'."),
    exceptions.TallyfyAlreadyError("It was archived before."),
    *(
        exceptions.error_from(Problem(kind, f"{kind}\n  a: b", "PUT", "/runs/1", 422, "req", {"a": ["b"]}, 1.5))
        for kind in Kind
    ),
    exceptions.error_from(Problem(Kind.UNREACHABLE, "Nothing.", "GET", "/me")),
]


@pytest.mark.parametrize("error", _RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickling_keeps_everything(error: exceptions.TallyfyError, protocol: int) -> None:
    back: Any = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_argument_error_is_a_value_error_too() -> None:
    # What Python itself would raise for a bad argument; except ValueError is what callers write.
    assert issubclass(exceptions.TallyfyArgumentError, ValueError)


def test_a_write_that_may_have_happened_has_other_exceptions_than_one_that_has_not() -> None:
    doubtful = {name for name, cls in CLASSES.items() if issubclass(cls, exceptions.TallyfyIndeterminateError)}
    assert doubtful == {"TallyfyIndeterminateError", "TallyfyUnrepeatableError"}
