"""The fields of a run that an update can change: the check of each value, and how to tell whether a run has it.

Values are compared by the type of their field. The names ``20260301`` and ``2026-03-01`` differ, although both are the
same day; and a flag is the same whether Tallyfy writes ``true`` or ``1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.protocol import arguments as check
from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.api.runs.kickoff_answers import check_kickoff_answers
from airflow_provider_tallyfy.api.runs.model import folder_ids, member_ids, tag_ids
from airflow_provider_tallyfy.api.timestamps import instant

_EMPTY: tuple[Any, ...] = (None, "", [], {})
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Field:
    """One field of a run that an update can change.

    :param name: name of the argument, and of the field in the request's body.
    :param check: returns the value as it is sent, or raises ``ArgumentError``.
    :param shown: whether a run shows a value; called with the run and the value.
    :param what: description for docstrings.
    :param hidden: whether Tallyfy may leave the field out of a run, so that a write can't be verified.
    """

    name: str
    check: Callable[[str, object], Any]
    shown: Callable[[Mapping[str, Any], Any], bool]
    what: str
    hidden: bool = False


def same_text(have: object, want: object) -> bool:
    """Whether two texts are the same. Tallyfy may show an empty text as ``null``."""
    return have == want or (have in (None, "") and want in (None, ""))


def same_flag(have: object, want: object) -> bool:
    """Whether two flags are the same; ``true``, ``1`` and ``"1"`` are."""
    return _FLAGS.get(str(have).lower()) is _FLAGS.get(str(want).lower()) is not None


def same_id(have: object, want: object) -> bool:
    """Whether two ids are the same, as numbers or as strings. An empty value is not an id."""
    return have not in _EMPTY and not isinstance(have, bool) and str(have) == str(want)


def same_json(have: object, want: object) -> bool:
    """Whether two values of unknown type are the same. Tallyfy may return numbers as strings.

    An object may have further members. All empty values are the same: Tallyfy writes ``null``, ``""`` and ``[]``.
    """
    if have in _EMPTY and want in _EMPTY:
        return True
    if isinstance(have, Mapping) and isinstance(want, Mapping):
        return all(key in have and same_json(have[key], value) for key, value in want.items())
    if isinstance(have, list) and isinstance(want, (list, tuple)):
        return len(have) == len(want) and all(map(same_json, have, want))
    if isinstance(want, bool):
        return same_flag(have, want)
    if isinstance(have, bool) or not isinstance(have, (int, float, str)) or not isinstance(want, (int, float, str)):
        return False
    return have == want if isinstance(have, str) and isinstance(want, str) else str(have) == str(want)


def same_instant(have: object, want: object) -> bool:
    """Whether two timestamps are the same point in time. Texts that are no timestamps must be equal."""
    one, other = instant(have), instant(want)
    return have == want if one is None or other is None else one == other


def same_day(have: object, want: object) -> bool:
    """Whether two texts are the same day or point in time, in any ISO 8601 format that Python reads."""
    one, other = _moment(have), _moment(want)
    return one is not None and one == other


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) < 8 or not value[:4].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _member(name: str, same: Callable[[object, object], bool]) -> Callable[[Mapping[str, Any], Any], bool]:
    return lambda run, want: name in run and same(run[name], want)


def _same_set(read: Callable[[Mapping[str, Any]], list[Any] | None]) -> Callable[[Mapping[str, Any], Any], bool]:
    def shown(run: Mapping[str, Any], want: Iterable[Any]) -> bool:
        have = read(run)
        return have is not None and None not in have and {str(x) for x in have} == {str(x) for x in want}

    return shown


def _list_of(name: str) -> Callable[[Mapping[str, Any]], list[Any] | None]:
    return lambda run: run[name] if isinstance(run.get(name), list) else None


def answers_of(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the kick-off answers that a run shows. PHP writes an empty object as ``[]``."""
    answers = run.get("prerun")
    return answers if isinstance(answers, Mapping) else {}


def _answers_shown(run: Mapping[str, Any], want: Mapping[str, Any]) -> bool:
    return "prerun" in run and all(same_json(answers_of(run).get(key), answer) for key, answer in want.items())


#: The members of a run. An update that leaves them out removes them.
MEMBERS = ("users", "groups")
#: Changes to the list of tags. They are not sent themselves: the resulting list is.
TAG_CHANGES = ("add_tags", "remove_tags")
#: Fields of a run that are timestamps, for ``extra_fields``.
TIMESTAMPS = frozenset(
    {"created_at", "started_at", "last_updated", "archived_at", "completed_at", "due_date", "max_task_deadline"}
)


def _never(run: Mapping[str, Any], want: Any) -> bool:
    raise AssertionError("add_tags and remove_tags become tags before anything is compared")


_TABLE = (
    Field("name", check.check_name, _member("name", same_text), "new name, at most 550 characters"),
    Field("summary", check.check_text, _member("summary", same_text), "new summary"),
    Field(
        "owner_id",
        check.check_user_id,
        _member("owner_id", same_id),
        "user id of the new owner, a number or its digits",
    ),
    Field("tags", titles.check_titles, _same_set(tag_ids), "ids or titles of tags; replaces all tags"),
    Field("add_tags", titles.check_titles, _never, "ids or titles of tags to add"),
    Field("remove_tags", titles.check_titles, _never, "ids or titles of tags to take away"),
    Field("folders", check.check_ids, _same_set(folder_ids), "folder ids; replaces all folders"),
    Field("prerun", check_kickoff_answers, _answers_shown, "kick-off answers, {field id: answer}"),
    Field("starred", check.check_flag, _member("starred", same_flag), "starred or not"),
    Field("is_public", check.check_flag, _member("is_public", same_flag), "public or not"),
    Field(
        "users",
        check.check_user_ids,
        _same_set(lambda run: member_ids(run, "users")),
        "user ids; replaces all members",
    ),
    Field(
        "groups",
        check.check_ids,
        _same_set(lambda run: member_ids(run, "groups")),
        "group ids; replaces all groups",
    ),
    Field(
        "publicly_hidden_fields",
        check.check_texts,
        _same_set(_list_of("publicly_hidden_fields")),
        'what guests don\'t see, such as ["comments"]',
        hidden=True,
    ),
)
FIELDS: Mapping[str, Field] = {field.name: field for field in _TABLE}


def shows(run: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether a run shows that a field has a value."""
    if name in FIELDS:
        return FIELDS[name].shown(run, value)
    return name in run and (same_instant if name in TIMESTAMPS else same_json)(run[name], value)


def differing(run: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the fields whose wanted value the run does not show."""
    return [name for name, value in wanted.items() if not shows(run, name, value)]


def not_applied(run: Mapping[str, Any], sent: Mapping[str, Any]) -> list[str]:
    """Return the fields that the run does not show as they were sent. Tallyfy may have stripped spaces from texts."""
    return [name for name, value in sent.items() if not (shows(run, name, value) or shows(run, name, trimmed(value)))]


def trimmed(value: Any) -> Any:
    """Return the value with all its texts stripped of spaces at both ends."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping):
        return {key: trimmed(inner) for key, inner in value.items()}
    return [trimmed(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def current_values(run: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's current values of the changed fields, as an update would send them.

    A field that the run does not show is left out, because an unknown value can't be restored.
    """
    readers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "tags": tag_ids,
        "folders": folder_ids,
        "users": lambda run: member_ids(run, "users"),
        "groups": lambda run: member_ids(run, "groups"),
    }
    found: dict[str, Any] = {}
    for name, value in changed.items():
        if name in readers:
            if (ids := readers[name](run)) is not None:
                found[name] = ids
        elif name == "prerun":
            if "prerun" in run:
                found[name] = {key: answers_of(run).get(key) for key in value}
        elif name in run:
            # In an update, None means "not given".
            found[name] = (run[name] or "") if name == "summary" else run[name]
    return found


def describe_changes(before: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Return what an update changed, in one line: ``name 'Old' -> 'New', tags ['t1'] -> ['t1', 't2']``."""
    now = current_values(run, before)
    changes = []
    for name, old in before.items():
        if name == "prerun":
            new = now.get(name, {})
            changes += [f"answer {key} {show(old[key])} -> {show(new.get(key))}" for key in old]
        else:
            changes.append(f"{name} {show(old)} -> {show(now.get(name))}")
    return ", ".join(changes) or "Tallyfy does not show what it was before"
