"""The state of the organization and the rules by which it changes. No HTTP, no JSON."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
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
from airflow_provider_tallyfy.sandbox.refusal import Refusal, forbidden, invalid, not_found

ROLES = ("admin", "standard", "light")


class Organization:
    """Members, templates, tags, folders, groups, runs and tasks of one organization.

    Everything is guarded by ``lock``: requests are carried out one at a time, and a test may read or change the state
    from its own thread while holding it.

    :param behaviour: positions of the switches.
    :param seed: makes ids and tokens the same every time; random when ``None``.
    """

    def __init__(self, behaviour: Behaviour, seed: int | None = None) -> None:
        self.lock = threading.RLock()
        self.behaviour = behaviour
        self.random = random.Random(seed)
        self.version = 0
        self.id = self.new_id()
        self.name = "Sandbox Organization"
        self.created_at = time.time() - 400 * 86400
        self.members: dict[int, Member] = {}
        self.tokens: dict[str, int] = {}
        self.groups: dict[str, Group] = {}
        self.tags: dict[str, Tag] = {}
        self.folders: dict[str, Folder] = {}
        self.templates: dict[str, Template] = {}
        self.runs: dict[str, Run] = {}
        self.destroyed: set[str] = set()
        self.task_home: dict[str, str | None] = {}
        self.one_off_tasks: dict[str, Task] = {}
        self.tag_links: dict[int, tuple[Run | Template, str]] = {}
        self.folder_links: dict[int, tuple[Run, str]] = {}
        self.events: dict[str, list[Event]] = defaultdict(list)
        self._numbers = {"member": 10_000, "link": 500_000, "increment": 5_000, "event": 900_000}
        self._default_template: Template | None = None

    # -- ids and time --------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A new id: 32 lower-case hex digits."""
        return f"{self.random.getrandbits(128):032x}"

    def next_number(self, kind: str) -> int:
        """A new integer id; users and associations have those, runs and tasks only as ``increment_id``."""
        self._numbers[kind] += 1
        return self._numbers[kind]

    def write(self, run: Run) -> None:
        """Announce a change of a run: bumps ``last_updated`` and keeps what a lagging replica still shows."""
        if self.behaviour.read_lag > 0:
            self.tasks_of(run)
            run.before = run.snapshot()
            run.lagging_until = time.monotonic() + self.behaviour.read_lag
        run.last_updated = time.time()
        self.version += 1

    def as_read(self, run: Run) -> Run | None:
        """The run as a read shows it now: itself, its former self, or nothing yet."""
        if run.lagging_until and run.lagging_until > time.monotonic():
            return run.before
        return run

    # -- people --------------------------------------------------------------------------------------------------

    def add_member(
        self, email: str, role: str = "standard", first_name: str = "", last_name: str = "", bot: bool = False
    ) -> Member:
        """Add a member; names come from the address unless given."""
        if role not in ROLES:
            raise ValueError(f"role is {role!r}; it takes one of {list(ROLES)}")
        given, _, family = email.partition("@")[0].replace("_", ".").partition(".")
        member = Member(
            self.next_number("member"),
            email,
            first_name or given.capitalize(),
            last_name or family.capitalize(),
            role,
            self.created_at,
            bot,
        )
        self.members[member.id] = member
        return member

    def issue_token(self, member: Member) -> str:
        """A bearer token that acts as ``member``."""
        token = f"sandbox-{member.role}-{self.random.getrandbits(160):040x}"
        self.tokens[token] = member.id
        return token

    def add_group(self, name: str, members: Iterable[int] = ()) -> Group:
        """Add a group of members."""
        group = Group(self.new_id(), name, list(members), time.time())
        self.groups[group.id] = group
        return group

    # -- templates -----------------------------------------------------------------------------------------------

    def add_template(
        self,
        title: str,
        steps: Iterable[str | Mapping[str, Any]] = ("Collect details", "Review", "Confirm"),
        kickoff_fields: Iterable[str | Mapping[str, Any]] = (),
        summary: str | None = None,
        owner_id: int | None = None,
        type: str = "procedure",
        days_old: float = 200.0,
    ) -> Template:
        """Add a template; steps and kick-off fields are labels or mappings of their attributes."""
        born = time.time() - days_old * 86400
        template = Template(
            self.new_id(),
            title,
            [self._step(step) for step in steps],
            [self._field(item) for item in kickoff_fields],
            owner_id or next(iter(self.members)),
            born,
            born,
            summary,
            type,
        )
        self.templates[template.id] = template
        return template

    def default_template(self) -> Template:
        """The template of runs for which nobody names one."""
        if self._default_template is None:
            self._default_template = self.add_template("Simple process")
        return self._default_template

    def _step(self, step: str | Mapping[str, Any]) -> Step:
        data: dict[str, Any] = {"title": step} if isinstance(step, str) else dict(step)
        fields = [self._field(item) for item in data.get("fields", ())]
        return Step(
            data.get("id") or self.new_id(),
            data["title"],
            data.get("alias") or slug(data["title"]),
            data.get("task_type", "task"),
            fields,
        )

    def _field(self, item: str | Mapping[str, Any]) -> FormField:
        data: dict[str, Any] = {"label": item} if isinstance(item, str) else dict(item)
        label = data.get("label") or data["title"]
        options: list[dict[str, Any]] = [
            option if isinstance(option, dict) else {"id": number, "text": option}
            for number, option in enumerate(data.get("options", ()), start=1)
        ]
        return FormField(
            data.get("id") or self.new_id(),
            label,
            data.get("alias") or slug(label),
            data.get("field_type") or data.get("type") or "text",
            bool(data.get("required", False)),
            options,
            list(data.get("columns", ())),
            data.get("guidance"),
        )

    # -- tags and folders ----------------------------------------------------------------------------------------

    def add_tag(self, title: str, color: str = "#2ecc71", tag_type: str = "private") -> Tag:
        """Add a tag."""
        tag = Tag(self.new_id(), title, color, tag_type, time.time())
        self.tags[tag.id] = tag
        self.version += 1
        return tag

    def add_folder(self, name: str, folder_type: str = "run", parent_id: str | None = None) -> Folder:
        """Add a folder, for runs unless told otherwise."""
        folder = Folder(self.new_id(), name, folder_type, parent_id, len(self.folders) + 1, time.time())
        self.folders[folder.id] = folder
        self.version += 1
        return folder

    def link_tag(self, subject: Run | Template, tag_id: str) -> int:
        """Attach a tag; attaching it again keeps the one association. Returns the association's integer id."""
        if tag_id not in subject.tags:
            link = self.next_number("link")
            subject.tags[tag_id] = link
            self.tag_links[link] = (subject, tag_id)
        return subject.tags[tag_id]

    def unlink_tag(self, link: int) -> None:
        """Remove an association; an unknown number removes nothing."""
        subject, tag_id = self.tag_links.pop(link, (None, ""))
        if subject is not None:
            subject.tags.pop(tag_id, None)

    def link_folder(self, run: Run, folder_id: str) -> int:
        """Put a run into a folder; returns the relation's integer id."""
        if folder_id not in run.folders:
            link = self.next_number("link")
            run.folders[folder_id] = link
            self.folder_links[link] = (run, folder_id)
        return run.folders[folder_id]

    def unlink_folder(self, link: int) -> None:
        """Take a run out of a folder; an unknown number changes nothing."""
        run, folder_id = self.folder_links.pop(link, (None, ""))
        if run is not None:
            run.folders.pop(folder_id, None)

    def set_tags(self, run: Run, wanted: Iterable[str]) -> None:
        """Make these the run's tags."""
        keep = list(dict.fromkeys(wanted))
        for tag_id in [tag_id for tag_id in run.tags if tag_id not in keep]:
            self.unlink_tag(run.tags[tag_id])
        for tag_id in keep:
            self.link_tag(run, tag_id)

    def set_folders(self, run: Run, wanted: Iterable[str]) -> None:
        """Make these the run's folders."""
        keep = list(dict.fromkeys(wanted))
        for folder_id in [folder_id for folder_id in run.folders if folder_id not in keep]:
            self.unlink_folder(run.folders[folder_id])
        for folder_id in keep:
            self.link_folder(run, folder_id)

    # -- runs: the life of one -----------------------------------------------------------------------------------

    def add_run(self, run: Run) -> None:
        """Take a run into the organization."""
        self.runs[run.id] = run
        run.template.launched += 1
        self.version += 1

    def find_run(self, run_id: str) -> Run:
        """The true run, archived or not; 404 when there is none."""
        run = self.runs.get(run_id)
        if run is None:
            raise not_found()
        return run

    def read_run(self, run_id: str) -> Run:
        """The run as ``GET`` shows it."""
        run = self.as_read(self.find_run(run_id))
        if run is None or (run.archived_at is not None and self.behaviour.get_archived == "404"):
            raise not_found()
        return run

    def archive(self, run_id: str, actor: Member) -> Run:
        """Soft-delete a run with its tasks, threads and assets; all of it comes back with :meth:`activate`."""
        run = self.find_run(run_id)
        if actor.role == "light":
            raise forbidden("Light members cannot archive processes.")
        if run.archived_at is not None:
            if self.behaviour.second_archive == "404":
                raise not_found()
            return run
        self.write(run)
        run.archived_at = run.last_updated
        self.log("archived", actor, run, "run", run.id, f"{actor.full_name} archived {run.name}")
        return run

    def activate(self, run_id: str, actor: Member) -> Run:
        """Restore an archived run; its status is what it was before."""
        run = self.find_run(run_id)
        if actor.role == "light":
            raise forbidden("Light members cannot activate processes.")
        if run.archived_at is None:
            if self.behaviour.activate_live == "400":
                raise Refusal(400, "This process is not archived.")
            if self.behaviour.activate_live == "404":
                raise not_found()
            return run
        self.write(run)
        run.archived_at = None
        self.log("unarchived", actor, run, "run", run.id, f"{actor.full_name} activated {run.name}")
        return run

    def destroy(self, run_id: str, actor: Member) -> None:
        """Delete an archived run for ever."""
        run = self.find_run(run_id)
        if actor.role != "admin":
            raise forbidden("Only administrators can permanently delete processes.")
        if run.archived_at is None:
            if self.behaviour.delete_live == "404":
                raise not_found()
            raise invalid("run", "The process must be archived before it can be deleted.")
        for link in run.tags.values():
            self.tag_links.pop(link, None)
        for link in run.folders.values():
            self.folder_links.pop(link, None)
        for task_id in run.tasks or ():
            self.task_home.pop(task_id, None)
        del self.runs[run_id]
        self.events.pop(run_id, None)
        self.destroyed.add(run_id)
        self.version += 1

    def tasks_of(self, run: Run) -> dict[str, Task]:
        """The run's tasks, made on first use."""
        if run.tasks is None:
            tasks = [self._task(run, step, number) for number, step in enumerate(run.steps, start=1)]
            for task in tasks[: run.done]:
                task.status = "completed"
                task.completed_at = run.completed_at or run.last_updated
                task.completer_id = run.owner_id
            if run.status == "problem" and run.done < len(tasks):
                tasks[run.done].threads.append(self.new_thread("Something is wrong here.", "problem", run.owner_id))
            elif run.done < len(tasks):
                tasks[run.done].status = "active"
            run.tasks = {task.id: task for task in tasks}
            self.task_home.update(dict.fromkeys(run.tasks, run.id))
        return run.tasks

    def _task(self, run: Run, step: Step, position: int) -> Task:
        wishes = run.overrides.get(step.id) or {}
        owners = wishes.get("owners") or {}
        task = Task(
            self.new_id(),
            self.next_number("increment"),
            step.title,
            run.id,
            step,
            wishes.get("position", position),
            run.created_at,
            run.created_at,
            users=list(owners.get("users", [run.owner_id])),
            guests=list(owners.get("guests", ())),
            groups=list(owners.get("groups", ())),
            task_type=step.task_type,
            max_assignable=wishes.get("max_assignable", 0),
            started_at=run.started_at,
        )
        return task

    def find_task(self, task_id: str, run_id: str | None = None) -> Task:
        """A live task by id, of ``run_id`` if given; those of archived runs are gone with them."""
        if run_id is not None:
            run = self.find_run(run_id)
            if run.archived_at is not None:
                raise not_found()
            task = self.tasks_of(run).get(task_id)
        elif task_id in self.one_off_tasks:
            task = self.one_off_tasks[task_id]
        else:
            home = self.task_home.get(task_id)
            return self.find_task(task_id, home) if home else _none()
        if task is None or task.archived_at is not None:
            raise not_found()
        return task

    def progress(self, run: Run) -> tuple[int, int]:
        """Completed tasks and all tasks."""
        if run.tasks is None:
            return run.done, len(run.steps)
        live = [task for task in run.tasks.values() if task.archived_at is None]
        return sum(task.done for task in live), len(live)

    def settle(self, run: Run) -> None:
        """Work out the status after a task, the kick-off form or an issue changed."""
        complete, total = self.progress(run)
        was_complete = run.status == "complete"
        if run.has_open_issue:
            run.status = "issue"
        elif any(task.problem for task in self.tasks_of(run).values()):
            run.status = "problem"
        elif complete >= total and run.prerun_completed_at is not None:
            run.status = "complete"
        else:
            run.status = "delayed" if run.delayed else "active"
        if run.status == "complete" and not was_complete:
            run.completed_at = time.time()
        elif run.status != "complete":
            run.completed_at = None

    def complete_all(self, run: Run) -> None:
        """Complete every task and the kick-off form, as people do while a sensor polls."""
        self.write(run)
        now = time.time()
        for task in self.tasks_of(run).values():
            if not task.done:
                task.status, task.completed_at, task.completer_id = "completed", now, run.owner_id
        run.prerun_completed_at = run.prerun_completed_at or now
        for thread in run.threads:
            thread.resolved = True
        self.settle(run)

    def new_thread(self, content: str, label: str, author: int, state: str = "hide-for-guests") -> Thread:
        """A comment or, with the label ``problem``, an issue."""
        return Thread(self.new_id(), content, label, state, author, time.time())

    def log(
        self, verb: str, actor: Member, run: Run | None, entity_type: str, entity_id: str, description: str
    ) -> None:
        """Add an entry to the activity feed."""
        source = "Webhook" if actor.support_bot else "Member"
        event = Event(
            self.next_number("event"),
            verb,
            actor.id,
            run.id if run else None,
            entity_type,
            entity_id,
            description,
            time.time(),
            source,
        )
        self.events[run.id if run else entity_id].append(event)


def _none() -> Task:
    raise not_found()


def slug(text: str) -> str:
    """An alias as Tallyfy makes them from labels."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
