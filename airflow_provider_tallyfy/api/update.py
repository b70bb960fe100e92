"""Update a run: read, merge, write, verify.

A bare PUT loses data: members and groups that the body does not name are removed (measured on Tallyfy's
production on 2026-07-21), unknown keys are dropped with a 200, and whether ``tags`` and ``folders`` are taken at
all depends on which of Tallyfy's pages is right. So the members are read and sent along, and what was asked for
is compared with what is there afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from airflow_provider_tallyfy.api import arguments as check
from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.arguments import ArgumentError, show
from airflow_provider_tallyfy.api.associations import RELATIONS, change
from airflow_provider_tallyfy.api.envelope import Unreadable, item
from airflow_provider_tallyfy.api.problems import Kind, about, reject
from airflow_provider_tallyfy.api.restore import Outcome, find, unknown_run
from airflow_provider_tallyfy.api.runs import Run, describe, folder_ids, member_ids, tag_ids
from airflow_provider_tallyfy.api.wire import Answer, Exchange, Flow

#: What can be updated, and the rule for each value.
FIELDS: dict[str, Callable[[str, object], Any]] = {
    "name": check.check_name,
    "summary": check.check_text,
    "owner_id": check.check_user_id,
    "tags": check.check_ids,
    "folders": check.check_ids,
    "prerun": check.check_kickoff_answers,
    "starred": check.check_flag,
    "is_public": check.check_flag,
    "users": check.check_user_ids,
    "groups": check.check_ids,
    "publicly_hidden_fields": check.check_texts,
}
_MEMBERS = ("users", "groups")


def checked_changes(changes: Mapping[str, Any], extra_fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check every value; ``None`` means "not given". Returns what is to be changed, in the form that is sent.

    :raises ArgumentError: for a bad value, and when there is nothing to change.
    """
    wanted = {name: FIELDS[name](name, value) for name, value in changes.items() if value is not None}
    if extra_fields is not None:
        if not isinstance(extra_fields, Mapping) or not all(isinstance(key, str) for key in extra_fields):
            raise ArgumentError(f"extra_fields={show(extra_fields)} is not an object of field names and values.")
        doubled = sorted(set(extra_fields) & set(FIELDS))
        if doubled:
            raise ArgumentError(f"extra_fields holds {', '.join(doubled)}: pass it as an argument of its own.")
        wanted.update(extra_fields)
    if not wanted:
        raise ArgumentError(f"nothing to update: give at least one of {', '.join(FIELDS)}, or extra_fields.")
    return wanted


def update(
    org: str, run_id: str, changes: Mapping[str, Any], extra_fields: Mapping[str, Any] | None = None
) -> Flow[Outcome]:
    """Change fields of a live run; everything else, members and groups included, stays as it is.

    A run that already has every wanted value is left alone. Somebody who changes the members between the read
    and the write (milliseconds) is overwritten: the API has no condition to prevent that.

    :param changes: the fields of :data:`FIELDS`; ``None`` = untouched, ``""`` and ``[]`` = cleared.
    :param extra_fields: further fields, sent as they are.
    :raises Rejected: for a run that is archived or unknown, and for a field that Tallyfy did not take.
    """
    wanted = checked_changes(changes, extra_fields)
    include = tuple(name for name in RELATIONS if name in wanted)
    found = yield from find(org, run_id, include=include)
    if found is None:
        raise unknown_run(org, run_id)
    if found.archived:
        raise _archived(org, run_id, found.run)
    before = found.run
    if not _differing(before, wanted):
        return Outcome(before, "already", "it had every wanted value before")
    kept = {name: _members(before, name, org, run_id) for name in _MEMBERS if name not in wanted}
    exchange = yield calls.update_run(org, run_id, {**wanted, **kept})
    run = _run_in(exchange)
    if not exchange.ok and not exchange.maybe_done:
        yield from _reject_update(exchange, org, run_id)
    target = {**wanted, **kept}
    checked = not exchange.ok or exchange.doubt
    if run is None or _differing(run, target):
        # The answer is lost, or does not show everything: read the run itself.
        run = yield from _read(org, run_id, include, exchange)
        checked = True
    ignored = [name for name in _differing(run, target) if name in RELATIONS]
    for name in ignored:
        yield from change(org, run_id, RELATIONS[name], run, wanted[name])
    if ignored:
        run = yield from _read(org, run_id, include, exchange)
    missing = _differing(run, target)
    if missing:
        if not exchange.ok:
            reject(exchange)
        raise _not_applied(exchange, run, target, missing)
    if exchange.ok:
        return Outcome(run, "changed", "read again to check it" if checked else "")
    return Outcome(run, "checked", "the answer was lost; read afterwards, the run has every wanted value")


def _differing(run: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The fields whose wanted value the run does not show."""
    return [name for name, value in wanted.items() if not _shows(run, name, value)]


def _shows(run: Mapping[str, Any], name: str, value: Any) -> bool:
    if name == "tags":
        return _same_set(tag_ids(run), value)
    if name == "folders":
        return _same_set(folder_ids(run), value)
    if name in _MEMBERS:
        return _same_set(member_ids(run, name), value)
    if name == "prerun":
        answers = run.get("prerun")
        return isinstance(answers, Mapping) and all(
            key in answers and same(answers[key], answer) for key, answer in value.items()
        )
    return name in run and same(run[name], value)


def _same_set(have: Iterable[Any] | None, want: Iterable[Any]) -> bool:
    return have is not None and {str(x) for x in have} == {str(x) for x in want}


def same(have: Any, want: Any) -> bool:
    """Whether Tallyfy's value is the wanted one, in any spelling: ``7``/``"7"``, ``""``/``None``, ``1``/``true``, dates."""
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


def _members(run: Run, name: str, org: str, run_id: str) -> list[Any]:
    ids = member_ids(run, name)
    if ids is None:
        raise about(
            calls.update_run(org, run_id, {}),
            Kind.NOT_APPLIED,
            f"The run {describe(run)} was not changed: Tallyfy does not show its {name}, and an update that leaves "
            f"them out would remove them. Pass {name}= yourself to set them.",
            errors={name: ["not shown by Tallyfy"]},
        )
    return ids


def _read(org: str, run_id: str, include: tuple[str, ...], behind: Exchange) -> Flow[Run]:
    found = yield from find(org, run_id, behind=behind, include=include)
    if found is None:
        raise about(
            behind.call, Kind.NOT_FOUND, f"The run {run_id} is gone: somebody deleted it meanwhile.", like=behind
        )
    if found.archived:
        raise _archived(org, run_id, found.run)
    return found.run


def _reject_update(exchange: Exchange, org: str, run_id: str) -> Flow[None]:
    """Tell the archived run, which Tallyfy refuses with 404 or 422, from other refusals."""
    if exchange.status in {404, 422}:
        found = yield from find(org, run_id)
        if found is not None and found.archived:
            raise _archived(org, run_id, found.run)
    reject(exchange)


def _run_in(exchange: Exchange) -> Run | None:
    if not (exchange.ok and isinstance(exchange.reply, Answer)):
        return None
    try:
        return item(exchange.reply)
    except Unreadable:
        return None


def _archived(org: str, run_id: str, run: Mapping[str, Any]) -> Exception:
    since = f" since {run['archived_at']}" if run.get("archived_at") else ""
    return about(
        calls.update_run(org, run_id, {}),
        Kind.ARCHIVED,
        f"The run {describe(run)} is archived{since}, and Tallyfy updates no archived runs. Activate it first "
        "(TallyfyActivateRunOperator, hook.activate_run), update it, and archive it again if you like.",
    )


def _not_applied(exchange: Exchange, run: Run, target: Mapping[str, Any], missing: list[str]) -> Exception:
    said: dict[str, list[str]] = {}
    for name in missing:
        if name == "prerun":
            answers = run.get("prerun")
            have = answers if isinstance(answers, Mapping) else {}
            wrong = {
                key: answer for key, answer in target[name].items() if not (key in have and same(have[key], answer))
            }
            said[name] = [
                f"the answer to {key} was not stored (is it the id of a kick-off field of this template? "
                "labels and aliases are dropped silently)"
                for key in wrong
            ]
        elif name in run:
            said[name] = [f"is {show(run[name])}, wanted was {show(target[name])}"]
        else:
            said[name] = ["is not shown in the run, so whether it was set can't be confirmed"]
    lines = [f"{exchange.call.label} answered {exchange.status}, but Tallyfy did not take over every field:"]
    lines += [f"  {name}: {'; '.join(texts)}" for name, texts in said.items()]
    return about(exchange.call, Kind.NOT_APPLIED, "\n".join(lines), like=exchange, errors=said)
