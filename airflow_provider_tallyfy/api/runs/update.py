"""Update a run: read, merge, write, verify.

A bare PUT loses data: members and groups that the body does not name are removed (measured on Tallyfy's
production on 2026-07-21), unknown keys are dropped with a 200, and whether ``tags`` and ``folders`` are taken at
all depends on which of Tallyfy's pages is right. So the members are read and sent along, and what was asked for
is compared with what is there afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol import arguments as check
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, show
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, reject
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.compare import MEMBERS, differing, same
from airflow_provider_tallyfy.api.runs.labels import RELATIONS, change, shown_ids
from airflow_provider_tallyfy.api.runs.model import Run, describe, member_ids
from airflow_provider_tallyfy.api.runs.read import look_up, run_in, unknown_run

#: What can be updated, and the rule for each value.
FIELDS: dict[str, Callable[[str, object], Any]] = {
    "name": check.check_name,
    "summary": check.check_text,
    "owner_id": check.check_user_id,
    "tags": titles.check_titles,
    "add_tags": titles.check_titles,
    "remove_tags": titles.check_titles,
    "folders": check.check_ids,
    "prerun": check.check_kickoff_answers,
    "starred": check.check_flag,
    "is_public": check.check_flag,
    "users": check.check_user_ids,
    "groups": check.check_ids,
    "publicly_hidden_fields": check.check_texts,
}


#: Documented for updates, but not among the members of a run: where a run does not show it, Tallyfy's yes must do.
_NOT_SHOWN = frozenset({"publicly_hidden_fields"})

#: Changes of the list of tags; they are not sent as they are.
_TAG_CHANGES = ("add_tags", "remove_tags")


def checked_changes(changes: Mapping[str, Any], extra_fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check every value; ``None`` means "not given". Returns what is to be changed, in the form that is sent.

    :raises ArgumentError: for a bad value, and when there is nothing to change.
    """
    wanted = {name: FIELDS[name](name, value) for name, value in changes.items() if value is not None}
    for name in _TAG_CHANGES:
        if wanted.get(name) == []:
            del wanted[name]
    if "tags" in wanted and (clash := [name for name in _TAG_CHANGES if name in wanted]):
        raise ArgumentError(f"tags and {' and '.join(clash)} are both given: tags replaces all of a run's tags.")
    both = set(wanted.get("add_tags", ())) & set(wanted.get("remove_tags", ()))
    if both:
        raise ArgumentError(f"add_tags and remove_tags both hold {', '.join(map(repr, sorted(both)))}.")
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


def prepare(
    org: str,
    changes: Mapping[str, Any],
    extra_fields: Mapping[str, Any] | None = None,
    *,
    create_missing_tags: bool = False,
) -> Flow[dict[str, Any]]:
    """Check the changes, and turn titles of tags into ids. Good for any number of runs.

    :param create_missing_tags: make tags that don't exist, instead of failing.
    :raises ArgumentError: for a bad value, for nothing to change, and for titles of tags that nothing has.
    """
    wanted = checked_changes(changes, extra_fields)
    for name in ("tags", *_TAG_CHANGES):
        if name in wanted:
            create = create_missing_tags and name != "remove_tags"
            wanted[name] = yield from titles.tag_ids(org, name, wanted[name], create_missing=create)
    return wanted


def update(
    org: str,
    run_id: str,
    changes: Mapping[str, Any],
    extra_fields: Mapping[str, Any] | None = None,
    *,
    create_missing_tags: bool = False,
) -> Flow[Outcome]:
    """Change fields of a live run; everything else, members and groups included, stays as it is.

    :param changes: the fields of :data:`FIELDS`; ``None`` = unchanged, ``""`` and ``[]`` = cleared.
    :param extra_fields: further fields, sent as they are.
    :param create_missing_tags: make tags that don't exist, instead of failing.
    :raises Rejected: for a run that is archived or unknown, and for a field that Tallyfy did not take.
    """
    check.check_id("run_id", run_id)
    wanted = yield from prepare(org, changes, extra_fields, create_missing_tags=create_missing_tags)
    return (yield from apply(org, run_id, wanted))


def apply(
    org: str,
    run_id: str,
    prepared: Mapping[str, Any],
    *,
    seen: str | None = None,
    dry_run: bool = False,
    before_writing: Callable[[Mapping[str, Any]], None] | None = None,
) -> Flow[Outcome]:
    """Make a live run have what :func:`prepare` gave.

    A run that has every wanted value already is left alone. Somebody who changes the members between the read
    and the write (milliseconds) is overwritten: the API has no condition to prevent that.

    :param seen: ``last_updated`` when the caller saw the run; if it is another one now, the run is left alone.
    :param dry_run: read only; an outcome ``changed`` then says what would happen.
    :param before_writing: called with what the changed fields are, before anything is written.
    """
    on_tags = any(name in prepared for name in ("tags", *_TAG_CHANGES))
    include = tuple(name for name in RELATIONS if name in prepared or (name == "tags" and on_tags))
    found = yield from look_up(org, run_id, include=include)
    if found is None:
        raise unknown_run(org, run_id)
    if found.archived:
        raise _archived(org, run_id, found.run)
    before = found.run
    wanted = _with_tags(prepared, before)
    changed = differing(before, wanted)
    if not changed:
        return Outcome(before, "already", "it had every wanted value before")
    if seen is not None and not same(before.get("last_updated"), seen):
        return Outcome(before, "modified", f"it was modified at {before.get('last_updated')}, after it was found")
    was = _shown_before(before, {name: wanted[name] for name in changed})
    if dry_run:
        return Outcome(before, "changed", before=was)
    if before_writing is not None:
        before_writing(was)
    return replace((yield from _write(org, run_id, before, wanted, include)), before=was)


def _shown_before(run: Run, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What the run shows in the fields that are to be changed, as an update would send it to put it back."""
    was: dict[str, Any] = {}
    for name, value in wanted.items():
        if name in RELATIONS:
            was[name] = shown_ids(run, RELATIONS[name])
        elif name in MEMBERS:
            was[name] = member_ids(run, name)
        elif name == "prerun":
            answers = run.get("prerun")
            have = answers if isinstance(answers, Mapping) else {}
            was[name] = {key: have.get(key) for key in value}
        elif name == "summary":
            was[name] = run.get(name) or ""
        else:
            was[name] = run.get(name)
    return was


def _with_tags(prepared: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """What is wanted of this run: tags to add and to remove become the list of tags."""
    wanted = {name: value for name, value in prepared.items() if name not in _TAG_CHANGES}
    if len(wanted) < len(prepared):
        gone = set(prepared.get("remove_tags", ()))
        kept = [tag for tag in shown_ids(run, RELATIONS["tags"]) if tag not in gone]
        wanted["tags"] = list(dict.fromkeys([*kept, *prepared.get("add_tags", ())]))
    return wanted


def _write(org: str, run_id: str, before: Run, wanted: dict[str, Any], include: tuple[str, ...]) -> Flow[Outcome]:
    """Write what differs from the run as just read, and see that it is there."""
    kept = {name: _members(before, name, org, run_id) for name in MEMBERS if name not in wanted}
    target = {**wanted, **kept}
    exchange = yield run_endpoints.update_run(org, run_id, target)
    run = run_in(exchange)
    if not exchange.ok and not exchange.maybe_done:
        yield from _reject_update(exchange, org, run_id)
    note = "an earlier answer was lost; asked again, Tallyfy shows every wanted value" if exchange.doubt else ""
    if run is None or differing(run, target):
        # The answer is lost, or does not show everything: read the run itself.
        run = yield from _read(org, run_id, include, exchange)
        note = "read again to check it"
    ignored = [name for name in differing(run, target) if name in RELATIONS]
    for name in ignored:
        yield from change(org, run_id, RELATIONS[name], run, wanted[name])
    if ignored:
        run = yield from _read(org, run_id, include, exchange)
    missing = differing(run, target)
    if missing and not exchange.ok:
        reject(exchange)
    unseen = [name for name in missing if name in _NOT_SHOWN and name not in run]
    if missing != unseen:
        raise _not_applied(exchange, run, target, missing)
    if unseen:
        return Outcome(run, "changed", f"Tallyfy does not show {', '.join(unseen)}, so that could not be checked")
    if exchange.ok:
        return Outcome(run, "changed", note)
    return Outcome(run, "checked", "the answer was lost; read afterwards, the run has every wanted value")


def _members(run: Run, name: str, org: str, run_id: str) -> list[Any]:
    ids = member_ids(run, name)
    if ids is None:
        raise about(
            run_endpoints.update_run(org, run_id, {}),
            Kind.NOT_APPLIED,
            f"The run {describe(run)} was not changed: Tallyfy does not show its {name}, and an update that leaves "
            f"them out would remove them. Pass {name}= yourself to set them.",
            errors={name: ["not shown by Tallyfy"]},
        )
    return ids


def _read(org: str, run_id: str, include: tuple[str, ...], behind: Exchange) -> Flow[Run]:
    found = yield from look_up(org, run_id, behind=behind, include=include)
    if found is None:
        raise about(
            behind.request, Kind.NOT_FOUND, f"The run {run_id} is gone: somebody deleted it meanwhile.", like=behind
        )
    if found.archived:
        raise _archived(org, run_id, found.run)
    return found.run


def _reject_update(exchange: Exchange, org: str, run_id: str) -> Flow[None]:
    """Tell the archived run, which Tallyfy refuses with 404 or 422, from other refusals."""
    if exchange.status in {404, 422}:
        found = yield from look_up(org, run_id)
        if found is not None and found.archived:
            raise _archived(org, run_id, found.run)
    reject(exchange)


def _archived(org: str, run_id: str, run: Mapping[str, Any]) -> Exception:
    since = f" since {run['archived_at']}" if run.get("archived_at") else ""
    return about(
        run_endpoints.update_run(org, run_id, {}),
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
            wrong = [key for key, answer in target[name].items() if not same(have.get(key), answer)]
            said[name] = [
                f"the answer to {key} was not stored (is it the id of a kick-off field of this template? "
                "labels and aliases are dropped silently)"
                for key in wrong
            ]
        elif name in run:
            said[name] = [f"is {show(run[name])}, wanted was {show(target[name])}"]
        else:
            said[name] = ["is not shown in the run, so whether it was set can't be confirmed"]
    lines = [f"{exchange.request.label} answered {exchange.status}, but Tallyfy did not take over every field:"]
    lines += [f"  {name}: {'; '.join(texts)}" for name, texts in said.items()]
    return about(exchange.request, Kind.NOT_APPLIED, "\n".join(lines), like=exchange, errors=said)
