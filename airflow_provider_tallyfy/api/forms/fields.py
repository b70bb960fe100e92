"""The fields of a form, as Tallyfy describes them, and the field that a key names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.names import choose
from airflow_provider_tallyfy.api.protocol.messages import related

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Option:
    """One option of a radio, dropdown or multiselect field."""

    id: int | str
    text: str


@dataclass(frozen=True)
class FormField:
    """One field of a kick-off form or of a task's form.

    :param id: its id, the key of its answer in ``prerun`` and ``taskdata`` (the "timeline id").
    :param alias: its name in Tallyfy's variables; may be empty.
    :param label: the label that people see in Tallyfy.
    :param kind: its type: ``text``, ``textarea``, ``email``, ``date``, ``radio``, ``dropdown``, ``multiselect``,
        ``table``, ``assignees_form``, ``file``, or one that this package does not know.
    :param required: whether it must be answered.
    :param options: the options of a radio, dropdown or multiselect field.
    :param columns: the labels of a table's columns, in order.
    """

    id: str
    alias: str
    label: str
    kind: str
    required: bool = False
    options: tuple[Option, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its label; without a label, its alias or id."""
        return self.label or self.alias or self.id


def fields_of(rows: object) -> list[FormField]:
    """Read the rows of a template's ``prerun``, a step's ``captures`` or a task's ``form_fields``.

    :param rows: a list, wrapped in ``{"data": ...}`` or not. Entries that are not fields are left out.
    """
    found: dict[str, FormField] = {}
    for row in related(rows) or ():
        identity = text_of(row.get("id")) if isinstance(row, Mapping) else ""
        if identity and identity not in found:
            found[identity] = FormField(
                id=identity,
                alias=text_of(row.get("alias")),
                label=text_of(row.get("label")),
                kind=text_of(row.get("field_type")),
                required=flag_of(row.get("required"), absent=False),
                options=tuple(_options(row.get("options"))),
                columns=tuple(_columns(row.get("columns"))),
            )
    return list(found.values())


def _options(rows: object) -> Iterable[Option]:
    """Yield the options that have an id and a text. Others can't be sent, because Tallyfy checks both."""
    for row in related(rows) or ():
        if isinstance(row, Mapping):
            text = next((row[name] for name in ("text", "label", "value") if row.get(name) is not None), None)
            identity: Any = row.get("id")
            is_id = isinstance(identity, (int, str)) and not isinstance(identity, bool) and identity != ""
            if is_id and isinstance(text, (str, int, float)) and not isinstance(text, bool):
                yield Option(identity, str(text))


def _columns(rows: object) -> Iterable[str]:
    """Yield one label per column; an empty one for a column without a label, because the number of columns counts."""
    for row in related(rows) or ():
        label: object = row
        if isinstance(row, Mapping):
            label = next((row[name] for name in ("label", "text", "title") if row.get(name) is not None), "")
        yield text_of(label)


def text_of(value: object) -> str:
    """Return a name or id as text; empty if ``value`` is neither text nor a whole number."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def flag_of(value: object, *, absent: bool) -> bool:
    """Return a flag, which Tallyfy may write as ``true``, ``1`` or ``"1"``; ``absent`` if ``value`` is not a flag."""
    return _FLAGS.get(str(value).lower(), absent) if isinstance(value, (bool, int, str)) else absent


def labels_of(fields: Sequence[FormField]) -> dict[str, str]:
    """Return the labels by field id. If several fields have the same label, their ids are added to it."""
    return {identity: label for (_, identity), label in unique_names([("", field) for field in fields]).items()}


def unique_names(fields: Sequence[tuple[str, FormField]]) -> dict[tuple[str, str], str]:
    """Return a unique name for each field: its label, with the title of its step and its id added if necessary.

    :param fields: pairs of the title of a step and one of its fields.
    :return: the names by the title of the step and the id of the field.
    """
    spellings: list[Callable[[str, FormField], str]] = [
        lambda title, field: field.name,
        lambda title, field: f"{field.name} ({title})" if title else field.name,
        lambda title, field: f"{field.name} ({field.id})",
        lambda title, field: f"{field.name} ({title}, {field.id})",
    ]
    named: dict[tuple[str, str], str] = {}
    left = list(fields)
    for spelling in spellings:
        counts: dict[str, int] = {}
        for entry in left:
            counts[spelling(*entry)] = counts.get(spelling(*entry), 0) + 1
        # A name that is in use, or a plain label that several fields have, is not given to another field.
        taken = set(named.values()) | ({field.name for _, field in left} if spelling is not spellings[0] else set())
        rest = []
        for title, field in left:
            spelled = spelling(title, field)
            if counts[spelled] == 1 and spelled not in taken:
                named[title, field.id] = spelled
            else:
                rest.append((title, field))
        left = rest
    for title, field in left:  # a form was given twice, or a label looks like one of these names
        name = spellings[-1](title, field)
        while (title, field.id) not in named and name in named.values():
            name += "'"
        named.setdefault((title, field.id), name)
    return {(title, field.id): named[title, field.id] for title, field in fields}


def find_field(argument: str, fields: Sequence[FormField], key: str) -> FormField:
    """Return the field that a key names: by id, alias or label, in this order; then the same in any letter case.

    :raises ArgumentError: if the key names no field (with the nearest names), or several (with their ids).
    """
    labels = labels_of(fields)
    names = (
        lambda field: field.id,
        lambda field: field.alias,
        lambda field: labels[field.id],
        lambda field: field.label,
    )
    return choose(argument, key, fields, names, what="field", called="label")


def stored_answers(value: Any) -> Mapping[str, Any]:
    """Return the stored answers; empty if they are not an object, because PHP writes an empty object as ``[]``."""
    return value if isinstance(value, Mapping) else {}
