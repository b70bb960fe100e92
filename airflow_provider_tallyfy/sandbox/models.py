"""What an organization holds: members, templates, runs, tasks. Times are seconds since the epoch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Member:
    """A member of the organization; ``role`` is admin, standard or light."""

    id: int
    email: str
    first_name: str
    last_name: str
    role: str
    created_at: float
    support_bot: bool = False

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(slots=True)
class Guest:
    """Somebody from outside, known by address alone."""

    email: str
    id: None = None
    role: str = "guest"
    support_bot: bool = False

    @property
    def full_name(self) -> str:
        """The address: guests have no other name here."""
        return self.email


Person = Member | Guest


@dataclass(slots=True)
class Tag:
    """A tag; private ones belong to the organization, public ones to Tallyfy's library."""

    id: str
    title: str
    color: str
    tag_type: str
    created_at: float


@dataclass(slots=True)
class Folder:
    """A folder for runs or for templates (``folder_type`` run or checklist)."""

    id: str
    name: str
    folder_type: str
    parent_id: str | None
    position: int
    created_at: float


@dataclass(slots=True)
class Group:
    """A group of members."""

    id: str
    name: str
    members: list[int]
    created_at: float


@dataclass(slots=True)
class FormField:
    """A field of a kick-off form or of a step's form. ``id`` is what Tallyfy calls the timeline id."""

    id: str
    label: str
    alias: str
    field_type: str = "text"
    required: bool = False
    options: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    guidance: str | None = None


@dataclass(slots=True)
class Step:
    """A step of a template; every run of it gets one task per step."""

    id: str
    title: str
    alias: str
    task_type: str = "task"
    fields: list[FormField] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    guests: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    assign_run_starter: bool = True
    allow_guest_owners: bool = True
    deadline_days: float | None = None


@dataclass(slots=True)
class Template:
    """A template, which the API calls checklist.

    ``launchers`` are the members with the right to launch it; ``None`` gives it to all but light members.
    """

    id: str
    title: str
    steps: list[Step]
    kickoff: list[FormField]
    owner_id: int
    created_at: float
    last_updated: float
    summary: str | None = None
    type: str = "procedure"
    archived_at: float | None = None
    folder_id: str | None = None
    launched: int = 0
    draft: bool = False
    launchers: list[int] | None = None
    tags: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Thread:
    """A comment or an issue on a task or on a run."""

    id: str
    content: str
    label: str
    state: str
    author: int | None
    created_at: float
    resolved: bool = False


@dataclass(slots=True)
class Task:
    """A task: of a run, or one-off when ``run_id`` is ``None``."""

    id: str
    increment_id: int
    title: str
    run_id: str | None
    step: Step | None
    position: int
    created_at: float
    last_updated: float
    users: list[int] = field(default_factory=list)
    guests: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    task_type: str = "task"
    status: str = "not-started"
    summary: str | None = None
    deadline: float | None = None
    started_at: float | None = None
    completed_at: float | None = None
    completer_id: int | None = None
    is_approved: bool | None = None
    archived_at: float | None = None
    max_assignable: int = 0
    taskdata: dict[str, Any] = field(default_factory=dict)
    webhook: str | None = None
    top_secret: bool = False
    threads: list[Thread] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether it is completed."""
        return self.status == "completed"

    @property
    def open(self) -> bool:
        """Whether somebody has still to do it: neither completed, nor skipped by a rule, nor archived."""
        return self.status not in ("completed", "auto-skipped") and self.archived_at is None

    @property
    def problem(self) -> bool:
        """Whether it has an open issue."""
        return any(thread.label == "problem" and not thread.resolved for thread in self.threads)


@dataclass(slots=True)
class Run:
    """A process launched from a template.

    ``tasks`` is filled on first use: an organization of 100,000 runs would otherwise spend its start on tasks that
    nobody asks for. Until then ``steps`` and ``done`` say what they will be.
    """

    id: str
    increment_id: int
    template: Template
    name: str
    owner_id: int
    started_by: int
    created_at: float
    started_at: float
    last_updated: float
    steps: list[Step]
    summary: str = ""
    status: str = "active"
    done: int = 0
    delayed: bool = False
    completed_at: float | None = None
    archived_at: float | None = None
    due_date: float | None = None
    prerun: dict[str, Any] = field(default_factory=dict)
    prerun_completed_at: float | None = None
    prerun_completed_by: int | None = None
    starred: bool = False
    is_public: bool = False
    assign_someone_else: bool = False
    publicly_hidden_fields: list[str] = field(default_factory=list)
    parent_id: str | None = None
    users: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    threads: list[Thread] = field(default_factory=list)
    tasks: dict[str, Task] | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    # Whom steps that are assigned to the starter go to, if that is not ``started_by``.
    launcher: int | None = None
    # What a lagging read replica still shows, and until when (monotonic); ``lagging_until`` with no ``before`` hides
    # a run that was launched a moment ago.
    before: Run | None = None
    lagging_until: float = 0.0

    @property
    def has_open_issue(self) -> bool:
        """Whether an issue is open on the process itself."""
        return any(thread.label == "problem" and not thread.resolved for thread in self.threads)

    def owners_of(self, step: Step) -> tuple[list[int], list[str], list[str]]:
        """Members, guests and groups that a step's task is assigned to when the run begins.

        Those that the launch names replace those of the step, bucket by bucket; none at all means those of the step,
        and where it has none either, it may go to whoever starts the run.
        """
        wish = (self.overrides.get(step.id) or {}).get("owners") or {}
        wished = wish.get("users") or [], wish.get("guests") or [], wish.get("groups") or []
        users, guests, groups = wished if any(wished) else (step.users, step.guests, step.groups)
        if not (users or guests or groups) and step.assign_run_starter:
            users = [self.started_by if self.launcher is None else self.launcher]
        return [int(user) for user in users], list(guests), list(groups)

    def snapshot(self) -> Run:
        """A copy that later changes do not reach; the template and its steps are shared."""
        twin = copy.copy(self)
        twin.before = None
        for name in ("prerun", "publicly_hidden_fields", "users", "groups", "tags", "folders", "threads", "overrides"):
            setattr(twin, name, copy.copy(getattr(self, name)))
        twin.threads = [copy.copy(thread) for thread in self.threads]
        if self.tasks is not None:
            twin.tasks = {}
            for task in self.tasks.values():
                other = copy.copy(task)
                other.threads = [copy.copy(thread) for thread in task.threads]
                twin.tasks[task.id] = other
        return twin


@dataclass(slots=True)
class Event:
    """An entry of the activity feed; ``guest`` is the address of a guest who did it, and ``actor_id`` nobody's then."""

    id: int
    verb: str
    actor_id: int | None
    run_id: str | None
    entity_type: str
    entity_id: str
    description: str
    created_at: float
    source: str = "Member"
    field: str | None = None
    old_value: Any = None
    template_id: str | None = None
    guest: str = ""
    text: str | None = None
