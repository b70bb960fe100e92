"""Checks of operator arguments: literal values when the DAG file is parsed, rendered ones when the task runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_count, check_flag

Checks: TypeAlias = Mapping[str, Callable[[str, object], object]]
"""Name of an argument to the function that returns its checked value or raises ``ArgumentError``."""

_JINJA = ("{{", "{%", "{#")
_DEEPEST = 20


def is_literal(value: object, depth: int = 0) -> bool:
    """Whether a value is known when the DAG file is parsed: it contains no template and no XCom, at any depth.

    A generator counts as unknown, because reading it would consume it.
    """
    if isinstance(value, str):
        return not any(mark in value for mark in _JINJA)
    # Objects that Airflow resolves when the task runs (XComArg, DagParam, arguments of .expand()) have one of these.
    if hasattr(type(value), "iter_references") or hasattr(type(value), "template_fields"):
        return False
    if isinstance(value, Iterator) or depth > _DEEPEST:
        return False
    if isinstance(value, Mapping):
        return all(is_literal(part, depth + 1) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_literal(part, depth + 1) for part in value)
    return True


def literals(operator: object, names: Iterable[str]) -> dict[str, Any]:
    """Return those arguments among ``names`` that have literal values."""
    values = {name: getattr(operator, name) for name in names}
    return {name: value for name, value in values.items() if value is not None and is_literal(value)}


def check_literals(operator: object, checks: Checks) -> None:
    """Check the literal arguments of an operator. Call it at the end of ``__init__``.

    The attributes are not changed, because Airflow does not allow ``__init__`` to change template fields.

    :param operator: the operator, with its arguments as attributes.
    :param checks: the checks. An argument that is ``None`` is not checked.
    :raises TallyfyArgumentError: for a bad value. It is a ``ValueError``, so Airflow shows it as an import error of the
        DAG file. A mapped operator is created when the task runs; there it fails the task without a retry.
    """
    for name, value in literals(operator, checks).items():
        checked(checks[name], name, value)


def checked(check: Callable[..., Any], *args: Any) -> Any:
    """Call a check, and raise its ``ArgumentError`` as the public exception.

    :raises TallyfyArgumentError: if the check refuses the argument.
    """
    try:
        return check(*args)
    except ArgumentError as error:
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

        raise TallyfyArgumentError(str(error)) from None


def check_number(argument: str, value: object) -> int | None:
    """Return a whole number above 0, or ``None`` for a blank value. Digits in a string are a rendered template.

    :raises ArgumentError: for anything else.
    """
    if _is_blank(value):
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    return check_count(argument, value)


def check_flag_or_blank(argument: str, value: object) -> bool | None:
    """Return a bool, or ``None`` for a blank value. ``"True"`` and ``"false"`` are rendered templates.

    :raises ArgumentError: for anything else.
    """
    return None if _is_blank(value) else check_flag(argument, value)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))
