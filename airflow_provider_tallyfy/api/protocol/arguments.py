"""Which values may be sent at all. Each refusal names the argument, the value and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

NAME_LIMIT = 550  # characters; Tallyfy's documentation of launch and update
ID_LIMIT = 255  # characters; what Tallyfy's own SDK accepts
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ABSENT = frozenset({"none", "null", "nan", "undefined"})
_FROM_XCOM = "If it comes from XCom or a template, the upstream task returned nothing or it was not rendered."


class ArgumentError(ValueError):
    """An argument that must not reach Tallyfy."""


def show(value: object, limit: int = 80) -> str:
    """The value as a person would recognise it, bounded."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def check_id(argument: str, value: object) -> str:
    """Return ``value`` if it can only ever be one path segment.

    Tallyfy's ids are 32 hexadecimal digits; its SDK allows letters, digits, ``_`` and ``-`` up to 255.
    The rule matters: ``DELETE /runs/<id>/delete`` destroys a run for ever, so no id may hold a ``/``.

    :param argument: name of the argument, for the error.
    :param value: the id.
    :raises ArgumentError: for anything else.
    """
    if isinstance(value, str) and value.strip().lower() in _ABSENT:
        raise ArgumentError(f"{argument}={show(value)} is not an id. {_FROM_XCOM}")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ArgumentError(f"{argument}={show(value)} is empty. {_FROM_XCOM}")
    if not isinstance(value, str):
        raise ArgumentError(
            f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string, "
            "the 32-character id of Tallyfy (not the number that its web app shows)."
        )
    if len(value) > ID_LIMIT:
        raise ArgumentError(f"{argument}={show(value)} is longer than {ID_LIMIT} characters.")
    if "{{" in value or "{%" in value:
        raise ArgumentError(f"{argument}={show(value)} is a template that was not rendered.")
    if not _ID.fullmatch(value):
        raise ArgumentError(
            f"{argument}={show(value)} is not a Tallyfy id: only letters, digits, '_' and '-' may stand in one. "
            "Pass the id alone, not a URL or a path."
        )
    return value


def check_ids(argument: str, value: object) -> list[str]:
    """Return a list of ids, each checked; a single string is refused (it is a list that was rendered to text)."""
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ArgumentError(
            f"{argument}={show(value)} is not a list of ids. A list that went through a Jinja string becomes text: "
            "pass it as task.output, or set render_template_as_native_obj=True on the DAG."
        )
    return list(dict.fromkeys(check_id(f"{argument}[{i}]", item) for i, item in enumerate(value)))


def check_user_id(argument: str, value: object) -> int:
    """Return a Tallyfy user id. Users have integer ids; digits in a string are accepted."""
    if isinstance(value, bool) or not (
        isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.strip().isdigit())
    ):
        raise ArgumentError(
            f"{argument}={show(value)} is not a Tallyfy user id. Users have whole numbers as ids, such as 1001 "
            "(see GET /organizations/<id>/users); an e-mail address or a name is not accepted."
        )
    # 20 digits are too many already, and Python converts no more than 4300 of them.
    number = value if isinstance(value, int) else int(value.strip().lstrip("0")[:20] or 0)
    if not 0 < number < 2**63:
        raise ArgumentError(f"{argument}={show(value)} is not a Tallyfy user id: it must be above 0 and below 2**63.")
    return number


def check_user_ids(argument: str, value: object) -> list[int]:
    """Return a list of user ids, each checked."""
    if isinstance(value, (str, int)) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ArgumentError(f"{argument}={show(value)} is not a list of user ids, such as [1001, 1002].")
    return list(dict.fromkeys(check_user_id(f"{argument}[{i}]", item) for i, item in enumerate(value)))


def check_name(argument: str, value: object) -> str:
    """Return a run's name: text, not blank, at most 550 characters."""
    if not isinstance(value, str):
        raise ArgumentError(f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string.")
    if not value.strip() or value.strip() == "None":
        raise ArgumentError(f"{argument}={show(value)}: a run needs a name. {_FROM_XCOM}")
    if len(value) > NAME_LIMIT:
        raise ArgumentError(f"{argument} has {len(value)} characters; Tallyfy allows {NAME_LIMIT}: {show(value)}")
    return value


def check_text(argument: str, value: object) -> str:
    """Return text; ``""`` is text."""
    if not isinstance(value, str):
        raise ArgumentError(f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string.")
    return value


def check_flag(argument: str, value: object) -> bool:
    """Return a bool; what Jinja makes of one (``"True"``, ``"false"``) is accepted."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise ArgumentError(f"{argument}={show(value)} is not true or false.")


def check_texts(argument: str, value: object) -> list[str]:
    """Return a list of strings."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise ArgumentError(f"{argument}={show(value)} is not a list of strings.")
    return [check_text(f"{argument}[{i}]", item) for i, item in enumerate(value)]


def check_choice(argument: str, value: object, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    allowed = list(choices)
    if value not in allowed:
        raise ArgumentError(f"{argument}={show(value)}: choose one of {', '.join(map(repr, allowed))}.")
    return str(value)


def check_kickoff_answers(argument: str, value: object) -> dict[str, Any]:
    """Fold kick-off answers into the one form that Tallyfy takes: an object keyed by field id.

    Tallyfy's older page says "array" (production answers any list with 422), its current pages say object.
    Accepted are the object itself, a list of one-key objects, and a list of
    ``{"id" or "field_id": <field>, "value": <answer>}``; the two list forms may be mixed.

    :raises ArgumentError: for another form, an empty one, or a field answered twice in different ways.
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        pairs = [_kickoff_pair(f"{argument}[{i}]", item) for i, item in enumerate(value)]
    else:
        raise ArgumentError(
            f"{argument}={show(value)} is of no known form. Use {{field_id: answer}}, [{{field_id: answer}}, ...] or "
            '[{"id": field_id, "value": answer}, ...].'
        )
    if not pairs:
        raise ArgumentError(f"{argument} is empty: nothing to set. To clear an answer, give its field an empty value.")
    folded: dict[str, Any] = {}
    for field, answer in pairs:
        key = check_id(f"key of {argument}", field)
        if key in folded and not _identical(folded[key], answer):
            raise ArgumentError(f"{argument} answers the field {key} twice: {show(folded[key])} and {show(answer)}.")
        folded[key] = answer
    return folded


def _identical(one: object, other: object) -> bool:
    """Whether two answers are one and the same JSON: ``1`` and ``True`` are equal in Python, and differ in a form."""
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
        f'{argument}={show(item)} is of no known form. Use {{field_id: answer}} or {{"id": field_id, "value": answer}}.'
    )
