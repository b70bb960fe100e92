"""From state to JSON: runs, in every shape that the API might give them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from airflow_provider_tallyfy.sandbox.models import Run, Task
from airflow_provider_tallyfy.sandbox.object_serializer import Json, ObjectSerializer


class RunSerializer(ObjectSerializer):
    """Writes what an organization holds as its API would, by the organization's :class:`Behaviour`."""

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
        if behaviour.run_state == "hidden":
            del item["status"], item["archived_at"]
        nested = tuple(name.removeprefix("tasks.") for name in with_ if name.startswith("tasks."))
        if nested:
            item["tasks"] = {"data": [self.task(task, nested) for task in self._tasks(run)]}
        for name in with_:
            if name == "tasks" and nested:
                continue
            if (include := self._includes.get(name)) is not None:
                item[name] = include(self, run)
        return item

    def task(self, task: Task, with_: Sequence[str] = (), *, single: bool = False) -> Json:
        """A task; with its run when asked for."""
        item = super().task(task, with_, single=single)
        if "run" in with_ and (run := self.organization.runs.get(task.run_id or "")) is not None:
            item["run"] = {"data": self.run(run)}
        return item

    def run_state(self, run: Run) -> Json:
        """The true state of a run, for tests: fields in their most usual shape, ids of relations."""
        complete, total = self.organization.progress(run)
        progress = {"complete": complete, "total": total, "percent": _percent(complete, total)}
        return {
            **self.run(run),
            "status": run.status,
            "archived_at": self.stamp(run.archived_at),
            "progress": progress,
            "whole_progress": dict(progress),
            "prerun": copy.deepcopy(run.prerun),
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
            elif shape == "pivot":
                rows.append({**folder, "pivot": self.folder_link(run, folder_id, link)})
            else:
                rows.append(folder)
        return {"data": rows}

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
        tasks = self.organization.tasks_of(run).values()
        return [{**field, "task_id": task.id} for task in tasks for field in self.task_fields(task)]

    _includes: ClassVar[dict[str, Callable[[RunSerializer, Run], Any]]] = {
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


def _percent(complete: int, total: int) -> int:
    return round(100 * complete / total) if total else 100
