"""Which values may be sent to Tallyfy. Each error names the argument, the value and the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

CONCURRENCY_LIMIT = 64  # requests in progress at a time, of one bulk change
NAME_LIMIT = 550  # characters; Tallyfy's documentation of launch and update
NUMBER_LIMIT = 10**300  # Python writes no number of more than 4,300 digits
DEPTH_LIMIT = 50
ID_LIMIT = 255  # characters; what Tallyfy's own SDK accepts
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ABSENT = frozenset({"none", "null", "nan", "undefined"})
_FROM_XCOM = (
    "If it comes from XCom or a Jinja template, the upstream task returned nothing or the template was not rendered."
)
NOT_RENDERED_AS_LIST = (
    "Jinja renders a list to text: pass it as task.output, or set render_template_as_native_obj=True on the DAG"
)
T = TypeVar("T")


class ArgumentError(ValueError):
    """An argument that must not be sent to Tallyfy."""


def show(value: object, limit: int = 80) -> str:
    """Return the value's ``repr``, cut to a limit, for error messages."""
    try:
        text = repr(value)
    except Exception:  # a number with too many digits, a list that contains itself, a broken __repr__
        text = f"<{type(value).__name__} that can't be shown>"
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean ...?)"`` with the nearest known names; empty if none is near."""
    from difflib import get_close_matches  # here, because DAG files load this module

    titles = {title.casefold(): title for title in known}
    near = get_close_matches(name.casefold(), titles, n=3, cutoff=0.5)
    return f" (did you mean {', '.join(repr(titles[n]) for n in near)}?)" if near else ""


def check_id(argument: str, value: object) -> str:
    """Return ``value`` if it is an id, which is always exactly one path segment.

    Tallyfy's ids are 32 hexadecimal digits; its SDK allows up to 255 letters, digits, ``_`` and ``-``.
    The rule matters: ``DELETE /runs/<id>/delete`` deletes a run permanently, so no id may contain a ``/``.

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
            f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string: Tallyfy's 32-character "
            f"id{hint}."
        )
    if len(value) > ID_LIMIT:
        raise ArgumentError(f"{argument}={show(value)} is longer than {ID_LIMIT} characters.")
    check_rendered(argument, value)
    if not _ID.fullmatch(value):
        raise ArgumentError(
            f"{argument}={show(value)} is not a Tallyfy id: an id consists of letters, digits, '_' and '-'. "
            "Pass the id alone, not a URL or a path."
        )
    return value


def check_rendered(argument: str, text: str) -> None:
    """Refuse a Jinja template that was not rendered.

    :raises ArgumentError: for a text that holds one.
    """
    if "{{" in text or "{%" in text:
        raise ArgumentError(f"{argument}={show(text)} is a template that was not rendered.")


def listed(argument: str, value: Iterable[Any]) -> list[Any]:
    """Return the items of an iterable.

    :raises ArgumentError: if the iterable itself raises an error.
    """
    try:
        return list(value)
    except Exception as fault:
        raise ArgumentError(f"{argument} can't be read to its end: it raised {type(fault).__name__}.") from fault


def check_list(argument: str, value: object, what: str, check: Callable[[str, object], T]) -> list[T]:
    """Return a list without duplicates, each item checked.

    :param what: what the value should be, for the error.
    """
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ArgumentError(f"{argument}={show(value)} is not {what}.")
    return list(dict.fromkeys(check(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value))))


def check_ids(argument: str, value: object) -> list[str]:
    """Return a list of ids, each checked."""
    return check_list(argument, value, f"a list of ids. {NOT_RENDERED_AS_LIST}", check_id)


def check_user_id(argument: str, value: object) -> int:
    """Return a Tallyfy user id. Users have integer ids; digits in a string are accepted."""
    if isinstance(value, bool) or not (
        isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.strip().isdigit())
    ):
        raise ArgumentError(
            f"{argument}={show(value)} is not a Tallyfy user id. Users have whole numbers as ids, such as 1001 "
            "(see GET /organizations/<id>/users); an e-mail address or a name is not accepted."
        )
    # 20 digits are already too many, and Python converts no more than 4300.
    number = value if isinstance(value, int) else int(value.strip().lstrip("0")[:20] or 0)
    if not 0 < number < 2**63:
        raise ArgumentError(f"{argument}={show(value)} is not a Tallyfy user id: it must be above 0 and below 2**63.")
    return number


def check_user_ids(argument: str, value: object) -> list[int]:
    """Return a list of user ids, each checked."""
    return check_list(argument, value, "a list of user ids, such as [1001, 1002]", check_user_id)


def check_name(argument: str, value: object) -> str:
    """Return a run's name: a string, not blank, at most 550 characters."""
    value = check_text(argument, value)
    if not value.strip() or value.strip() == "None":
        raise ArgumentError(f"{argument}={show(value)}: a run needs a name. {_FROM_XCOM}")
    if len(value) > NAME_LIMIT:
        raise ArgumentError(f"{argument} has {len(value)} characters; Tallyfy allows {NAME_LIMIT}: {show(value)}")
    return value


def check_text(argument: str, value: object) -> str:
    """Return a string, which may be empty. A lone surrogate (half a character) is an error: it can't be sent."""
    if not isinstance(value, str):
        raise ArgumentError(f"{argument}={show(value)} is of type {type(value).__name__}; it must be a string.")
    if not value.isascii() and _SURROGATE.search(value):
        raise ArgumentError(
            f"{argument}={show(value)} contains half a character (a lone surrogate): the text was cut in the "
            "middle of a character, or decoded with the wrong encoding."
        )
    return value


def check_flag(argument: str, value: object) -> bool:
    """Return a bool. The strings that Jinja renders (``"True"``, ``"false"``) are accepted."""
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


def check_kickoff_answers(argument: str, value: object) -> dict[str, Any]:
    """Return kick-off answers in the only form that Tallyfy accepts: an object keyed by field id.

    Tallyfy's older page says "array" (but production answers 422 to any list); its current pages say object.
    This function accepts the object itself, a list of one-key objects, and a list of
    ``{"id" or "field_id": <field>, "value": <answer>}``; the two list forms may be mixed.

    :raises ArgumentError: for any other form, for no answers, and for two different answers to one field.
    """
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        pairs = [_kickoff_pair(f"{argument}[{i}]", item) for i, item in enumerate(listed(argument, value))]
    else:
        raise ArgumentError(
            f"{argument}={show(value)} does not have a known form. Use {{field_id: answer}}, "
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
    """Whether two answers are the same JSON. In Python, ``1`` and ``True`` are equal; in a form they differ."""
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
        f"{argument}={show(item)} does not have a known form. Use {{field_id: answer}} or "
        '{"id": field_id, "value": answer}.'
    )
