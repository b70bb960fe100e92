"""Encode and decode one answer, by the type of its field.

The server's ``FormValuesValidator`` defines the formats. Tallyfy's page on launching and its own clients describe them:
https://tallyfy.com/products/pro/integrations/open-api/code-samples/processes/launch-process/
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_tallyfy.api.forms import assignees, choices
from airflow_provider_tallyfy.api.forms.entries import each, entries
from airflow_provider_tallyfy.api.forms.fields import FormField
from airflow_provider_tallyfy.api.names import listing, match
from airflow_provider_tallyfy.api.protocol.arguments import (
    ArgumentError,
    check_text,
    did_you_mean,
    listed,
    show,
)
from airflow_provider_tallyfy.api.protocol.json_values import check_json, check_object
from airflow_provider_tallyfy.api.timestamps import check_instant, instant

TEXT_LIMIT = 200  # characters of a text field
TEXTAREA_LIMIT = 30_000


def encode_value(where: str, field: FormField, value: object, members: assignees.Members | None) -> Any:
    """Encode an answer in the format of its field's type.

    :param where: the argument and the key, for errors.
    :param members: see :func:`~airflow_provider_tallyfy.api.forms.answers.encode`.
    :raises ArgumentError: if it has mistakes; one line for each.
    """
    if field.kind == "assignees_form":
        return assignees.encode(where, value, members)
    if field.kind not in _KINDS:
        return check_json(where, value)
    kind = _KINDS[field.kind]
    if isinstance(value, str) and not value.strip():
        return kind.cleared()
    return kind.encode(where, field, value)


def decode_value(field: FormField, stored: Any) -> Any:
    """Decode a stored answer to a plain value; ``None`` = not answered. What can't be decoded is returned unchanged."""
    kind = _KINDS.get(field.kind)
    if is_blank(field, stored):
        return None
    return stored if kind is None else kind.decode(field, stored)


def is_blank(field: FormField, stored: Any) -> bool:
    """Return whether an encoded value is empty."""
    if stored is None or (isinstance(stored, (str, list, dict)) and not stored):
        return True
    if field.kind == "assignees_form" and isinstance(stored, Mapping):
        return not any(stored.values())
    if field.kind == "table" and isinstance(stored, list):
        return all(cell in (None, "") for cell in stored)
    if field.kind == "multiselect" and isinstance(stored, list):
        return not any(map(choices.is_selected, stored))
    return False


# -- texts, dates, addresses -------------------------------------------------------------------------------------------


def _scalar(where: str, value: object) -> str | int | float:
    """Encode a text, number or date. A number that a JSON parser might round is sent as text."""
    if isinstance(value, str):
        return check_text(where, str.__str__(value))
    if isinstance(value, (date, datetime)):
        return _date(where, value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ArgumentError(
            f"{where}={show(value)} is of type {type(value).__name__}; it must be a text, a number or a date."
        )
    if not _can_be_sent(value):
        raise ArgumentError(f"{where}={show(value)} is a number that can't be sent safely as JSON.")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return float(value)
    return int(value) if abs(value) <= 2**53 else str(int(value))


def _can_be_sent(value: int | float | Decimal) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and -TEXT_LIMIT < value.adjusted() < TEXT_LIMIT and len(str(value)) < 2 * TEXT_LIMIT
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 10**TEXT_LIMIT


def _check_length(where: str, value: str | int | float, limit: int) -> str | int | float:
    if len(str(value)) > limit:
        raise ArgumentError(f"{where} has {len(str(value))} characters; Tallyfy accepts {limit}: {show(value)}")
    return value


def _text(where: str, field: FormField, value: object) -> str | int | float:
    return _check_length(where, _scalar(where, value), TEXT_LIMIT)


def _textarea(where: str, field: FormField, value: object) -> str:
    """Encode as text, because Tallyfy refuses a number here."""
    return str(_check_length(where, str(_scalar(where, value)), TEXTAREA_LIMIT))


def _email(where: str, field: FormField, value: object) -> str:
    return assignees.check_address(where, value)


def _date(where: str, value: object) -> str:
    """Encode as ISO 8601 text: a day as it is, a point in time in UTC."""
    day = value.strip() if isinstance(value, str) else None
    if isinstance(value, date) and not isinstance(value, datetime):
        day = date(value.year, value.month, value.day).isoformat()
    if day is not None and _is_day(day):
        return day
    try:
        text = _moment(check_instant(where, value))
    except ArgumentError:
        raise
    except Exception:  # a broken custom time zone, or pandas' NaT
        text = ""
    if instant(text) is None:
        raise ArgumentError(f"{where}={show(value)} is not a point in time.")
    return text


def _is_day(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and date.fromisoformat(text) is not None
    except ValueError:
        return False


def _moment(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def _read_date(field: FormField, stored: Any) -> Any:
    found = instant(stored)
    try:
        return stored if found is None else _moment(found)
    except OverflowError:
        return stored


# -- choices -----------------------------------------------------------------------------------------------------------


def _read_option(field: FormField, stored: Any) -> Any:
    if not isinstance(stored, Mapping):
        return stored
    if isinstance(stored.get("text"), str):
        return stored["text"]
    texts = [option.text for option in field.options if "id" in stored and str(option.id) == str(stored["id"])]
    return texts[0] if texts else stored


def _read_options(field: FormField, stored: Any) -> Any:
    if not isinstance(stored, list):
        return [_read_option(field, stored)] if isinstance(stored, Mapping) else stored
    return [_read_option(field, row) for row in stored if choices.is_selected(row)]


# -- tables ------------------------------------------------------------------------------------------------------------


def _table(where: str, field: FormField, value: object) -> list[Any]:
    """Encode as one entry per column. A blank cell is ``null``, because Tallyfy refuses an empty text."""
    if isinstance(value, Mapping):
        cells = _by_column(where, field, value)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes, set, frozenset)):
        cells = listed(where, value)
    else:
        raise ArgumentError(
            f"{where}={show(value)} is not a row of a table. Use a list of cells in the order of the columns, or "
            "{column: cell}."
        )
    if cells and field.columns and len(cells) != len(field.columns):
        raise ArgumentError(
            f"{where} has {len(cells)} cells; the table has {len(field.columns)} columns: {listing(field.columns)}."
        )
    return each(where, cells, lambda place, cell: None if _is_blank_cell(cell) else _scalar(place, cell))


def _by_column(where: str, field: FormField, value: Mapping[Any, Any]) -> list[Any]:
    cells: list[Any] = [None] * len(field.columns)
    filled: dict[int, str] = {}
    wrong = []
    for key, cell in value.items():
        found = match(key, range(len(cells)), [field.columns.__getitem__]) if isinstance(key, str) else []
        if len(found) != 1:
            near = did_you_mean(key, field.columns) if isinstance(key, str) else ""
            what = f"names {len(found)} columns; use a list" if found else "is not a column"
            wrong.append(f"{where}: {show(key)} {what}{near}. There are {listing(field.columns) or 'none'}.")
        elif found[0] in filled:
            wrong.append(f"{where}: {show(filled[found[0]])} and {show(key)} name the same column.")
        else:
            cells[found[0]], filled[found[0]] = cell, key
    if wrong:
        raise ArgumentError("\n".join(wrong))
    return cells


def _is_blank_cell(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _read_table(field: FormField, stored: Any) -> Any:
    return [None if cell == "" else cell for cell in stored] if isinstance(stored, list) else stored


# -- files -------------------------------------------------------------------------------------------------------------


def _files(where: str, field: FormField, value: object) -> list[dict[str, Any]]:
    return each(where, entries(where, value), _file)


def _file(where: str, value: Any) -> dict[str, Any]:
    """Encode a file at a URL, or check a file as Tallyfy stores it."""
    if isinstance(value, Mapping):
        given = check_object(where, value)
        if not any(isinstance(given.get(name), (str, int)) and given[name] for name in ("url", "full_url", "id")):
            raise ArgumentError(f'{where}={show(value)} is not a file: it needs a "url".')
        if isinstance(given.get("url"), str) and "id" not in given:
            given = {"filename": _filename(given["url"]), "source": "url", **given}
        return given
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]\S*", value.strip(), re.IGNORECASE):
        raise ArgumentError(
            f"{where}={show(value)} is not the URL of a file. Tallyfy accepts files only by http or https URL."
        )
    url = check_text(where, value.strip())
    return {"filename": _filename(url), "source": "url", "url": url}


def _filename(url: str) -> str:
    """Return the last part of a URL's path, which people see; without the query, which may contain a signature."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "file"
    return unquote(parts.path.rstrip("/").rsplit("/", 1)[-1]) or parts.netloc.rsplit("@", 1)[-1] or "file"


def _read_files(field: FormField, stored: Any) -> Any:
    rows = [stored] if isinstance(stored, Mapping) else stored
    if not isinstance(rows, list):
        return stored
    return [
        row["url"]
        if isinstance(row, Mapping) and row.get("source") == "url" and isinstance(row.get("url"), str)
        else row
        for row in rows
    ]


# -- field types -------------------------------------------------------------------------------------------------------


def _as_stored(field: FormField, stored: Any) -> Any:
    return stored


@dataclass(frozen=True)
class _Kind:
    """A type of field.

    :param encode: encodes a plain value.
    :param decode: decodes a stored value.
    :param cleared: returns the value that clears an answer.
    """

    encode: Callable[[str, FormField, object], Any]
    decode: Callable[[FormField, Any], Any] = _as_stored
    cleared: Callable[[], Any] = str


_KINDS: Mapping[str, _Kind] = {
    "text": _Kind(_text),
    "textarea": _Kind(_textarea),
    "email": _Kind(_email),
    "date": _Kind(lambda where, field, value: _date(where, value), _read_date),
    "radio": _Kind(choices.radio, _read_option),
    "dropdown": _Kind(choices.dropdown, _read_option),
    "multiselect": _Kind(choices.multiselect, _read_options, list),
    "table": _Kind(_table, _read_table, list),
    "file": _Kind(_files, _read_files, list),
}
