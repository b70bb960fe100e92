"""Launch a run once: search for a run of an earlier try, check the arguments, POST, and verify the new run.

The POST is never repeated on a guess. If its answer is lost or unreadable, the run is searched for by its key (see
:mod:`~airflow_provider_tallyfy.api.runs.launch_key`). If it is not found, not even after the lag of Tallyfy's read
replicas, the error says what to look for in Tallyfy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.members import Members
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, show
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Pause
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, problem_of
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.fields import answers_of, same_id, same_json
from airflow_provider_tallyfy.api.runs.launch_arguments import Launch, Prepared, encode_answers, prepare
from airflow_provider_tallyfy.api.runs.launch_key import LAG, LaunchKey, find_launched
from airflow_provider_tallyfy.api.runs.launch_tasks import (
    plan_tasks,
    task_differences,
)
from airflow_provider_tallyfy.api.runs.model import Run, archived_state, describe, folder_ids, tag_ids
from airflow_provider_tallyfy.api.runs.read import GONE, describe_reply
from airflow_provider_tallyfy.api.templates import Template, find_template
from airflow_provider_tallyfy.api.timestamps import instant

#: Pauses before the reads of a launched run, in seconds. Their sum is ``LAG``.
READ_BACK = (0.0, 1.0, 2.0, 5.0, 12.0)
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def launch(
    org: str,
    wanted: Launch,
    key: LaunchKey,
    *,
    on_launched: Callable[[Run], object] = lambda run: None,
) -> Flow[Outcome]:
    """Launch a run, unless a run with the key exists.

    :param wanted: the arguments of the launch, checked.
    :param key: the key of the launch.
    :param on_launched: called with the run as soon as its id is known, before it is verified.
    :return: the outcome: ``changed`` = launched; ``already`` = launched before; ``checked`` = launched, but the answer
        was lost, and a search found the run.
    :raises ArgumentError: for fields, steps and people that do not exist; nothing was launched.
    :raises Rejected: if Tallyfy refuses the launch, if it is unknown whether the run was launched, and if the run is
        not as requested.
    """
    template = yield from find_template(org, "template", wanted.template)
    found = yield from _find_earlier(org, wanted, key, template)
    if found is not None:
        on_launched(found)
        return Outcome(found, "already", (yield from _notes_on_adopted(org, found, wanted, template)))
    ready = yield from prepare(org, wanted, key, template)
    exchange = yield run_endpoints.launch_run(org, ready.body)
    answered = _run_in_answer(exchange, key)
    shown: Run | None = None
    if answered is not None:
        on_launched(answered)
        shown = yield from _read_back(org, answered, ready, key)
        if shown:
            return Outcome(answered, "changed", "; ".join(_verify(exchange, answered, shown, ready)))
    elif not exchange.ok and not exchange.maybe_done:
        raise _refused(exchange, ready)
    # A run that Tallyfy does not show yet still counts as launched. A run without the key does not.
    run = yield from _find_after_unclear_answer(org, exchange, ready, key, answered if shown is not None else None)
    if answered is not None and run["id"] == answered["id"]:
        return Outcome(answered, "changed", "; ".join(_verify(exchange, answered, {}, ready)))
    on_launched(run)
    shown = yield from _read_back(org, run, ready, key)
    notes = _verify(exchange, run, shown or {}, ready)
    return Outcome(run, "checked", "; ".join([f"{describe_reply(exchange)}; the run was found by its key", *notes]))


# -- a run of an earlier try ------------------------------------------------------------------------------------------


def _find_earlier(org: str, wanted: Launch, key: LaunchKey, template: Template) -> Flow[Run | None]:
    """Return the run with the key, if there is one, and if an earlier try can have launched it.

    A process that was killed may have launched it seconds ago, and Tallyfy may not show it yet. So there is a second
    search after a pause.
    """
    if not key.look_first:
        return None
    name = wanted.name or template.title
    found = yield from find_launched(org, key, name)
    if found is None and key.wait > 0:
        pause = Pause(
            key.wait,
            f"No run has the key {key.code} of this launch. An earlier try may have launched one that Tallyfy does not "
            f"show yet; searching again in {key.wait:.0f} s",
        )
        found = yield from find_launched(org, key, name, pause=pause)
    return None if found is None else _check_template(org, found, key, template)


def _check_template(org: str, run: Run, key: LaunchKey, template: Template) -> Run:
    """Return the run if its template is the given one.

    :raises Rejected: if it is a run of another template.
    """
    actual = run.get("checklist_id")
    if actual is None or same_id(actual, template.id):
        return run
    raise about(
        run_endpoints.launch_run(org, {}),
        Kind.CONFLICT,
        f"The run {describe(run)} already has the key {key.code} of this launch, but its template is "
        f"{run.get('checklist_title') or actual!r}, not {template.title!r}. Nothing was launched. Use another "
        "launch_key.",
    )


def _notes_on_adopted(org: str, run: Run, wanted: Launch, template: Template) -> Flow[str]:
    """Return how a run that was launched before differs from this launch.

    People may have changed it since. Or a mapped task has other arguments at this index, because its list changed:
    then the name and the answers differ.
    """
    texts = []
    if archived_state(run):
        texts.append("it is archived")
    if wanted.name is not None and run.get("name") != wanted.name:
        texts.append(f"its name is not {show(wanted.name)}")
    try:
        members = Members(org)
        sent = yield from encode_answers(template, wanted.answers, members, complete=False)
        deadlines = wanted.deadlines_since(instant(run.get("created_at")))
        tasks = yield from plan_tasks(members, template, wanted.assignees, deadlines)
    except ArgumentError as mistake:
        return "; ".join([*texts, f"this launch would now be refused ({str(mistake).splitlines()[0]})"])
    labels, stored = {field.id: field.name for field in template.kickoff}, answers_of(run)
    other = [labels.get(field, field) for field, answer in sent.items() if not same_json(stored.get(field), answer)]
    if stored and other:
        texts.append(f"its answers to {', '.join(map(repr, other))} differ from those of this launch")
    if tasks:
        exchange = yield run_endpoints.get_run(org, run["id"], ("tasks",))
        if exchange.ok and not archived_state(run) and (differing := task_differences(exchange.value, tasks)):
            texts += [f"step {title!r}: {', '.join(lines)}" for title, lines in differing.items()]
    return "; ".join(texts)


# -- the answer, and the run that was launched ------------------------------------------------------------------------


def _run_in_answer(exchange: Exchange, key: LaunchKey) -> Run | None:
    """Return the run in the answer, if it has the key; ``None`` = the answer is an error, lost or unreadable."""
    run: Run | None = exchange.value if exchange.ok else None
    if run is None or not isinstance(run["id"], str) or not titles.looks_like_id(run["id"]):
        return None
    return run if key.is_in(run.get("summary")) else None


def _read_back(org: str, run: Run, ready: Prepared, key: LaunchKey) -> Flow[Run | None]:
    """Read a run that was launched, until it is as requested or the last pause is over.

    :return: the run with its relations; empty if Tallyfy does not show it; ``None`` if it does not have the key.
    """
    include = tuple(name for name in ("tasks", "tags", "folders") if ready.body.get(name))
    shown: Run = {}
    for seconds in READ_BACK:
        request = run_endpoints.get_run(org, run["id"], include)
        if seconds:
            reason = f"The run {describe(run)} is not shown as requested yet; reading it again in {seconds:.0f} s"
            request = replace(request, pause=Pause(seconds, reason))
        exchange = yield request
        if exchange.ok:
            shown = exchange.value
            if not key.is_in(shown.get("summary", key.marker)):
                return None
            if not _differences(shown, ready):
                return shown
        elif exchange.status not in GONE:
            if include:
                raise _not_verified(org, run, ready, exchange)
            return shown
    return shown


def _find_after_unclear_answer(
    org: str, exchange: Exchange, ready: Prepared, key: LaunchKey, answered: Run | None
) -> Flow[Run]:
    """Search for the run of a POST whose answer was unclear: at once, and after the lag.

    :param answered: the run in the answer, if there is one, which Tallyfy does not show yet.
    :raises Rejected: if the run is not found, so that it is unknown whether it was launched.
    """
    why = f"no run has this key in its summary, not even after {LAG:.0f} s"
    what = f"{exchange.request.label}: {describe_reply(exchange)}"
    if answered is not None:
        what = f"Tallyfy does not show the run {describe(answered)}"
    try:
        for seconds in (0.0, LAG):
            reason = f"{what}, and no run has the key {key.code} yet; searching again in {LAG:.0f} s"
            pause = Pause(seconds, reason) if seconds else None
            found = yield from find_launched(org, key, pause=pause)
            if found is not None:
                return _check_template(org, found, key, ready.template)
    except Rejected as failure:
        if failure.problem.kind is Kind.CONFLICT:
            raise
        why = f"searching for it failed ({str(failure).splitlines()[0]})"
    if answered is not None:
        if ready.tasks:
            raise _not_verified(org, answered, ready, exchange)
        return answered
    after = (
        "A retry searches for this key again before it launches anything."
        if key.repeatable
        else "Launch again only if there is none, because a second request launches a second run."
    )
    raise about(
        exchange.request,
        Kind.INDETERMINATE if key.repeatable else Kind.UNREPEATABLE,
        f"{exchange.request.label} may or may not have launched a run of the template {ready.template.title!r} "
        f"({ready.template.id}): {describe_reply(exchange)}. The run would have the key {key.code}: {why}. Search "
        f"Tallyfy, including its archived runs, for a run named {show(ready.body['name'])} whose summary ends with "
        f"'(key {key.code})'. {after}",
        like=exchange,
    )


def _not_verified(org: str, run: Run, ready: Prepared, exchange: Exchange) -> Rejected:
    """Return the error for a run that was launched, but can't be read. A retry finds the run by its key."""
    why = "Tallyfy does not show it yet" if exchange.ok else problem_of(exchange).message
    return about(
        run_endpoints.get_run(org, run["id"]),
        Kind.SERVER,
        f"The run {describe(run)} was launched, but it is unknown whether it is as requested: {why}",
        like=exchange,
    )


def _differences(run: Mapping[str, Any], ready: Prepared) -> dict[str, list[str]]:
    """Return how a run that was launched differs from the request, by argument or step."""
    found: dict[str, list[str]] = {}
    if "owner_id" in ready.body and "owner_id" in run and not same_id(run["owner_id"], ready.body["owner_id"]):
        found["owner"] = [f"is {show(run['owner_id'])}, but should be {show(ready.body['owner_id'])}"]
    if "prerun" in run:
        stored, sent = answers_of(run), ready.body.get("prerun", {})
        for field in ready.template.kickoff:
            if sent.get(field.id) not in _EMPTY and stored.get(field.id) in _EMPTY:
                found[f"answer to {field.name!r}"] = ["was not stored"]
    for name, read in (("tags", tag_ids), ("folders", folder_ids)):
        missing = set(ready.body.get(name, ())) - set(read(run) or ())
        if missing and name in run:
            found[name] = [f"lack {', '.join(sorted(missing))}"]
    if ready.tasks:
        differing = task_differences(run, ready.tasks)
        found.update({f"step {title!r}": texts for title, texts in differing.items()})
    return found


def _verify(exchange: Exchange, run: Run, shown: Run, ready: Prepared) -> list[str]:
    """Compare a run that was launched with the request, and return notes for the log.

    :param run: the run; ``shown`` is the same run as it was read last, or empty.
    :raises Rejected: if it is not as requested.
    """
    notes = [f"guests: {', '.join(ready.guests)}"] if ready.guests else []
    if not shown:
        return [*notes, "Tallyfy does not show it yet, so it was not verified"]
    differences = _differences(shown, ready)
    if not differences:
        return notes
    lines = [f"  {name}: {'; '.join(texts)}" for name, texts in differences.items()]
    if ready.template.raw.get("automated_actions") and all(name.startswith("step ") for name in differences):
        return [*notes, "rules of the template may have changed its tasks: " + " ".join(map(str.strip, lines))]
    raise about(
        exchange.request,
        Kind.NOT_APPLIED,
        "\n".join([f"The run {describe(run)} was launched, but is not as requested:", *lines]),
        like=exchange,
        errors=differences,
    )


def _refused(exchange: Exchange, ready: Prepared) -> Rejected:
    """Return Tallyfy's error, with the labels of fields and the titles of steps instead of their ids."""
    problem = problem_of(exchange)
    template = f"the template {ready.template.title!r} ({ready.template.id})"
    explanation = {
        403: f"Tallyfy does not let the token's user launch {template}. The user needs the permission process_launch, "
        "which light members do not have, and a draft can't be launched.",
        404: f"Tallyfy no longer has {template}: it was archived or deleted a moment ago.",
        409: "Tallyfy has no free seat for a person that the launch adds (assignees, owner or an answer).",
    }.get(exchange.status or 0, "")
    names = {field.id: f"{field.name!r}" for field in ready.template.kickoff}
    names.update({step.id: f"step {step.title!r}" for step in ready.template.steps})

    def with_names(text: str) -> str:
        for identity, name in names.items():
            text = text.replace(identity, name)
        return text

    return Rejected(
        replace(
            problem,
            message=with_names("\n".join(filter(None, (explanation, problem.message)))),
            errors={with_names(name): [with_names(text) for text in texts] for name, texts in problem.errors.items()},
        )
    )
