"""Signatures for editors: every operator and hook method lists its arguments, and so does its docstring."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import BaseOperator
from airflow_provider_tallyfy.api.runs.fields import FIELDS
from airflow_provider_tallyfy.api.runs.filters import FILTERS
from airflow_provider_tallyfy.client.bulk_options import BulkOptions, BulkOptionsByName
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators import tallyfy as operators
from airflow_provider_tallyfy.operators._task_arguments import TaskArguments
from airflow_provider_tallyfy.operators._update_fields import UPDATE_FIELDS

OPERATORS: list[type[Any]] = [getattr(operators, name) for name in operators.__all__]
HOOK_METHODS = sorted(
    {
        name
        for owner in TallyfyHook.__mro__
        if owner.__module__.startswith("airflow_provider_tallyfy.")
        for name, member in vars(owner).items()
        if not name.startswith("_") and inspect.isfunction(getattr(member, "__func__", member))
    }
)
CHANGES = (
    *("name", "summary", "owner_id", "tags", "add_tags", "remove_tags", "create_missing_tags", "folders", "prerun"),
    *("starred", "is_public", "users", "groups", "publicly_hidden_fields", "extra_fields"),
)
#: Docstrings that name some arguments by reference to another method.
REFERRED = {"iter_runs": [name for name in FILTERS if name != "q"]}


def own_init(operator: type[Any]) -> Callable[..., Any]:
    """Return the constructor of the operator's own class, without Airflow's wrappers."""
    init: Callable[..., Any] = inspect.unwrap(vars(operator)["__init__"])
    return init


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [one for one in inspect.signature(function).parameters.values() if one.name != "self"]


def documented(docstring: str | None) -> dict[str, str]:
    """Return the arguments that a docstring describes, in order, each with its text as one line without markup."""
    found = re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", inspect.cleandoc(docstring or ""), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.replace("``", "").split()) for name, text in found}


class TestOperators:
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_signature_is_complete_and_by_keyword(self, operator: type[Any]) -> None:
        *own, rest = parameters(own_init(operator))
        assert {one.kind for one in own} == {inspect.Parameter.KEYWORD_ONLY}
        assert [one.name for one in own][-2:] == ["organization_id", "tallyfy_conn_id"]
        assert (rest.kind, rest.annotation) == (inspect.Parameter.VAR_KEYWORD, "Unpack[TaskArguments]")
        assert set(operator.template_fields) <= {one.name for one in own}

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_docstring_names_the_arguments_in_their_order(self, operator: type[Any]) -> None:
        described = documented(operator.__doc__)
        assert list(described) == [one.name for one in parameters(own_init(operator))[:-1]]
        assert {name for name, text in described.items() if text.endswith("(templated)")} == set(
            operator.template_fields
        )
        assert all(text.count("(templated)") <= 1 for text in described.values())

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_templated_arguments_accept_templates_and_xcoms(self, operator: type[Any]) -> None:
        for one in parameters(own_init(operator))[:-1]:
            kinds = set(re.split(r" \| (?![^\[]*\])", one.annotation))
            templated = one.name in operator.template_fields
            assert ("XComArg" in kinds) is templated, one
            assert not templated or kinds & {"str", "Iterable[str]", "Iterable[int | str]"}, one

    def test_every_argument_of_a_task_is_known_to_type_checkers(self) -> None:
        theirs = {one.name for one in parameters(inspect.unwrap(BaseOperator.__init__))}
        # The second is deprecated where it still exists, in 2.11.
        assert theirs - {"kwargs", "task_concurrency"} - set(TaskArguments.__annotations__) == set()
        assert TaskArguments.__required_keys__ == {"task_id"}


class TestHook:
    @pytest.mark.parametrize("name", HOOK_METHODS)
    def test_docstring_names_the_arguments_in_their_order(self, name: str) -> None:
        method = getattr(TallyfyHook, name)
        # **unknown only rejects unknown names.
        wanted = [one.name for one in parameters(method) if one.annotation != "NoReturn"]
        described = documented(method.__doc__)
        assert list(described) == [one for one in wanted if one not in REFERRED.get(name, ())]

    def test_docstring_of_the_class_names_the_arguments_of_its_constructor(self) -> None:
        assert list(documented(TallyfyHook.__doc__)) == [one.name for one in parameters(TallyfyHook.__init__)]

    def test_options_of_a_bulk_change_by_name_are_those_of_the_object(self) -> None:
        by_name = {name: kind.__forward_arg__ for name, kind in BulkOptionsByName.__annotations__.items()}
        assert by_name == {field.name: field.type for field in dataclasses.fields(BulkOptions)}


class TestFieldsOfAnUpdate:
    """Signatures and docstrings have the same fields as the table ``FIELDS``."""

    SPELLED_OUT = (
        (own_init(operators.TallyfyUpdateRunOperator), operators.TallyfyUpdateRunOperator),
        (own_init(operators.TallyfyBulkUpdateRunsOperator), operators.TallyfyBulkUpdateRunsOperator),
        (TallyfyHook.update_run, TallyfyHook.update_run),
        (TallyfyHook.update_run_outcome, TallyfyHook.update_run_outcome),
    )

    def test_names_at_parse_time_are_those_of_the_table(self) -> None:
        assert (*FIELDS, "extra_fields") == UPDATE_FIELDS
        assert tuple(name for name in CHANGES if name != "create_missing_tags") == UPDATE_FIELDS

    @pytest.mark.parametrize(
        ("function", "documented_in"), SPELLED_OUT, ids=lambda value: getattr(value, "__qualname__", "")
    )
    def test_signatures_and_docstrings_follow_the_table(self, function: Callable[..., Any], documented_in: Any) -> None:
        assert tuple(one.name for one in parameters(function) if one.name in CHANGES) == CHANGES
        texts = documented(documented_in.__doc__)
        assert {name: field.what for name, field in FIELDS.items() if field.what not in texts[name]} == {}
        others = documented(TallyfyHook.update_run.__doc__)
        assert all(texts[name].removesuffix(" (templated)") == others[name] for name in CHANGES)

    def test_hook_and_operators_accept_the_same_types(self) -> None:
        def types(function: Callable[..., Any]) -> dict[str, str]:
            # A template is text, and comes from DAG files alone.
            kinds = {one.name: re.split(r" \| (?![^\[]*\])", one.annotation) for one in parameters(function)}
            return {name: " | ".join(x for x in kinds[name] if x not in {"str", "XComArg"}) for name in CHANGES}

        assert len({str(types(function)) for function, _ in self.SPELLED_OUT}) == 1
