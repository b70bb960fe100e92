"""Runs: list, read, update, archive, activate, destroy, kick-off form, export, issues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.sandbox import forms, task_work
from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.refusal import Refusal, not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
RUNS = "/organizations/{}/runs"
RUN = "/organizations/{}/runs/{}"


@routes.add("GET", RUNS)
def list_runs(call: Call) -> Answer:
    """``GET /runs``."""
    return page(call, call.index.find(call.query), lambda run: call.serializer.run(run, call.with_, in_list=True))


@routes.add("GET", RUN)
def get_run(call: Call) -> Answer:
    """``GET /runs/{run}``."""
    return Answer({"data": call.serializer.run(call.organization.read_run(call.ids[1]), call.with_)})


@routes.add("PUT", RUN)
def update(call: Call) -> Answer:
    """``PUT /runs/{run}``: stores the fields it knows, and empties members and groups that it is not told."""
    organization, body = call.organization, call.json
    run = organization.find_run(call.ids[1])
    if run.archived_at is not None:
        if call.behaviour.put_archived == "404":
            raise not_found()
        raise Refusal(422, "Cannot update archived processes.")

    changes: list[Callable[[], object]] = []

    def store(field: str, value: Any) -> None:
        changes.append(lambda: setattr(run, field, value))

    if body.get("name") is not None:
        store("name", forms.name_of(body["name"]))
    if "summary" in body:
        store("summary", forms.a_text("summary", body["summary"]))
    if body.get("owner_id") is not None:
        store("owner_id", forms.member_of(organization, "owner_id", body["owner_id"]))
    for field in ("starred", "is_public"):
        if body.get(field) is not None:
            store(field, forms.a_bool(field, body[field]))
    if body.get("publicly_hidden_fields") is not None:
        store("publicly_hidden_fields", forms.a_list("publicly_hidden_fields", body["publicly_hidden_fields"]))

    # RunService::editRun saves the assignees whatever was sent: measured on production 2026-07-21.
    wipe = call.behaviour.put_without_members == "empties"
    if body.get("users") is not None or wipe:
        store("users", forms.members_of(organization, body.get("users") or []))
    if body.get("groups") is not None or wipe:
        store("groups", forms.ids_of("groups", body.get("groups") or [], organization.groups))

    if body.get("prerun") is not None:
        prerun = forms.fold_prerun(body["prerun"], call.behaviour)
        known = {item.id for item in run.template.kickoff} | set(run.prerun)
        answers = {key: value for key, value in prerun.items() if key in known}
        forms.check_answers(organization, run.template.kickoff, answers)
        changes.append(lambda: run.prerun.update(answers))
    echo: dict[str, Any] = {}
    if body.get("tags") is not None and call.behaviour.put_tags == "replace":
        tags = forms.ids_of("tags", body["tags"], organization.tags)
        changes.append(lambda: organization.set_tags(run, tags))
        echo["tags"] = run.tags
    if body.get("folders") is not None and call.behaviour.put_folders == "replace":
        folders = forms.ids_of("folders", body["folders"], forms.run_folders(organization))
        changes.append(lambda: organization.set_folders(run, folders))
        echo["folders"] = run.folders

    organization.write(run)
    for change in changes:
        change()
    organization.log("updated", call.member, run, "run", run.id, f"{call.member.full_name} updated {run.name}")
    item = call.serializer.run(run, call.with_)
    if call.behaviour.update_echo == "always":
        echo = {"tags": run.tags, "folders": run.folders}
    if call.behaviour.update_echo != "never":
        item.update({name: list(links) for name, links in echo.items()})
    return Answer({"data": item})


@routes.add("DELETE", RUN)
def archive(call: Call) -> Answer:
    """``DELETE /runs/{run}``: archives."""
    return _maybe_body(call, call.organization.archive(call.ids[1], call.member), call.behaviour.archive_body)


@routes.add("PUT", f"{RUN}/activate")
def activate(call: Call) -> Answer:
    """``PUT /runs/{run}/activate``: restores."""
    return _maybe_body(call, call.organization.activate(call.ids[1], call.member), call.behaviour.activate_body)


@routes.add("DELETE", f"{RUN}/delete")
def destroy(call: Call) -> Answer:
    """``DELETE /runs/{run}/delete``: deletes for ever; 200 with an empty body."""
    call.organization.destroy(call.ids[1], call.member)
    return Answer()


@routes.add("POST", f"{RUN}/complete-prerun")
def complete_prerun(call: Call) -> Answer:
    """Submit the kick-off form."""
    run = task_work.live(call.organization, call.ids[1])
    task_work.submit_kickoff(call.organization, run, call.member)
    return Answer({"data": {**call.serializer.run(run), "rules_evaluated": 0, "tasks_changed_by_rules": []}})


@routes.add("DELETE", f"{RUN}/complete-prerun")
def reopen_prerun(call: Call) -> Answer:
    """Reopen the kick-off form; the run becomes active again."""
    run = task_work.live(call.organization, call.ids[1])
    task_work.reopen_kickoff(call.organization, run, call.member)
    return Answer({"data": {**call.serializer.run(run), "rules_evaluated": 0, "tasks_changed_by_rules": []}})


@routes.add("GET", f"{RUN}/form-fields")
def form_fields(call: Call) -> Answer:
    """Values of every form of the run."""
    run = call.organization.read_run(call.ids[1])
    return Answer(
        {"form_fields": call.serializer.form_fields(run), "ko_form_fields": call.serializer.ko_form_fields(run)}
    )


@routes.add("POST", f"{RUN}/export")
def export(call: Call) -> Answer:
    """The whole run as one JSON document."""
    run = call.organization.read_run(call.ids[1])
    return Answer({"data": call.serializer.run(run, ("tasks", "tags", "folders", "ko_form_fields", "form_fields"))})


@routes.add("POST", f"{RUN}/comment")
def comment(call: Call) -> Answer:
    """A comment on the process itself."""
    return _thread(call, str(call.json.get("label") or "comment"))


@routes.add("POST", f"{RUN}/problem")
def problem(call: Call) -> Answer:
    """An issue with the process itself: its tasks cannot change until it is resolved."""
    return _thread(call, "problem")


@routes.add("POST", f"{RUN}/resolved-threads")
def resolve(call: Call) -> Answer:
    """Resolve an issue of the process."""
    run = task_work.live(call.organization, call.ids[1])
    thread = task_work.resolve_thread(call.organization, run, call.member, call.json.get("thread_id"))
    return Answer({"data": call.serializer.thread(thread)})


def _thread(call: Call, label: str) -> Answer:
    run = task_work.live(call.organization, call.ids[1])
    thread = task_work.add_thread(call.organization, run, call.member, call.json.get("content"), label)
    return Answer({"data": call.serializer.thread(thread)}, 201)


def _maybe_body(call: Call, run: Run, switch: str) -> Answer:
    if switch == "204":
        return Answer(status=204)
    return Answer() if switch == "empty" else Answer({"data": call.serializer.run(run)})
