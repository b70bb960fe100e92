"""The option of a radio, dropdown or multiselect field that an answer chooses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from airflow_provider_tallyfy.api.forms.entries import each, entries
from airflow_provider_tallyfy.api.forms.fields import FormField, Option, flag_of
from airflow_provider_tallyfy.api.names import folded, listing
from airflow_provider_tallyfy.api.protocol.arguments import (
    ArgumentError,
    check_text,
    did_you_mean,
    show,
)
from airflow_provider_tallyfy.api.protocol.json_values import check_object

_YES_NO = {True: ("true", "yes"), False: ("false", "no")}


def radio(where: str, field: FormField, value: object) -> str:
    """Encode an option as its text."""
    if not field.options and isinstance(value, str):
        return check_text(where, value)
    return _option(where, field, value).text


def dropdown(where: str, field: FormField, value: object) -> dict[str, Any]:
    """Encode an option as its id and its text, because Tallyfy checks that they belong together."""
    if not field.options and isinstance(value, Mapping):
        return _as_given(where, value)
    found = _option(where, field, value)
    return {"id": found.id, "text": found.text}


def multiselect(where: str, field: FormField, value: object) -> list[dict[str, Any]]:
    """Encode the chosen options. Without ``selected``, Tallyfy stores an option but does not show it."""
    is_one = isinstance(value, str) and any(folded(option.text) == folded(value) for option in field.options)
    chosen = each(
        where,
        filter(is_selected, [value] if is_one else entries(where, value)),
        lambda spot, entry: {**dropdown(spot, field, entry), "selected": True},
    )
    if isinstance(value, (set, frozenset)) and field.options:
        order = [option.id for option in field.options]
        chosen.sort(key=lambda row: order.index(row["id"]))
    return [row for place, row in enumerate(chosen) if row not in chosen[:place]]


def is_selected(entry: object) -> bool:
    """Return whether an entry is chosen: it is, unless it is an object with ``selected: false``."""
    return not isinstance(entry, Mapping) or flag_of(entry.get("selected"), absent=True)


def _option(where: str, field: FormField, value: object) -> Option:
    if not field.options:
        raise ArgumentError(
            f"{where}={show(value)}: Tallyfy does not show the options of this field, so give "
            '{"id": <number>, "text": <text>}.'
        )
    found = _by_object(where, field, value) if isinstance(value, Mapping) else _by_text(where, field, value)
    if not found:
        near = did_you_mean(value, [option.text for option in field.options]) if isinstance(value, str) else ""
        raise ArgumentError(
            f"{where}={show(value)} is not an option of this field{near}. "
            f"There are {listing(option.text for option in field.options)}."
        )
    same = {option.text for option in found} if field.kind == "radio" else set(found)
    if len(same) > 1:
        choices = " or ".join(f'{{"id": {option.id!r}, "text": {option.text!r}}}' for option in found)
        raise ArgumentError(f"{where}={show(value)} matches {len(found)} options. Use {choices}.")
    return found[0]


def _by_text(where: str, field: FormField, value: object) -> list[Option]:
    """Find options by exact text, then by text in any letter case, then by id."""
    spellings = _spellings(where, field, value)
    for spelling in spellings:
        if exact := [option for option in field.options if option.text == spelling]:
            return exact
    for spelling in spellings:
        if alike := [option for option in field.options if folded(option.text) == folded(spelling)]:
            return alike
    return [option for option in field.options if str(option.id) in spellings]


def _spellings(where: str, field: FormField, value: object) -> tuple[str, ...]:
    """Return the ways in which the text or id of the option may be written, given a value."""
    if isinstance(value, bool):
        return _YES_NO[value]
    if isinstance(value, str):
        return (check_text(where, value), value.strip())
    if isinstance(value, int) and abs(value) < 10**18:
        return (str(int(value)),)
    if isinstance(value, float):
        return (repr(float(value)), str(int(value))) if value.is_integer() and abs(value) < 2**53 else (repr(value),)
    if isinstance(value, Decimal):
        return (str(value),)
    if isinstance(value, date):
        return (str(value.isoformat()),)
    raise ArgumentError(
        f"{where}={show(value)} is of type {type(value).__name__}; it must be the text of an option: "
        f"{listing(option.text for option in field.options)}."
    )


def _by_object(where: str, field: FormField, value: Mapping[Any, Any]) -> list[Option]:
    """Find options by id and text, as Tallyfy stores them. An id with the text of another option matches nothing."""
    given = check_object(where, value)
    identity, text = given.get("id"), given.get("text")
    if identity is None and isinstance(text, str):
        return _by_text(where, field, text)
    found = [option for option in field.options if str(option.id) == str(identity)]
    return [option for option in found if text is None or folded(option.text) == folded(str(text))]


def _as_given(where: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    given = check_object(where, value)
    if given.get("id") is None or not isinstance(given.get("text"), str):
        raise ArgumentError(f'{where}={show(value)} needs "id" and "text".')
    return {"id": given["id"], "text": given["text"]}
