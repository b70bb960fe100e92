"""All answers to a form at once: checked before anything is sent, and read back under their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api.forms.assignees import Members, names_addresses
from airflow_provider_tallyfy.api.forms.fields import FormField, find_field, stored_answers, told_apart
from airflow_provider_tallyfy.api.forms.values import decode_value, encode_value, is_blank
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_text, show

MISTAKES = 50  # lines of an error at most


def check_answers(argument: str, answers: object) -> dict[str, Any]:
    """Return answers as an object whose names are texts; ``None`` is one without answers.

    :raises ArgumentError: for anything else.
    """
    if answers is None:
        return {}
    if not isinstance(answers, Mapping):
        hint = ""
        if isinstance(answers, str):
            hint = (
                " An object that went through a Jinja string becomes text: pass it as task.output, or set "
                "render_template_as_native_obj=True on the DAG."
            )
        raise ArgumentError(f"{argument}={show(answers)} is not an object of labels and answers.{hint}")
    try:
        given = dict(answers.items())
    except Exception as fault:
        raise ArgumentError(f"{argument} can't be read to its end: {type(fault).__name__} on the way.") from fault
    for key in given:
        if not isinstance(key, str):
            raise ArgumentError(f"{argument} has the name {show(key)} of type {type(key).__name__}; names are strings.")
        check_text(f"name in {argument}", key)
    return given


def encode(
    argument: str,
    fields: Sequence[FormField],
    answers: object,
    *,
    stored: Mapping[str, Any] | None = None,
    complete: bool = True,
    members: Members | None = None,
) -> dict[str, Any]:
    """Turn answers by label into what Tallyfy takes.

    Tallyfy drops an answer under an unknown name without a word, and refuses some forms of values with words that name
    neither field nor form. So every mistake is found here, all of them at once.

    :param argument: name of the argument, for errors.
    :param fields: the fields of the form.
    :param answers: ``{key: value}``; a key is a field's id, alias or label. ``None`` = not answered, which leaves a
        stored answer as it is; an empty value clears it.
    :param stored: the answers that Tallyfy has already, as it holds them.
    :param complete: whether a required field that has no answer, given or stored, is a mistake.
    :param members: e-mail address in lower case to user id, see :func:`needs_members`; an address that is not in it is
        a guest's.
    :return: ``{field id: value as Tallyfy takes it}``.
    :raises ArgumentError: with one line per mistake.
    """
    given = check_answers(argument, answers)
    have = stored_answers(stored)
    encoded: dict[str, Any] = {}
    keys: dict[str, str] = {}
    wrong: set[str] = set()
    mistakes: list[str] = []
    for key, value in given.items():
        try:
            field = find_field(argument, fields, key)
        except ArgumentError as error:
            mistakes.append(str(error))
            continue
        if field.id in keys:
            both = f"{show(keys[field.id])} and {show(key)}"
            mistakes.append(f"{argument}: {both} name the same field, {show(field.name)}. Keep one of them.")
            continue
        keys[field.id] = key
        if value is None:
            continue
        where = f"{argument}[{show(key)}]"
        try:
            encoded[field.id] = encode_value(where, field, value, members)
        except ArgumentError as error:
            mistakes += str(error).split("\n")
            wrong.add(field.id)
            continue
        if field.kind == "table" and is_blank(field, encoded[field.id]):
            # Tallyfy refuses every way to write an empty table. Where there is none, there is nothing to do.
            del encoded[field.id]
            if not is_blank(field, have.get(field.id)):
                mistakes.append(f"{where}={show(value)}: Tallyfy has no way to clear a table.")
    if complete:
        mistakes += [
            f"{argument}: {show(field.name)} is required, and has no answer."
            for field in fields
            if field.required and field.id not in wrong and is_blank(field, encoded.get(field.id, have.get(field.id)))
        ]
    if mistakes:
        raise _error(argument, mistakes)
    return encoded


def _error(argument: str, mistakes: list[str]) -> ArgumentError:
    if len(mistakes) == 1:
        return ArgumentError(mistakes[0])
    more = [f"... and {len(mistakes) - MISTAKES} more"] if len(mistakes) > MISTAKES else []
    return ArgumentError("\n  ".join([f"{argument} has {len(mistakes)} mistakes:", *mistakes[:MISTAKES], *more]))


def needs_members(fields: Sequence[FormField], answers: object) -> bool:
    """Whether answers name people by e-mail address, so that it counts who of them is a member.

    :return: ``False`` too where the answers are wrong, which :func:`encode` tells.
    """
    try:
        given = check_answers("answers", answers)
    except ArgumentError:
        return False
    for key, value in given.items():
        try:
            field = find_field("answers", fields, key)
        except ArgumentError:
            continue
        if field.kind == "assignees_form" and names_addresses(value):
            return True
    return False


def decode(fields: Sequence[FormField], stored: object) -> dict[str, Any]:
    """Turn stored answers into plain values by label: the way back from :func:`encode`.

    Days and moments are ISO texts (moments in UTC), choices are their texts, a table is its cells in the order of the
    columns, people are as Tallyfy stores them, files are their URLs (uploaded ones as Tallyfy stores them). What is not
    answered is ``None``, and what can't be read is there as it came. Fields of one label are told apart by their ids.

    :param stored: a run's ``prerun`` or a task's ``taskdata``.
    :return: ``{label: value}`` with every field of the form, in its order; JSON-safe.
    """
    return labelled([("", fields, stored)])


def labelled(forms: Iterable[tuple[str, Sequence[FormField], object]]) -> dict[str, Any]:
    """Turn the stored answers of several forms into one object.

    A label that several fields have is told apart by the title of its step, then by the field's id: ``Amount``,
    ``Amount (Approve)``, ``Amount (Approve, 4f0c...)``.

    :param forms: title of the step, its fields, and what is stored.
    """
    rows = [(title, field, stored_answers(stored).get(field.id)) for title, fields, stored in forms for field in fields]
    names = told_apart([(title, field) for title, field, _ in rows])
    return {names[title, field.id]: decode_value(field, value) for title, field, value in rows}
