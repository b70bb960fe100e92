"""Whether a run shows what was wanted, in whatever spelling Tallyfy returns it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_provider_tallyfy.api.runs.model import folder_ids, member_ids, tag_ids

#: The members of a run, which an update that leaves them out removes.
MEMBERS = ("users", "groups")


def differing(run: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The fields whose wanted value the run does not show."""
    return [name for name, value in wanted.items() if not shows(run, name, value)]


def shows(run: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether one field of the run has the wanted value; a field that the run does not show has not."""
    if name == "tags":
        return _same_set(tag_ids(run), value)
    if name == "folders":
        return _same_set(folder_ids(run), value)
    if name in MEMBERS:
        return _same_set(member_ids(run, name), value)
    if name == "prerun":
        answers = run.get("prerun") or {}  # PHP writes an empty object as []
        return (
            "prerun" in run
            and isinstance(answers, Mapping)
            and all(same(answers.get(key), answer) for key, answer in value.items())
        )
    return name in run and same(run[name], value)


def _same_set(have: Iterable[Any] | None, want: Iterable[Any]) -> bool:
    return have is not None and {str(x) for x in have} == {str(x) for x in want}


def same(have: Any, want: Any) -> bool:
    """Whether Tallyfy's value is the wanted one, spelt as it may be: ``7``/``"7"``, ``""``/``None``, ``1``/``true``."""
    if have == want or (have in (None, "", [], {}) and want in (None, "", [], {})):
        return True
    if isinstance(have, Mapping) and isinstance(want, Mapping):
        return all(key in have and same(have[key], value) for key, value in want.items())
    if isinstance(have, list) and isinstance(want, (list, tuple)):
        return len(have) == len(want) and all(map(same, have, want))
    if isinstance(want, bool) or isinstance(have, bool):
        return _TRUTH.get(str(have).lower()) is _TRUTH.get(str(want).lower()) is not None
    if isinstance(have, (int, float, str)) and isinstance(want, (int, float, str)):
        return str(have).strip() == str(want).strip() or (
            _instant(have) is not None and _instant(have) == _instant(want)
        )
    return False


_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def _instant(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) < 8 or not value[:4].isdigit():
        return None
    try:
        moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
