"""Which values may be sent to Tallyfy. Each error names the argument, the value and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

CONCURRENCY_LIMIT = 64  # requests in progress at a time, of one bulk change
NAME_LIMIT = 550  # characters; Tallyfy's documentation of launch and update
ID_LIMIT = 255  # characters; what Tallyfy's own SDK accepts
# Patterns, not compiled ones: every DAG file that is parsed loads this module.
_ID = r"[A-Za-z0-9_-]+"
_SURROGATE = "[\ud800-\udfff]"
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
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ArgumentError(f"{argument}={show(value)} is empty. {_FROM_XCOM}")
    if isinstance(value, str) and is_absent(value):
        raise ArgumentError(f"{argument}={show(value)} is not an id. {_FROM_XCOM}")
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
    if not re.fullmatch(_ID, value, re.ASCII):
        raise ArgumentError(
            f"{argument}={show(value)} is not a Tallyfy id: an id consists of letters, digits, '_' and '-'. "
            "Pass the id alone, not a URL or a path."
        )
    return value


def is_absent(text: str) -> bool:
    """Whether a text is blank, or what a template renders for a value that does not exist: ``None``, ``nan`` ..."""
    return not text.strip() or text.strip().lower() in _ABSENT


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
    if not value.isascii() and re.search(_SURROGATE, value):
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
