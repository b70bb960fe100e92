"""Which option of a field an answer means."""

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

_WORDS = {True: ("true", "yes"), False: ("false", "no")}


def radio(where: str, field: FormField, value: object) -> str:
    """An option's text alone."""
    if not field.options and isinstance(value, str):
        return check_text(where, value)
    return _option(where, field, value).text


def dropdown(where: str, field: FormField, value: object) -> dict[str, Any]:
    """An option's id and text, which Tallyfy compares with each other."""
    if not field.options and isinstance(value, Mapping):
        return _unlisted(where, value)
    found = _option(where, field, value)
    return {"id": found.id, "text": found.text}


def multiselect(where: str, field: FormField, value: object) -> list[dict[str, Any]]:
    """The chosen options. Without ``selected`` Tallyfy stores them and shows nothing."""
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
    """Whether an option is chosen, given or stored as an object that may say so."""
    return not isinstance(entry, Mapping) or flag_of(entry.get("selected"), absent=True)


def _option(where: str, field: FormField, value: object) -> Option:
    if not field.options:
        raise ArgumentError(
            f"{where}={show(value)}: Tallyfy does not show the options of this field, so give "
            '{"id": <number>, "text": <text>}.'
        )
    found = _by_object(where, field, value) if isinstance(value, Mapping) else _by_word(where, field, value)
    if not found:
        near = did_you_mean(value, [option.text for option in field.options]) if isinstance(value, str) else ""
        raise ArgumentError(
            f"{where}={show(value)} is not an option of this field{near}. "
            f"There are {listing(option.text for option in field.options)}."
        )
    same = {option.text for option in found} if field.kind == "radio" else set(found)
    if len(same) > 1:
        told = " or ".join(f'{{"id": {option.id!r}, "text": {option.text!r}}}' for option in found)
        raise ArgumentError(f"{where}={show(value)} fits {len(found)} options: give {told}.")
    return found[0]


def _by_word(where: str, field: FormField, value: object) -> list[Option]:
    """By exact text, then by text in any letter case, then by id."""
    words = _words(where, field, value)
    for word in words:
        if exact := [option for option in field.options if option.text == word]:
            return exact
    for word in words:
        if alike := [option for option in field.options if folded(option.text) == folded(word)]:
            return alike
    return [option for option in field.options if str(option.id) in words]


def _words(where: str, field: FormField, value: object) -> tuple[str, ...]:
    """How an option may be written that a value means."""
    if isinstance(value, bool):
        return _WORDS[value]
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
        f"{where}={show(value)} is of type {type(value).__name__}; it must be the text of one of the options: "
        f"{listing(option.text for option in field.options)}."
    )


def _by_object(where: str, field: FormField, value: Mapping[Any, Any]) -> list[Option]:
    """By id and text as Tallyfy stores them; two that contradict each other fit nothing."""
    given = check_object(where, value)
    identity, text = given.get("id"), given.get("text")
    if identity is None and isinstance(text, str):
        return _by_word(where, field, text)
    found = [option for option in field.options if str(option.id) == str(identity)]
    return [option for option in found if text is None or folded(option.text) == folded(str(text))]


def _unlisted(where: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    given = check_object(where, value)
    if given.get("id") is None or not isinstance(given.get("text"), str):
        raise ArgumentError(f'{where}={show(value)} must hold "id" and "text".')
    return {"id": given["id"], "text": given["text"]}
