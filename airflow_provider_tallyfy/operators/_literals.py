"""Checks of arguments: literal values when the DAG file is parsed, rendered ones when the task runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_flag, show

Checks: TypeAlias = Mapping[str, Callable[[str, object], object]]
"""By the name of the argument: the function that returns its checked value, or raises ``ArgumentError``."""

_JINJA = ("{{", "{%", "{#")
_DEEPEST = 20


def is_literal(value: object, depth: int = 0) -> bool:
    """Whether a value is known when the DAG file is parsed: no template and nothing of XCom, at any depth.

    A generator counts as unknown, because looking at it would use it up.
    """
    if isinstance(value, str):
        return not any(mark in value for mark in _JINJA)
    # What Airflow resolves when the task runs (XComArg, DagParam, what .expand() passes) has this method in 2.11 and 3.
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
    """The arguments among ``names`` that are given as literal values."""
    values = {name: getattr(operator, name) for name in names}
    return {name: value for name, value in values.items() if value is not None and is_literal(value)}


def check_literals(operator: object, checks: Checks) -> None:
    """Check the literal arguments of an operator; to be called at the end of its ``__init__``.

    The attributes stay as they were given: Airflow wants the fields of a template unchanged in ``__init__``.

    :param operator: the operator, with its arguments as attributes.
    :param checks: the checks. ``None`` counts as not given.
    :raises TallyfyArgumentError: for a bad value. It is a ``ValueError``, so it shows as an import error of the DAG
        file; where ``.expand()`` makes the operator when the task runs, it fails the task without a retry.
    """
    for name, value in literals(operator, checks).items():
        checked(checks[name], name, value)


def checked(check: Callable[..., Any], *args: Any) -> Any:
    """Call a check; a refused argument becomes the public exception.

    :raises TallyfyArgumentError: if it is refused.
    """
    try:
        return check(*args)
    except ArgumentError as error:
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

        raise TallyfyArgumentError(str(error)) from None


def check_number(argument: str, value: object) -> int | None:
    """Read a whole number from 1 on, which a template may have made text of; blank = not given.

    :raises ArgumentError: for anything else.
    """
    if _is_blank(value):
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentError(f"{argument}={show(value)} is not a whole number.")
    if value < 1:
        raise ArgumentError(f"{argument}={show(value)} is not a whole number from 1 on.")
    return value


def check_flag_or_blank(argument: str, value: object) -> bool | None:
    """Read a flag, which a template may have made text of; blank = not given.

    :raises ArgumentError: for anything else.
    """
    return None if _is_blank(value) else check_flag(argument, value)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))
