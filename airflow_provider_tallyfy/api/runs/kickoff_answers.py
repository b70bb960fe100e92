"""Kick-off answers by field id: check them in each accepted format, and return the one that Tallyfy accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id, listed, show
from airflow_provider_tallyfy.api.protocol.json_values import check_json


def check_kickoff_answers(argument: str, value: object) -> dict[str, Any]:
    """Return kick-off answers in the only format that Tallyfy accepts: an object with field ids as keys.

    Tallyfy's older page says "array" (but production answers 422 to any list); its current pages say object.
    This function accepts the object itself, a list of one-key objects, and a list of
    ``{"id" or "field_id": <field>, "value": <answer>}``; the two list formats may be mixed.

    :raises ArgumentError: for any other format, for no answers, and for two different answers to the same field.
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        pairs = [_kickoff_pair(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value))]
    else:
        raise ArgumentError(
            f"{argument}={show(value)} does not have a known format. Use {{field_id: answer}}, "
            '[{field_id: answer}, ...] or [{"id": field_id, "value": answer}, ...].'
        )
    if not pairs:
        raise ArgumentError(
            f"{argument} is empty: nothing to set. To clear an answer, set its field to an empty value."
        )
    folded: dict[str, Any] = {}
    for field, answer in pairs:
        key = check_id(f"key of {argument}", field)
        if key in folded and not _identical(folded[key], answer):
            raise ArgumentError(f"{argument} answers the field {key} twice: {show(folded[key])} and {show(answer)}.")
        folded[key] = check_json(f"{argument}[{key!r}]", answer)
    return folded


def _identical(one: object, other: object) -> bool:
    """Return whether two answers are the same JSON. In Python, ``1`` equals ``True``; in a form they differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_identical(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_identical, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


def _kickoff_pair(argument: str, item: object) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        for key in ("id", "field_id"):
            if set(item) == {key, "value"}:
                return item[key], item["value"]
        if len(item) == 1 and not set(item) & {"id", "field_id", "value"}:
            return next(iter(item.items()))
    raise ArgumentError(
        f"{argument}={show(item)} does not have a known format. Use {{field_id: answer}} or "
        '{"id": field_id, "value": answer}.'
    )
