"""Which values can be sent as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_text, show

NUMBER_LIMIT = 10**300  # Python writes no number of more than 4,300 digits
DEPTH_LIMIT = 50


def check_json(argument: str, value: object, depth: int = 0) -> Any:
    """Return a value that can be sent as JSON: strings, finite numbers, bools, ``None``, lists and objects of these.

    :raises ArgumentError: for anything else, and for a value nested more than ``DEPTH_LIMIT`` deep (or in itself).
    """
    if depth > DEPTH_LIMIT:
        raise ArgumentError(f"{argument[:80]}... is nested more than {DEPTH_LIMIT} deep.")
    if isinstance(value, str):
        return check_text(argument, value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        if not (math.isfinite(value) if isinstance(value, float) else abs(value) < NUMBER_LIMIT):
            raise ArgumentError(f"{argument}={show(value)} is a number that can't be sent safely as JSON.")
        return value
    if isinstance(value, Mapping):
        return check_object(argument, value, depth)
    if isinstance(value, (list, tuple)):
        return [check_json(f"{argument}[{i}]", inner, depth + 1) for i, inner in enumerate(value)]
    raise ArgumentError(
        f"{argument}={show(value)} is of type {type(value).__name__}, which can't be sent as JSON. Use strings, "
        "numbers, bools, lists and objects; write dates as ISO 8601 text."
    )


def check_object(argument: str, value: object, depth: int = 0) -> dict[str, Any]:
    """Return an object whose names are strings and whose values can be sent as JSON."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{argument}={show(value)} is not an object of field names and values.")
    for key in value:
        if not isinstance(key, str):
            raise ArgumentError(f"{argument} has the name {show(key)} of type {type(key).__name__}; names are strings.")
        check_text(f"name in {argument}", key)
    return {key: check_json(f"{argument}[{key!r}]", inner, depth + 1) for key, inner in value.items()}
