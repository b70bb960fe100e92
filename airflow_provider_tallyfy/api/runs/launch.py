"""Launch a run once: check, look up, look for what an earlier try launched, POST, and see that it is as wanted.

Nothing is sent twice on a guess. After an answer that was lost, or that is none, the run is looked for by its marker
(:mod:`.launch_key`); where it is not found, not even after the lag of Tallyfy's read replicas, the doubt is an error
that says what to look for.
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
from airflow_provider_tallyfy.api.runs.launch_arguments import Launch, Prepared, encoded, prepare
from airflow_provider_tallyfy.api.runs.launch_key import LAG, LaunchKey, find_launched
from airflow_provider_tallyfy.api.runs.launch_tasks import (
    plan_tasks,
    task_differences,
)
from airflow_provider_tallyfy.api.runs.model import Run, archived_state, describe, folder_ids, tag_ids
from airflow_provider_tallyfy.api.runs.read import GONE, describe_reply
from airflow_provider_tallyfy.api.templates import Template, find_template

#: How the seconds of ``LAG`` are spread where a run that was launched is read back.
READ_BACK = (0.0, 1.0, 2.0, 5.0, 12.0)
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def launch(
    org: str,
    wanted: Launch,
    key: LaunchKey,
    *,
    on_launched: Callable[[Run], object] = lambda run: None,
) -> Flow[Outcome]:
    """Launch a run, unless the key's run is there already.

    :param on_launched: called as soon as the id of the run is known, before anything is checked.
    :return: ``changed`` = launched, ``already`` = launched before, ``checked`` = launched, its answer lost.
    :raises ArgumentError: for what the template does not have; nothing was launched.
    :raises Rejected: where Tallyfy refuses, where a doubt can't be settled, and where the run is not as wanted.
    """
    template = yield from find_template(org, "template", wanted.template)
    found = yield from _found_before(org, wanted, key, template)
    if found is not None:
        on_launched(found)
        return Outcome(found, "already", (yield from _adopted(org, found, wanted, template)))
    ready = yield from prepare(org, wanted, key, template)
    exchange = yield run_endpoints.launch_run(org, ready.body)
    answered = _launched_by(exchange, key)
    shown: Run | None = None
    if answered is not None:
        on_launched(answered)
        shown = yield from _read_back(org, answered, ready, key)
        if shown:
            return Outcome(answered, "changed", "; ".join(_judge(exchange, answered, shown, ready)))
    elif not exchange.ok and not exchange.maybe_done:
        raise _refused(exchange, ready)
    # Only a run that is just not shown yet is still taken for what the answer says that it is.
    run = yield from _settle(org, exchange, ready, key, answered if shown is not None else None)
    if answered is not None and run["id"] == answered["id"]:
        return Outcome(answered, "changed", "; ".join(_judge(exchange, answered, {}, ready)))
    on_launched(run)
    shown = yield from _read_back(org, run, ready, key)
    notes = _judge(exchange, run, shown or {}, ready)
    return Outcome(run, "checked", "; ".join([f"{describe_reply(exchange)}, but the list shows the run", *notes]))


# -- launched before --------------------------------------------------------------------------------------------------


def _found_before(org: str, wanted: Launch, key: LaunchKey, template: Template) -> Flow[Run | None]:
    """The run of the key, where an earlier try may have launched it.

    What was launched seconds ago, by a process that was killed, may not be shown yet: so it is looked for again.
    """
    if not key.look_first:
        return None
    name = wanted.name or template.title
    found = yield from find_launched(org, key, name)
    if found is None and key.wait > 0:
        pause = Pause(
            key.wait,
            f"No run has the key {key.code} of this launch. An earlier try may have launched one that is not shown "
            f"yet: looking again in {key.wait:.0f} s",
        )
        found = yield from find_launched(org, key, name, pause=pause)
    return None if found is None else _of_template(org, found, key, template)


def _of_template(org: str, run: Run, key: LaunchKey, template: Template) -> Run:
    """The run, if it is one of the template.

    :raises Rejected: if it is one of another template.
    """
    of = run.get("checklist_id")
    if of is None or same_id(of, template.id):
        return run
    raise about(
        run_endpoints.launch_run(org, {}),
        Kind.CONFLICT,
        f"The launch_key of this launch (key {key.code}) belongs to the run {describe(run)} of another template, "
        f"{run.get('checklist_title') or of!r} and not {template.title!r}. Nothing was launched. Use one key for one "
        "launch.",
    )


def _adopted(org: str, run: Run, wanted: Launch, template: Template) -> Flow[str]:
    """What is to be said of a run that was launched before: people may have changed it since.

    A mapped task whose list has changed launches something else under the same index: that shows in name and answers.
    """
    texts = []
    if archived_state(run):
        texts.append("it is archived")
    if wanted.name is not None and run.get("name") != wanted.name:
        texts.append(f"its name is not the {show(wanted.name)} of this launch")
    try:
        members = Members(org)
        asked = yield from encoded(template, wanted.answers, members, complete=False)
        tasks = yield from plan_tasks(members, template, wanted.assignees, wanted.deadlines)
    except ArgumentError as mistake:
        return "; ".join([*texts, f"this launch would be refused now ({str(mistake).splitlines()[0]})"])
    labels, have = {field.id: field.name for field in template.kickoff}, answers_of(run)
    other = [labels.get(field, field) for field, answer in asked.items() if not same_json(have.get(field), answer)]
    if have and other:
        texts.append(f"its answers to {', '.join(map(repr, other))} are not those of this launch")
    if tasks:
        exchange = yield run_endpoints.get_run(org, run["id"], ("tasks",))
        if exchange.ok and not archived_state(run) and (differing := task_differences(exchange.value, tasks)):
            texts += [f"step {title!r}: {', '.join(said)}" for title, said in differing.items()]
    return "; ".join(texts)


# -- the answer, and whether the run is as wanted ---------------------------------------------------------------------


def _launched_by(exchange: Exchange, key: LaunchKey) -> Run | None:
    """The run in the answer, where it says that it is the one that was launched; ``None`` = a doubt, or a refusal."""
    run: Run | None = exchange.value if exchange.ok else None
    if run is None or not isinstance(run["id"], str) or not titles.looks_like_id(run["id"]):
        return None
    return run if key.is_in(run.get("summary")) else None


def _read_back(org: str, run: Run, ready: Prepared, key: LaunchKey) -> Flow[Run | None]:
    """Read a run that was launched, until it is as wanted or the lag is over.

    :return: the run with its relations; empty if it is not shown; ``None`` if it is not the one that was launched.
    """
    include = tuple(name for name in ("tasks", "tags", "folders") if ready.body.get(name))
    shown: Run = {}
    for seconds in READ_BACK:
        request = run_endpoints.get_run(org, run["id"], include)
        if seconds:
            reason = f"The run {describe(run)} is not shown as it was launched yet; reading it again in {seconds:.0f} s"
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
                raise _unchecked(org, run, ready, exchange)
            return shown
    return shown


def _settle(org: str, exchange: Exchange, ready: Prepared, key: LaunchKey, answered: Run | None) -> Flow[Run]:
    """Look for the run of a POST whose answer was lost, at once and after the lag.

    :param answered: the run in the answer, where there is one that is only not shown yet.
    :raises Rejected: if it is not found: whether it was launched is not known.
    """
    why = f"no run has it in its summary, not even after {LAG:.0f} s"
    what = f"{exchange.request.label}: {describe_reply(exchange)}"
    if answered is not None:
        what = f"{describe(answered)} is not shown"
    try:
        for seconds in (0.0, LAG):
            reason = f"{what}, and no run has the key {key.code} yet; looking again in {LAG:.0f} s"
            pause = Pause(seconds, reason) if seconds else None
            found = yield from find_launched(org, key, pause=pause)
            if found is not None:
                return _of_template(org, found, key, ready.template)
    except Rejected as failure:
        if failure.problem.kind is Kind.CONFLICT:
            raise
        why = f"looking for it failed ({str(failure).splitlines()[0]})"
    if answered is not None:
        if ready.tasks:
            raise _unchecked(org, answered, ready, exchange)
        return answered
    after = (
        "The next try looks for this key again before it launches anything."
        if key.lasting
        else "Launch again only if there is none: a second request launches a second run."
    )
    raise about(
        exchange.request,
        Kind.INDETERMINATE if key.lasting else Kind.UNREPEATABLE,
        f"{exchange.request.label} may or may not have launched a run of the template {ready.template.title!r} "
        f"({ready.template.id}): {describe_reply(exchange)}. The run would have the key {key.code}: {why}. Look in "
        f"Tallyfy, also among archived runs, for one named {show(ready.body['name'])} whose summary ends in "
        f"'(key {key.code})'. {after}",
        like=exchange,
    )


def _unchecked(org: str, run: Run, ready: Prepared, exchange: Exchange) -> Rejected:
    """The error for a run that was launched, and whose tasks can't be read. A retry finds the run by its key."""
    why = "Tallyfy does not show it yet" if exchange.ok else problem_of(exchange).message
    return about(
        run_endpoints.get_run(org, run["id"]),
        Kind.SERVER,
        f"The run {describe(run)} was launched, but whether it is as wanted can't be read: {why}",
        like=exchange,
    )


def _differences(run: Mapping[str, Any], ready: Prepared) -> dict[str, list[str]]:
    """By field, label or step: in what a run that was launched is not as wanted."""
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


def _judge(exchange: Exchange, run: Run, shown: Run, ready: Prepared) -> list[str]:
    """Say what is to be said of a run that was launched.

    :raises Rejected: if it is not as wanted.
    """
    notes = [f"guests: {', '.join(ready.guests)}"] if ready.guests else []
    if not shown:
        return [*notes, "Tallyfy does not show it yet, so it was not checked"]
    differences = _differences(shown, ready)
    if not differences:
        return notes
    lines = [f"  {name}: {'; '.join(texts)}" for name, texts in differences.items()]
    if ready.template.raw.get("automated_actions") and all(name.startswith("step ") for name in differences):
        return [*notes, "the rules of the template may have changed its tasks: " + " ".join(map(str.strip, lines))]
    raise about(
        exchange.request,
        Kind.NOT_APPLIED,
        "\n".join([f"The run {describe(run)} was launched, but is not as wanted:", *lines]),
        like=exchange,
        errors=differences,
    )


def _refused(exchange: Exchange, ready: Prepared) -> Rejected:
    """What Tallyfy says against the launch, with the labels that people know instead of ids."""
    problem = problem_of(exchange)
    template = f"the template {ready.template.title!r} ({ready.template.id})"
    means = {
        403: f"Tallyfy does not let the token's user launch {template}: the user needs the right to launch it "
        "(process_launch; light members have none), and a template that is still a draft can't be launched.",
        404: f"Tallyfy no longer has {template}: it was archived or deleted a moment ago.",
        409: "Tallyfy has no free seat for somebody whom the launch assigns (assignees, owner or an answer).",
    }.get(exchange.status or 0, "")
    called = {field.id: f"{field.name!r}" for field in ready.template.kickoff}
    called.update({step.id: f"step {step.title!r}" for step in ready.template.steps})

    def told(text: str) -> str:
        for identity, name in called.items():
            text = text.replace(identity, name)
        return text

    return Rejected(
        replace(
            problem,
            message=told("\n".join(filter(None, (means, problem.message)))),
            errors={told(name): [told(text) for text in texts] for name, texts in problem.errors.items()},
        )
    )
