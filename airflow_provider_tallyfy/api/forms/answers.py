"""All answers to a form: checked and encoded before anything is sent, and decoded to plain values by label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api.forms.assignees import Members, has_addresses
from airflow_provider_tallyfy.api.forms.fields import FormField, find_field, stored_answers, unique_names
from airflow_provider_tallyfy.api.forms.values import decode_value, encode_value, is_blank
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_text, show

MISTAKES = 50  # that an error lists at most


def check_answers(argument: str, answers: object) -> dict[str, Any]:
    """Return answers as a dict with labels as keys. ``None`` means no answers.

    :raises ArgumentError: if they are not an object, or a key is not a string.
    """
    if answers is None:
        return {}
    if not isinstance(answers, Mapping):
        hint = ""
        if isinstance(answers, str):
            hint = (
                " Jinja renders an object to text: pass it as task.output, or set render_template_as_native_obj=True "
                "on the DAG."
            )
        raise ArgumentError(f"{argument}={show(answers)} is not an object of labels and answers.{hint}")
    try:
        given = dict(answers.items())
    except Exception as fault:
        raise ArgumentError(f"{argument} can't be read to its end: it raised {type(fault).__name__}.") from fault
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
    """Encode answers by label as Tallyfy expects them.

    Tallyfy silently drops an answer with an unknown key, and its errors about some values do not name the field. So
    all answers are checked here, and one error reports all mistakes.

    :param argument: name of the argument, for errors.
    :param fields: the fields of the form.
    :param answers: ``{key: value}``; a key is a field's id, alias or label. The value ``None`` keeps the stored answer;
        an empty value clears it.
    :param stored: the answers that Tallyfy already has, ``{field id: value}``, as Tallyfy returns them.
    :param complete: whether a required field without an answer, neither given nor stored, is a mistake.
    :param members: user ids by e-mail address in lower case, see :func:`needs_members`. Any other address is that of a
        guest.
    :return: ``{field id: encoded value}``.
    :raises ArgumentError: if there are mistakes; one line for each.
    """
    given = check_answers(argument, answers)
    known = stored_answers(stored)
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
            # Tallyfy refuses an empty table. If the stored table is empty too, there is nothing to do.
            del encoded[field.id]
            if not is_blank(field, known.get(field.id)):
                mistakes.append(f"{where}={show(value)}: Tallyfy can't clear a table.")
    if complete:
        mistakes += [
            f"{argument}: {show(field.name)} is required, but has no answer."
            for field in fields
            if field.required and field.id not in wrong and is_blank(field, encoded.get(field.id, known.get(field.id)))
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
    """Return whether answers may name members by e-mail address, so that :func:`encode` needs ``members``.

    For answers that are wrong, this is ``False``; :func:`encode` then raises the error.
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
        if field.kind == "assignees_form" and has_addresses(value):
            return True
    return False


def decode(fields: Sequence[FormField], stored: object) -> dict[str, Any]:
    """Decode stored answers to plain values by label: the inverse of :func:`encode`.

    A date is ISO 8601 text (with a time, in UTC), an option its text, a table the list of its cells, a file its URL.
    People and uploaded files are returned as Tallyfy stores them, and so is a value that can't be decoded. An
    unanswered field is ``None``. If several fields have the same label, their ids are added to it.

    :param fields: the fields of the form.
    :param stored: a run's ``prerun`` or a task's ``taskdata``.
    :return: ``{label: value}`` for all fields, in the order of the form; JSON-safe.
    """
    return decode_forms([("", fields, stored)])


def decode_forms(forms: Iterable[tuple[str, Sequence[FormField], object]]) -> dict[str, Any]:
    """Decode the stored answers of several forms, as :func:`decode` does, into one dict.

    If several fields have the same label, the title of the step is added to it, and the field's id if that is not
    enough: ``Amount (Approve)``, ``Amount (Approve, 4f0c...)``.

    :param forms: for each form: the title of its step, its fields, and the stored answers.
    :return: ``{label: value}``.
    """
    rows = [(title, field, stored_answers(stored).get(field.id)) for title, fields, stored in forms for field in fields]
    names = unique_names([(title, field) for title, field, _ in rows])
    return {names[title, field.id]: decode_value(field, value) for title, field, value in rows}
