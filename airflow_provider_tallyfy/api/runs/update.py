"""Update a run: read, merge, write, verify.

A plain PUT loses data: Tallyfy removes members and groups that the body does not name (measured in production on
2026-07-21), drops unknown keys with a 200, and its pages contradict each other about ``tags`` and ``folders``. So the
members are read and sent along, and afterwards the run is compared with what was wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol import arguments as check
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, did_you_mean, show
from airflow_provider_tallyfy.api.protocol.json_values import check_object
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, related
from airflow_provider_tallyfy.api.protocol.problems import Kind, about, problem_of, reject
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.fields import (
    FIELDS,
    MEMBERS,
    TAG_CHANGES,
    answers_of,
    current_values,
    differing,
    not_applied,
    same_day,
    same_instant,
)
from airflow_provider_tallyfy.api.runs.labels import RELATIONS, change, shown_ids, unconfirmed
from airflow_provider_tallyfy.api.runs.model import Run, describe, member_ids
from airflow_provider_tallyfy.api.runs.read import describe_repeat, look_up, repeat_if_not_done, require


def checked_changes(changes: Mapping[str, Any], extra_fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check every value and return the changes as they are sent. ``None`` means "not given".

    :raises ArgumentError: for an invalid value, and if there is nothing to change.
    """
    unknown = [name for name in changes if name not in FIELDS]
    if unknown and not isinstance(unknown[0], str):
        raise ArgumentError(f"{show(unknown[0])} is not the name of a field.")
    if unknown:
        raise ArgumentError(
            f"{unknown[0]!r} is not a field that an update can change{did_you_mean(unknown[0], FIELDS)}. The fields "
            f"are {', '.join(FIELDS)}; pass further fields of the API in extra_fields."
        )
    wanted = {name: FIELDS[name].check(name, value) for name, value in changes.items() if value is not None}
    for name in TAG_CHANGES:
        if wanted.get(name) == []:
            del wanted[name]
    if "tags" in wanted and (clash := [name for name in TAG_CHANGES if name in wanted]):
        raise ArgumentError(f"tags and {' and '.join(clash)} are both given: tags replaces all of a run's tags.")
    both = set(wanted.get("add_tags", ())) & set(wanted.get("remove_tags", ()))
    if both:
        raise ArgumentError(f"add_tags and remove_tags both contain {', '.join(map(repr, sorted(both)))}.")
    if extra_fields is not None:
        wanted.update(check_extra_fields("extra_fields", extra_fields))
    if not wanted:
        raise ArgumentError(f"nothing to update: give at least one of {', '.join(FIELDS)}, or extra_fields.")
    return wanted


def check_extra_fields(argument: str, value: object) -> dict[str, Any]:
    """Return further fields of the API, by name. A field that has an argument of its own is an error."""
    fields = check_object(argument, value)
    doubled = sorted(set(fields) & set(FIELDS))
    if doubled:
        raise ArgumentError(f"{argument} contains {', '.join(doubled)}: use the argument of that name.")
    return fields


def prepare(
    org: str,
    changes: Mapping[str, Any],
    extra_fields: Mapping[str, Any] | None = None,
    *,
    create_missing_tags: bool = False,
) -> Flow[dict[str, Any]]:
    """Check the changes, and replace titles of tags by ids. The result can be applied to any number of runs.

    :param create_missing_tags: create tags that don't exist, instead of failing.
    :raises ArgumentError: for an invalid value, for nothing to change, and for unknown titles of tags.
    """
    wanted = checked_changes(changes, extra_fields)
    for name in ("tags", *TAG_CHANGES):
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
    """Change fields of a live run. Everything else stays as it is, including members and groups.

    :param changes: the fields of :data:`FIELDS`; ``None`` = unchanged, ``""`` and ``[]`` = cleared.
    :param extra_fields: further fields, sent unchanged.
    :param create_missing_tags: create tags that don't exist, instead of failing.
    :raises Rejected: for an archived or unknown run, and if Tallyfy did not apply a field.
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
    """Apply prepared changes to a live run.

    A run that already has every wanted value is not written to. A change of the members between the read and the
    write (milliseconds) is overwritten: the API has no conditional update.

    :param prepared: the result of :func:`prepare`.
    :param seen: ``last_updated`` when the caller read the run; if it has changed since, the run is skipped.
    :param dry_run: only read; the outcome ``changed`` then means "would be changed".
    :param before_writing: called with the old values of the changed fields before the write.
    """
    on_tags = any(name in prepared for name in ("tags", *TAG_CHANGES))
    include = tuple(name for name in RELATIONS if name in prepared or (name == "tags" and on_tags))
    found = yield from require(org, run_id, include=include)
    if found.archived:
        raise _archived(org, run_id, found.run)
    run = found.run
    wanted = _with_tags(prepared, run)
    changed = differing(run, wanted)
    if changed == ["prerun"]:
        changed = yield from _without_equal_dates(org, run_id, run, wanted, changed, differing)
    if not changed:
        return Outcome(run, "already", "it already had every wanted value")
    if seen is not None and not same_instant(run.get("last_updated"), seen):
        return Outcome(run, "modified", f"it was modified at {run.get('last_updated')}, after it was found")
    before = current_values(run, {name: wanted[name] for name in changed})
    if dry_run:
        return Outcome(run, "changed", before=before)
    if before_writing is not None:
        before_writing(before)
    return replace((yield from _write(org, run_id, run, wanted, include)), before=before)


def _without_equal_dates(
    org: str,
    run_id: str,
    run: Run,
    wanted: Mapping[str, Any],
    names: list[str],
    compare: Callable[[Run, Mapping[str, Any]], list[str]],
) -> Flow[list[str]]:
    """Return ``names``, but without ``prerun`` if its answers differ from the run's only in the notation of dates.

    One point in time in two notations is the same answer in a date field, but not in a text field. So the types of the
    kick-off fields are read, if there are such answers.

    :param names: the fields that differ, according to ``compare``.
    """
    have, answers = answers_of(run), wanted.get("prerun", {})
    dates = {key for key, answer in answers.items() if have.get(key) != answer and same_day(have.get(key), answer)}
    if "prerun" not in names or not dates:
        return names
    found = yield from require(org, run_id, include=("ko_form_fields",))
    rows = [row for row in related(found.run.get("ko_form_fields")) or [] if isinstance(row, Mapping)]
    dates &= {str(row.get("id")) for row in rows if row.get("field_type") == "date"}
    rest = {key: answer for key, answer in answers.items() if key not in dates}
    return names if compare(run, {"prerun": rest}) else [name for name in names if name != "prerun"]


def _with_tags(prepared: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return the changes for one run: ``add_tags`` and ``remove_tags`` become the resulting list of tags."""
    wanted = {name: value for name, value in prepared.items() if name not in TAG_CHANGES}
    if len(wanted) < len(prepared):
        gone = set(prepared.get("remove_tags", ()))
        kept = [tag for tag in shown_ids(run, RELATIONS["tags"]) if tag not in gone]
        wanted["tags"] = list(dict.fromkeys([*kept, *prepared.get("add_tags", ())]))
    return wanted


def _write(org: str, run_id: str, old: Run, wanted: dict[str, Any], include: tuple[str, ...]) -> Flow[Outcome]:
    """Write, and verify that the run has every wanted value."""
    kept = {name: _members(old, name, org, run_id) for name in MEMBERS if name not in wanted}
    target = {**wanted, **kept}

    def check(exchange: Exchange) -> Flow[Run | None]:
        run = yield from _read(org, run_id, include, exchange)
        return None if not_applied(run, target) else run

    result = yield from repeat_if_not_done(run_endpoints.update_run(org, run_id, target), check)
    if not isinstance(result, Exchange):
        return Outcome(result, "checked", "the answer did not match the request; a read shows every wanted value")
    exchange = result
    if not exchange.ok and not exchange.maybe_done:
        yield from _reject_update(exchange, org, run_id)
    run: Run | None = exchange.value if exchange.ok else None
    note = f"{describe_repeat(exchange)}; the answer shows every wanted value" if exchange.doubt else ""
    if run is None or not_applied(run, target):
        # The answer was lost, or does not show every value: read the run.
        run = yield from _read(org, run_id, include, exchange)
        note = "a read shows every wanted value"
    unclear: Exchange | None = None
    ignored = [name for name in not_applied(run, target) if name in RELATIONS]
    for name in ignored:
        last = yield from change(org, run_id, RELATIONS[name], run, wanted[name])
        unclear = unclear if last.ok else last
    if ignored:
        run = yield from _read(org, run_id, include, exchange)
    # Tallyfy may return a date in another notation.
    missing = yield from _without_equal_dates(org, run_id, run, target, not_applied(run, target), not_applied)
    if missing and not exchange.ok:
        reject(exchange)
    if unclear is not None and set(missing) & set(ignored):
        raise unconfirmed(unclear, f"the run does not have the wanted {' and '.join(missing)}")
    unseen = [name for name in missing if name in FIELDS and FIELDS[name].hidden and name not in run]
    if missing != unseen:
        raise _not_applied(exchange, run, target, missing)
    if unseen:
        return Outcome(run, "changed", f"Tallyfy does not show {', '.join(unseen)}, so this could not be verified")
    if exchange.ok:
        return Outcome(run, "changed", note)
    return Outcome(run, "checked", "the answer was lost; a read shows every wanted value")


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
            behind.request, Kind.NOT_FOUND, f"The run {run_id} no longer exists: somebody deleted it.", like=behind
        )
    if found.archived:
        raise _archived(org, run_id, found.run)
    return found.run


def _reject_update(exchange: Exchange, org: str, run_id: str) -> Flow[None]:
    """Raise the error for a refused update. Tallyfy refuses to update an archived run with 404 or 422."""
    if exchange.status in {404, 422}:
        found = yield from look_up(org, run_id)
        if found is not None and found.archived:
            raise _archived(org, run_id, found.run, exchange)
    reject(exchange)


def _archived(org: str, run_id: str, run: Mapping[str, Any], refusal: Exchange | None = None) -> Exception:
    since = f" since {run['archived_at']}" if run.get("archived_at") else ""
    return about(
        run_endpoints.update_run(org, run_id, {}),
        Kind.ARCHIVED,
        f"The run {describe(run)} is archived{since}, and Tallyfy does not update archived runs. Activate it first "
        "(TallyfyActivateRunOperator, hook.activate_run), update it, and archive it again if you like."
        + (f" [{problem_of(refusal).message}]" if refusal is not None else ""),
        like=refusal,
    )


def _not_applied(exchange: Exchange, run: Run, target: Mapping[str, Any], missing: list[str]) -> Exception:
    errors: dict[str, list[str]] = {}
    for name in missing:
        if name == "prerun":
            wrong = [key for key, answer in target[name].items() if not_applied(run, {name: {key: answer}})]
            errors[name] = [
                f"the answer to {key} was not stored (is it the id of a kick-off field of this template? "
                "Tallyfy silently drops labels and aliases)"
                for key in wrong
            ]
        elif name in run:
            errors[name] = [f"is {show(run[name])}, but should be {show(target[name])}"]
        else:
            errors[name] = ["is not shown in the run, so it is unknown whether it was set"]
    lines = [f"{exchange.request.label} answered {exchange.status}, but Tallyfy did not apply every field:"]
    lines += [f"  {name}: {'; '.join(texts)}" for name, texts in errors.items()]
    return about(exchange.request, Kind.NOT_APPLIED, "\n".join(lines), like=exchange, errors=errors)
