"""From state to JSON, all but runs: tasks, templates, people, tags, folders, activity."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from airflow_provider_tallyfy.sandbox.models import (
    Event,
    Folder,
    FormField,
    Group,
    Member,
    Run,
    Step,
    Tag,
    Task,
    Template,
    Thread,
)
from airflow_provider_tallyfy.sandbox.organization import Organization

Json = dict[str, Any]

# What an entry of the activity feed is about: model class and category.
_ENTITIES = {"run": ("Run", "Process"), "task": ("Task", "Task"), "thread": ("Thread", "Comment")}


@lru_cache(maxsize=50_000)
def _stamp(seconds: int, ending: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ending


class ObjectSerializer:
    """Writes what an organization holds as its API would, by the organization's :class:`Behaviour`."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    def stamp(self, moment: float | None) -> str | None:
        """UTC, to the second: Tallyfy's milliseconds are always zero."""
        return None if moment is None else _stamp(int(moment), self.organization.behaviour.timestamps)

    # -- tasks and templates -------------------------------------------------------------------------------------

    def task(self, task: Task, with_: Sequence[str] = (), *, single: bool = False) -> Json:
        """A task; its summary only on its own page."""
        stamp = self.stamp
        run = self.organization.runs.get(task.run_id or "")
        step = task.step
        item: Json = {
            "id": task.id,
            "increment_id": task.increment_id,
            "title": task.title,
            "original_title": step.title if step else task.title,
            "allow_guest_owners": step.allow_guest_owners if step else False,
            "run_id": task.run_id,
            "checklist_id": run.template.id if run else None,
            "step_id": step.id if step else None,
            "alias": step.alias if step else None,
            "taskdata": dict(task.taskdata),
            "owners": {"users": list(task.users), "guests": list(task.guests), "groups": list(task.groups)},
            "is_completable": True,
            "status": task.status,
            "status_label": "hasproblem" if task.problem else task.status,
            "task_type": task.task_type,
            "is_approved": self._approved(task),
            "position": task.position,
            "started_at": stamp(task.started_at),
            "deadline": stamp(task.deadline),
            "created_at": stamp(task.created_at),
            "last_updated": stamp(task.last_updated),
            "archived_at": stamp(task.archived_at),
            "completed_at": stamp(task.completed_at),
            "starter_id": run.started_by if run else None,
            "completer_id": task.completer_id,
            "is_oneoff_task": step is None,
            "everyone_must_complete": False,
            "max_assignable": task.max_assignable,
            "webhook": task.webhook,
            "prevent_guest_comment": False,
            "problem": task.problem,
            "run_status": run.status if run else None,
            "top_secret": task.top_secret,
        }
        if single or "summary" in with_:
            item["summary"] = task.summary
        if "threads" in with_:
            item["threads"] = {"data": [self.thread(thread) for thread in task.threads]}
        if "form_fields" in with_:
            item["form_fields"] = {"data": self.task_fields(task)}
        if "step" in with_ and step is not None and run is not None:
            item["step"] = {"data": self.step(run.template, step, task.position)}
        return item

    def _approved(self, task: Task) -> bool | None:
        return (
            False if task.is_approved is None and self.organization.behaviour.undecided == "false" else task.is_approved
        )

    def task_fields(self, task: Task) -> list[Json]:
        """The fields of a task's form with their answers."""
        fields = task.step.fields if task.step is not None else ()
        return [{**self.form_field(item), "value": task.taskdata.get(item.id)} for item in fields]

    def thread(self, thread: Thread) -> Json:
        """A comment or an issue."""
        return {
            "id": thread.id,
            "content": thread.content,
            "label": thread.label,
            "state": thread.state,
            "creator_user_id": thread.author,
            "created_at": self.stamp(thread.created_at),
            "resolved": thread.resolved,
        }

    @staticmethod
    def form_field(item: FormField) -> Json:
        """A field of a form, addressed by its timeline id."""
        return {
            "id": item.id,
            "alias": item.alias,
            "label": item.label,
            "field_type": item.field_type,
            "required": item.required,
            "guidance": item.guidance,
            "options": [dict(option) for option in item.options],
            "columns": [dict(column) for column in item.columns],
        }

    def step(self, template: Template, step: Step, position: int) -> Json:
        """A step of a template."""
        return {
            "id": step.id,
            "checklist_id": template.id,
            "title": step.title,
            "alias": step.alias,
            "step_type": step.task_type,
            "position": position,
            "captures": [{**self.form_field(item), "step_id": step.id} for item in step.fields],
            "assignees": list(step.users),
            "guests": list(step.guests),
            "groups": list(step.groups),
            "roles": [],
            "assign_run_starter": step.assign_run_starter,
            "allow_guest_owners": step.allow_guest_owners,
            "everyone_must_complete": False,
            "max_assignable": 0,
            "deadline": {"value": step.deadline_days or 5, "unit": "days", "option": "from"},
            "created_at": self.stamp(template.created_at),
            "last_updated": self.stamp(template.last_updated),
            "archived_at": None,
        }

    def template(self, template: Template, with_: Sequence[str] = ()) -> Json:
        """A template (checklist)."""
        item: Json = {
            "id": template.id,
            "title": template.title,
            "summary": template.summary,
            "type": template.type,
            "owner_id": template.owner_id,
            "created_by": template.owner_id,
            "started_processes": template.launched,
            "prerun": [{**self.form_field(field), "checklist_id": template.id} for field in template.kickoff],
            "automated_actions": [],
            "users": [],
            "groups": [],
            "folder_id": template.folder_id,
            "created_at": self.stamp(template.created_at),
            "last_updated": self.stamp(template.last_updated),
            "archived_at": self.stamp(template.archived_at),
        }
        if "steps" in with_:
            item["steps"] = {"data": self.steps(template)}
        if "tags" in with_:
            item["tags"] = {"data": self.tag_links(template)}
        return item

    def steps(self, template: Template) -> list[Json]:
        """The steps of a template in order."""
        return [self.step(template, step, number) for number, step in enumerate(template.steps, start=1)]

    # -- people, tags, folders, activity -------------------------------------------------------------------------

    def member(self, member: Member) -> Json:
        """A member of the organization."""
        return {
            **self.member_brief(member),
            "timezone": "UTC",
            "active": True,
            "is_suspended": False,
            "support_user": member.support_bot,
            "created_at": self.stamp(member.created_at),
            "last_updated": self.stamp(member.created_at),
            "status": "active",
            "role": member.role,
        }

    @staticmethod
    def member_brief(member: Member) -> Json:
        """A member as others embed them."""
        return {
            "id": member.id,
            "email": member.email,
            "username": member.email,
            "first_name": member.first_name,
            "last_name": member.last_name,
            "full_name": member.full_name,
        }

    def organization_item(self, role: str) -> Json:
        """The organization itself."""
        organization = self.organization
        return {
            "id": organization.id,
            "name": organization.name,
            "timezone": "UTC",
            "users_count": len(organization.members),
            "auto_archive": False,
            "created_at": self.stamp(organization.created_at),
            "created_on": self.stamp(organization.created_at),
            "last_updated": self.stamp(organization.created_at),
            "user_role": role,
        }

    def group(self, group: Group) -> Json:
        """A group of members."""
        return {
            "id": group.id,
            "name": group.name,
            "members": list(group.members),
            "guests": [],
            "created_at": self.stamp(group.created_at),
        }

    def tag(self, tag: Tag) -> Json:
        """A tag."""
        return {
            "id": tag.id,
            "title": tag.title,
            "color": tag.color,
            "type": tag.tag_type,
            "auto_generated": False,
            "created_at": self.stamp(tag.created_at),
            "deleted_at": None,
        }

    def folder(self, folder: Folder) -> Json:
        """A folder."""
        return {
            "id": folder.id,
            "name": folder.name,
            "folder_type": folder.folder_type,
            "parent_id": folder.parent_id,
            "position": folder.position,
            "created_at": self.stamp(folder.created_at),
        }

    def event(self, event: Event) -> Json:
        """An entry of the activity feed: most of its fields are arrays."""
        actor = self.organization.members.get(event.actor_id or 0)
        by = [self.member_brief(actor)] if actor else [{"email": event.guest, "username": None}] if event.guest else []
        model, category = _ENTITIES[event.entity_type]
        number = event.id
        if self.organization.behaviour.feed_ids == "unordered":
            number = number * 7_919 % 1_000_003  # a prime modulus: still one number per row
        # A run's parent is its template; everything below a run names the run.
        parent = ("Checklist", event.template_id) if event.entity_type == "run" else ("Run", event.run_id)
        return {
            "id": number,
            "organization_id": self.organization.id,
            "verb": [event.verb],
            "source": [event.source],
            "actor_type": ["App\\Models\\Guest" if event.guest else "App\\Models\\User"],
            "actor_id": [event.actor_id],
            "type": [category],
            "description": [event.description],
            "actor": by,
            "field": [event.field] if event.field else None,
            "old_value": [event.old_value] if event.field else None,
            "text": [event.text] if event.text else None,
            "references": None,
            "auditable_type": f"App\\Models\\{model}",
            "auditable_id": event.entity_id,
            "parentable_type": f"App\\Models\\{parent[0]}" if parent[1] else None,
            "parentable_id": parent[1],
            "created_at": self.stamp(event.created_at),
            "undoable": False,
            "audit": {"data": {}},
            "parent": {"data": {}},
            "origin": None,
        }

    def tag_links(self, subject: Run | Template) -> list[Json]:
        """Tag associations: their own integer id beside the tag's."""
        kind = "Run" if isinstance(subject, Run) else "Checklist"
        rows = []
        for tag_id, link in subject.tags.items():
            if (tag := self.organization.tags.get(tag_id)) is None:
                continue  # a lagging read still names a tag that is gone
            rows.append(
                {
                    "id": link,
                    "tag_id": tag_id,
                    "title": tag.title,
                    "color": tag.color,
                    "tag_type": tag.tag_type,
                    "subject_id": subject.id,
                    "subject_type": kind,
                }
            )
        return rows

    @staticmethod
    def folder_link(run: Run, folder_id: str, link: int) -> Json:
        """A row of the relation between folders and runs."""
        return {"id": link, "folder_id": folder_id, "subject_id": run.id, "subject_type": "Run"}
