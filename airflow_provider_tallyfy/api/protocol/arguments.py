"""Which values may be sent at all. Each refusal names the argument, the value and the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

CONCURRENCY_LIMIT = 64  # requests in progress at a time, of one bulk change
NAME_LIMIT = 550  # characters; Tallyfy's documentation of launch and update
NUMBER_LIMIT = 10**300  # Python writes no number of more than 4,300 digits
DEPTH_LIMIT = 50
ID_LIMIT = 255  # characters; what Tallyfy's own SDK accepts
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ABSENT = frozenset({"none", "null", "nan", "undefined"})
_FROM_XCOM = "If it comes from XCom or a template, the upstream task returned nothing or it was not rendered."


class ArgumentError(ValueError):
    """An argument that must not reach Tallyfy."""


def show(value: object, limit: int = 80) -> str:
    """The value as a person would recognise it, bounded."""
    try:
        text = repr(value)
    except Exception:  # a number of too many digits, a list within itself, somebody's own __repr__
        text = f"<{type(value).__name__} that can't be shown>"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known names, as an insertion into a sentence; empty if none is near."""
    from difflib import get_close_matches  # here, because DAG files load this module

    titles = {title.casefold(): title for title in known}
    near = get_close_matches(name.casefold(), titles, n=3, cutoff=0.5)
    return f" (did you mean {', '.join(repr(titles[n]) for n in near)}?)" if near else ""


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
    if isinstance(value, Mapping) and "id" in value:
        raise ArgumentError(f"{argument}={show(value)} is a whole object. Pass its id: row['id'].")
    if not isinstance(value, str):
        hint = " (not the number that its web app shows)" if isinstance(value, int) else ""
        raise ArgumentError(
            f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string, the 32-character id of "
            f"Tallyfy{hint}."
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


def listed(argument: str, value: Iterable[Any]) -> list[Any]:
    """Return what an iterable yields; one that fails while it does is refused like any other bad value."""
    try:
        return list(value)
    except Exception as fault:
        raise ArgumentError(f"{argument} can't be read to its end: {type(fault).__name__} on the way.") from fault


def check_ids(argument: str, value: object) -> list[str]:
    """Return a list of ids, each checked; a single string is refused (it is a list that was rendered to text)."""
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ArgumentError(
            f"{argument}={show(value)} is not a list of ids. A list that went through a Jinja string becomes text: "
            "pass it as task.output, or set render_template_as_native_obj=True on the DAG."
        )
    return list(dict.fromkeys(check_id(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value))))


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
    return list(
        dict.fromkeys(check_user_id(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value)))
    )


def check_name(argument: str, value: object) -> str:
    """Return a run's name: text, not blank, at most 550 characters."""
    value = check_text(argument, value)
    if not value.strip() or value.strip() == "None":
        raise ArgumentError(f"{argument}={show(value)}: a run needs a name. {_FROM_XCOM}")
    if len(value) > NAME_LIMIT:
        raise ArgumentError(f"{argument} has {len(value)} characters; Tallyfy allows {NAME_LIMIT}: {show(value)}")
    return value


def check_text(argument: str, value: object) -> str:
    """Return text; ``""`` is text. Half a character (a lone surrogate) is none: it can't be sent."""
    if not isinstance(value, str):
        raise ArgumentError(f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string.")
    if not value.isascii() and _SURROGATE.search(value):
        raise ArgumentError(
            f"{argument}={show(value)} holds half a character (a lone surrogate): the text was cut in the "
            "middle of one, or decoded with the wrong encoding."
        )
    return value


def check_flag(argument: str, value: object) -> bool:
    """Return a bool; what Jinja makes of one (``"True"``, ``"false"``) is accepted."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise ArgumentError(f"{argument}={show(value)} is not true or false.")


def check_count(argument: str, value: object, most: int | None = None) -> int:
    """Return an integer from 1 to ``most``; ``None`` = no upper limit."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most is not None and value > most):
        limits = "above 0" if most is None else f"from 1 to {most}"
        raise ArgumentError(f"{argument}={show(value)} is not a whole number {limits}.")
    return value


def check_concurrency(argument: str, value: object) -> int:
    """Return a number of concurrent requests."""
    return check_count(argument, value, CONCURRENCY_LIMIT)


def check_confirm(argument: str, value: object) -> bool:
    """Return ``True``, the only value that confirms a permanent deletion."""
    if value is not True:
        raise ArgumentError(f"{argument}={show(value)}: deleting a run can't be undone. Pass {argument}=True.")
    return True


def check_texts(argument: str, value: object) -> list[str]:
    """Return a list of strings."""
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise ArgumentError(f"{argument}={show(value)} is not a list of strings.")
    return [check_text(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value))]


def check_choice(argument: str, value: object, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    allowed = list(choices)
    if value not in allowed:
        hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
        raise ArgumentError(f"{argument}={show(value)}: choose one of {', '.join(map(repr, allowed))}{hint}.")
    return str(value)


def check_json(argument: str, value: object, depth: int = 0) -> Any:
    """Return a value that can be sent as JSON: texts, finite numbers, flags, ``None``, lists and objects of such.

    :raises ArgumentError: for anything else, and for what is nested more than ``DEPTH_LIMIT`` deep (or within itself).
    """
    if depth > DEPTH_LIMIT:
        raise ArgumentError(f"{argument[:80]}... is nested more than {DEPTH_LIMIT} deep.")
    if isinstance(value, str):
        return check_text(argument, value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        if not (math.isfinite(value) if isinstance(value, float) else abs(value) < NUMBER_LIMIT):
            raise ArgumentError(f"{argument}={show(value)} is a number that JSON does not carry safely.")
        return value
    if isinstance(value, Mapping):
        return check_object(argument, value, depth)
    if isinstance(value, (list, tuple)):
        return [check_json(f"{argument}[{i}]", inner, depth + 1) for i, inner in enumerate(value)]
    raise ArgumentError(
        f"{argument}={show(value)} is of type {type(value).__name__}, which can't be sent as JSON. Use texts, numbers, "
        "flags, lists and objects; dates as ISO text."
    )


def check_object(argument: str, value: object, depth: int = 0) -> dict[str, Any]:
    """Return an object whose names are texts and whose values can be sent as JSON."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{argument}={show(value)} is not an object of field names and values.")
    for key in value:
        if not isinstance(key, str):
            raise ArgumentError(f"{argument} has the name {show(key)} of type {type(key).__name__}; names are strings.")
        check_text(f"name in {argument}", key)
    return {key: check_json(f"{argument}[{key!r}]", inner, depth + 1) for key, inner in value.items()}


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
        pairs = [_kickoff_pair(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value))]
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
        folded[key] = check_json(f"{argument}[{key!r}]", answer)
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
