"""From state to JSON: Tallyfy's objects, envelopes and time stamps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

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


@lru_cache(maxsize=50_000)
def _stamp(seconds: int, ending: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ending


class Wire:
    """Writes what an organization holds as its API would, by the organization's :class:`Behaviour`."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    def stamp(self, moment: float | None) -> str | None:
        """UTC, to the second: Tallyfy's milliseconds are always zero."""
        return None if moment is None else _stamp(int(moment), self.organization.behaviour.timestamps)

    # -- runs ----------------------------------------------------------------------------------------------------

    def run(self, run: Run, with_: Sequence[str] = (), *, in_list: bool = False) -> Json:
        """A run; relations only when asked for by name."""
        behaviour = self.organization.behaviour
        stamp = self.stamp
        status = run.status
        if run.archived_at is not None:
            switch = behaviour.list_archived_status if in_list else "same"
            if (behaviour.archived_status if switch == "same" else switch) == "archived":
                status = "archived"
        progress = self._progress(run)
        item: Json = {
            "id": run.id,
            "increment_id": run.increment_id,
            "checklist_id": run.template.id,
            "checklist_title": run.template.title,
            "assign_someone_else": run.assign_someone_else,
            "name": run.name,
            "summary": run.summary,
            "status": status,
            "progress": progress,
            "whole_progress": progress,
            "started_by": run.started_by,
            "prerun": run.prerun or ({} if behaviour.prerun_empty == "object" else []),
            "prerun_status": "incomplete" if run.prerun_completed_at is None else "complete",
            "prerun_completed_at": stamp(run.prerun_completed_at),
            "prerun_completed_by": run.prerun_completed_by,
            "prerun_length": len(run.template.kickoff),
            "starred": run.starred,
            "is_public": run.is_public,
            "created_at": stamp(run.created_at),
            "due_date": stamp(run.due_date),
            "owner_id": run.owner_id if behaviour.owner_id_type == "int" else str(run.owner_id),
            "started_at": stamp(run.started_at),
            "last_updated": stamp(run.last_updated),
            "completed_at": stamp(run.completed_at),
            "late_tasks": 0,
            "archived_at": stamp(run.archived_at),
            "due_date_passed": False,
            "due_soon": False,
            "max_task_deadline": None,
            "collaborators": [],
            "type": run.template.type,
            "users": self._users(run.users),
            "groups": list(run.groups),
            "parent_id": run.parent_id,
            "can_add_oot": True,
            "has_open_issue": bool(run.threads) and run.has_open_issue,
        }
        for name in with_:
            if (include := self._includes.get(name)) is not None:
                item[name] = include(self, run)
        return item

    def run_state(self, run: Run) -> Json:
        """The true state of a run, for tests: wire fields by their most usual shape, ids of relations."""
        complete, total = self.organization.progress(run)
        return {
            **self.run(run),
            "status": run.status,
            "progress": {"complete": complete, "total": total, "percent": _percent(complete, total)},
            "prerun": dict(run.prerun),
            "owner_id": run.owner_id,
            "users": list(run.users),
            "groups": list(run.groups),
            "tags": list(run.tags),
            "folders": list(run.folders),
            "publicly_hidden_fields": list(run.publicly_hidden_fields),
            "is_archived": run.archived_at is not None,
        }

    def _progress(self, run: Run) -> Any:
        shape = self.organization.behaviour.progress
        if shape == "empty":
            return {}
        complete, total = self.organization.progress(run)
        percent = _percent(complete, total)
        return percent if shape == "number" else {"complete": complete, "total": total, "percent": percent}

    def _users(self, ids: list[int]) -> Any:
        shape = self.organization.behaviour.users_shape
        if shape == "ints":
            return list(ids)
        members = self.organization.members
        rows = [self.member_brief(members[number]) if number in members else {"id": number} for number in ids]
        return rows if shape == "objects" else {"data": rows}

    def _run_tags(self, run: Run) -> Any:
        rows = self.tag_links(run)
        return {"data": rows} if self.organization.behaviour.get_with_tags_shape == "wrapped" else rows

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

    def _run_folders(self, run: Run) -> Json:
        shape = self.organization.behaviour.with_folders_shape
        rows = []
        for folder_id, link in run.folders.items():
            if folder_id not in self.organization.folders:
                continue
            folder = self.folder(self.organization.folders[folder_id])
            if shape == "relations":
                rows.append({**self.folder_link(run, folder_id, link), "folder": folder})
            elif shape == "folders":
                rows.append({**folder, "folder_object_id": link})
            else:
                rows.append({**folder, "pivot": self.folder_link(run, folder_id, link)})
        return {"data": rows}

    @staticmethod
    def folder_link(run: Run, folder_id: str, link: int) -> Json:
        """A row of the relation between folders and runs."""
        return {"id": link, "folder_id": folder_id, "subject_id": run.id, "subject_type": "Run"}

    def _next_task(self, run: Run) -> Json:
        todo = [task for task in self._tasks(run) if not task.done][:1]
        keys = ("id", "increment_id", "title", "alias", "owners", "deadline")
        rows = [self.task(task) for task in todo]
        return {"data": [{key: row[key] for key in keys} for row in rows]}

    def _tasks(self, run: Run) -> list[Task]:
        if run.archived_at is not None and self.organization.behaviour.tasks_of_archived != "tasks":
            return []
        return [task for task in self.organization.tasks_of(run).values() if task.archived_at is None]

    def ko_form_fields(self, run: Run) -> list[Json]:
        """Kick-off fields with this run's answers."""
        return [{**self.form_field(item), "value": run.prerun.get(item.id)} for item in run.template.kickoff]

    def form_fields(self, run: Run) -> list[Json]:
        """Form fields of the run's tasks with their answers."""
        return [
            {**self.form_field(item), "task_id": task.id, "value": task.taskdata.get(item.id)}
            for task in self.organization.tasks_of(run).values()
            if task.step is not None
            for item in task.step.fields
        ]

    _includes: ClassVar[dict[str, Callable[[Wire, Run], Any]]] = {
        "checklist": lambda self, run: {"data": self.template(run.template)},
        "tasks": lambda self, run: {"data": [self.task(task) for task in self._tasks(run)]},
        "tags": lambda self, run: self._run_tags(run),
        "folders": lambda self, run: self._run_folders(run),
        "next_task": lambda self, run: self._next_task(run),
        "ko_form_fields": lambda self, run: {"data": self.ko_form_fields(run)},
        "form_fields": lambda self, run: {"data": self.form_fields(run)},
        "tasks_meta": lambda self, run: {"data": {"total": len(self._tasks(run))}},
        **{
            name: lambda self, run: {"data": []}
            for name in (
                "assets",
                "stages",
                "permissions",
                "member_watchers",
                "guest_watchers",
                "selected_text_comment",
            )
        },
    }

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
            "allow_guest_owners": True,
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
            "is_approved": task.is_approved,
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
            item["form_fields"] = {"data": [self.form_field(field) for field in (step.fields if step else ())]}
        if "step" in with_ and step is not None and run is not None:
            item["step"] = {"data": self.step(run.template, step, task.position)}
        if "run" in with_ and run is not None:
            item["run"] = {"data": self.run(run)}
        return item

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
            "assignees": [],
            "guests": [],
            "groups": [],
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
        actor = self.organization.members.get(event.actor_id)
        model = {"run": "Run", "task": "Task", "thread": "Thread"}[event.entity_type]
        return {
            "id": event.id,
            "organization_id": self.organization.id,
            "verb": [event.verb],
            "source": [event.source],
            "actor_type": ["User"],
            "actor_id": [event.actor_id],
            "type": [event.entity_type],
            "description": [event.description],
            "actor": [self.member_brief(actor)] if actor else [],
            "field": [event.field] if event.field else None,
            "old_value": [event.old_value] if event.field else None,
            "text": None,
            "references": None,
            "auditable_type": f"App\\Models\\{model}",
            "auditable_id": event.entity_id,
            "parentable_type": "App\\Models\\Run" if event.run_id else None,
            "parentable_id": event.run_id,
            "created_at": self.stamp(event.created_at),
            "undoable": False,
            "audit": {"data": {}},
            "parent": {"data": {}},
            "origin": None,
        }


def _percent(complete: int, total: int) -> int:
    return round(100 * complete / total) if total else 100


def listed(rows: Iterable[Json]) -> Json:
    """A list without pagination."""
    return {"data": list(rows)}
