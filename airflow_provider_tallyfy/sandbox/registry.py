"""What an organization has besides its processes: people, templates, tags, folders. And where ids come from."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
from airflow_provider_tallyfy.sandbox.feed import Feed
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
)

ROLES = ("admin", "standard", "light")
TASK_TYPES = ("task", "approval", "expiring", "email", "expiring_email")
FIELD_TYPES = (
    "text",
    "textarea",
    "email",
    "date",
    "radio",
    "dropdown",
    "multiselect",
    "table",
    "assignees_form",
    "file",
)
_STEP_KEYS = frozenset(
    [
        "id",
        "title",
        "alias",
        "task_type",
        "fields",
        "users",
        "guests",
        "groups",
        "assign_run_starter",
        "allow_guest_owners",
        "deadline_days",
    ]
)
_FIELD_KEYS = frozenset(
    {"id", "label", "title", "alias", "field_type", "type", "required", "options", "columns", "guidance"}
)


class Registry:
    """Members, templates, tags, folders and groups, and the tables of everything else.

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
        self.task_home: dict[str, str | None] = {}
        self.one_off_tasks: dict[str, Task] = {}
        self.tag_links: dict[int, tuple[Run | Template, str]] = {}
        self.folder_links: dict[int, tuple[Run, str]] = {}
        self.events: dict[str, list[Event]] = defaultdict(list)
        self.feed = Feed()
        self.on_launch: list[Callable[[Run], object]] = []
        self._numbers = {"member": 10_000, "link": 500_000, "increment": 5_000, "event": 900_000}
        self._default_template: Template | None = None

    # -- ids ------------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A new id: 32 lower-case hex digits."""
        return f"{self.random.getrandbits(128):032x}"

    def next_number(self, kind: str) -> int:
        """A new integer id; users and associations have those, runs and tasks only as ``increment_id``."""
        self._numbers[kind] += 1
        return self._numbers[kind]

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

    def member_ids(self, members: Iterable[int | str]) -> list[int]:
        """Members that are named by id or by e-mail, as ids."""
        by_email = {member.email.lower(): member.id for member in self.members.values()}
        found: list[int] = []
        for one in members:
            number = by_email.get(one.lower()) if isinstance(one, str) else one
            if number not in self.members:
                raise ValueError(f"{one!r} is no member of this sandbox")
            found.append(number)
        return found

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
        draft: bool = False,
        archived: bool = False,
        launchers: Iterable[int | str] | None = None,
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
            archived_at=born if archived else None,
            draft=draft,
            launchers=None if launchers is None else self.member_ids(launchers),
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
        if unknown := data.keys() - _STEP_KEYS:
            raise ValueError(f"a step has no {min(unknown)!r}; it takes {sorted(_STEP_KEYS)}")
        if (kind := data.get("task_type", "task")) not in TASK_TYPES:
            raise ValueError(f"task_type is {kind!r}; it takes one of {list(TASK_TYPES)}")
        fields = [self._field(item) for item in data.get("fields", ())]
        return Step(
            data.get("id") or self.new_id(),
            data["title"],
            data.get("alias") or slug(data["title"]),
            data.get("task_type", "task"),
            fields,
            self.member_ids(data.get("users", ())),
            list(data.get("guests", ())),
            list(data.get("groups", ())),
            bool(data.get("assign_run_starter", True)),
            bool(data.get("allow_guest_owners", True)),
            data.get("deadline_days"),
        )

    def _field(self, item: str | Mapping[str, Any]) -> FormField:
        data: dict[str, Any] = {"label": item} if isinstance(item, str) else dict(item)
        if unknown := data.keys() - _FIELD_KEYS:
            raise ValueError(f"a form field has no {min(unknown)!r}; it takes {sorted(_FIELD_KEYS)}")
        kind = data.get("field_type") or data.get("type") or "text"
        if kind not in FIELD_TYPES:
            raise ValueError(f"field_type is {kind!r}; it takes one of {list(FIELD_TYPES)}")
        label = data.get("label") or data["title"]
        options: list[dict[str, Any]] = [
            option if isinstance(option, dict) else {"id": number, "text": option}
            for number, option in enumerate(data.get("options", ()), start=1)
        ]
        return FormField(
            data.get("id") or self.new_id(),
            label,
            data.get("alias") or slug(label),
            kind,
            bool(data.get("required", False)),
            options,
            [
                column if isinstance(column, dict) else {"id": number, "label": column}
                for number, column in enumerate(data.get("columns", ()), start=1)
            ],
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


def slug(text: str) -> str:
    """An alias as Tallyfy makes them from labels."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
