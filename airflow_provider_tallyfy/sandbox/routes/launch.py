"""Launching a run: ``POST /runs``."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_tallyfy.sandbox import forms
from airflow_provider_tallyfy.sandbox.models import Run, Step, Template
from airflow_provider_tallyfy.sandbox.refusal import Refusal, forbidden, invalid, not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()


@routes.add("POST", "/organizations/{}/runs")
def launch(call: Call) -> Answer:
    """``POST /runs``: 201 with the run."""
    organization, body = call.organization, call.json
    template = _template(call, body.get("checklist_id"))
    name = f"{template.title} - {time.strftime('%B %d, %Y')}"
    if body.get("name") not in (None, ""):
        name = forms.name_of(body["name"])
    owner = forms.member_of(organization, "owner_id", body.get("owner_id", call.member.id))
    starter = forms.member_of(organization, "user_id", body.get("user_id", call.member.id))

    prerun = forms.fold_prerun(body.get("prerun"), call.behaviour)
    known = {item.id for item in template.kickoff}
    # Answers under unknown keys (labels, aliases) vanish without a word: 201 all the same.
    answers = {key: value for key, value in prerun.items() if key in known}
    if errors := forms.missing(template.kickoff, answers):
        raise Refusal(422, "The given data was invalid.", errors=errors)
    forms.check_answers(organization, template.kickoff, answers)
    if isinstance(body.get("roles"), list) and body["roles"]:
        raise invalid("roles", "The roles format is invalid.")

    wishes = _task_wishes(call, template, body.get("tasks"))
    steps = template.steps
    if wishes and call.behaviour.launch_tasks_map == "truncates":
        steps = [step for step in steps if step.id in wishes]
    # Guests can't be members of a run: "guests" beside "users" is left unread, as any unknown key.
    users = forms.members_of(organization, body.get("users", []))
    groups = forms.ids_of("groups", body.get("groups", []), organization.groups)
    tags = forms.ids_of("tags", body.get("tags", []), organization.tags)
    folders = forms.ids_of("folders", body.get("folders", []), forms.run_folders(organization))

    now = time.time()
    run = Run(
        organization.new_id(),
        organization.next_number("increment"),
        template,
        name,
        owner,
        starter,
        now,
        now,
        now,
        list(steps),
        summary=forms.a_text("summary", body.get("summary")),
        prerun=answers,
        prerun_completed_at=now,
        prerun_completed_by=starter,
        starred=forms.a_bool("starred", body.get("starred", False)),
        is_public=forms.a_bool("is_public", body.get("is_public", False)),
        assign_someone_else=forms.a_bool("assign_someone_else", body.get("assign_someone_else", False)),
        publicly_hidden_fields=forms.a_list("publicly_hidden_fields", body.get("publicly_hidden_fields", [])),
        parent_id=body.get("parent_id"),
        users=users,
        groups=groups,
        overrides=wishes,
        # Whoever sends the request, whatever "user_id" says; a bot stands for the template's owner.
        launcher=template.owner_id if call.member.support_bot else call.member.id,
    )
    if call.behaviour.read_lag > 0:
        run.lagging_until = time.monotonic() + call.behaviour.read_lag
    organization.add_run(run)
    organization.set_tags(run, tags)
    organization.set_folders(run, folders)
    return Answer({"data": call.serializer.run(run)}, 201)


def _template(call: Call, checklist_id: Any) -> Template:
    if not isinstance(checklist_id, str) or not checklist_id:
        raise invalid("checklist_id", "The checklist id field is required.")
    template = call.organization.templates.get(checklist_id)
    if template is None:
        raise not_found()
    if template.archived_at is not None:
        raise invalid("checklist_id", "The selected checklist id is archived.")
    if call.member.role == "light":
        raise forbidden("Light members cannot launch processes.")
    if template.draft:
        raise forbidden("This template is a draft. Publish it before launching processes from it.")
    if template.launchers is not None and call.member.id not in template.launchers:
        raise forbidden("You don't have the process_launch permission on this template.")
    return template


def _task_wishes(call: Call, template: Template, value: Any) -> dict[str, Any]:
    """``tasks``: what the launch wants of the steps that it names by timeline id."""
    if value in (None, [], {}):
        return {}
    if not isinstance(value, dict) or not all(isinstance(wish, dict) for wish in value.values()):
        raise invalid("tasks", "The tasks format is invalid.")
    steps = {step.id: step for step in template.steps}
    return {key: _wish(call, steps.get(key), f"tasks.{key}", wish) for key, wish in value.items()}


def _wish(call: Call, step: Step | None, field: str, wish: dict[str, Any]) -> dict[str, Any]:
    checked = dict(wish)
    if wish.get("owners") is not None:
        owners = forms.owners_of(call.organization, f"{field}.owners", wish["owners"])
        closed = step is not None and not step.allow_guest_owners
        if owners["guests"] and closed and call.behaviour.guests_of_closed_steps == "422":
            raise invalid(f"{field}.owners.guests", "This step cannot be assigned to guests.")
        checked["owners"] = owners
    if wish.get("deadline") is not None:
        checked["deadline"] = forms.moment_of(f"{field}.deadline", wish["deadline"])
    for name in ("position", "max_assignable"):
        if wish.get(name) is not None and (type(wish[name]) is not int or wish[name] < 0):
            raise invalid(f"{field}.{name}", f"The {field}.{name} must be an integer.")
    return checked
