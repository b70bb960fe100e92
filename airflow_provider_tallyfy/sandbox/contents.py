"""What a test or a demo puts into a sandbox, finds in it, and does in it behind the client's back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.sandbox.models import Run, Template
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.run_serializer import RunSerializer

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class RunAttributes(TypedDict, total=False):
        """What :meth:`Contents.add_runs` says about a run."""

        template: str | None
        status: str | None
        owner_id: int | None
        days_old: float
        untouched_days: float | None
        completed_days_ago: float | None
        tags: Iterable[str]
        folders: Iterable[str]
        users: Iterable[int]
        groups: Iterable[str]
        prerun: Mapping[str, Any] | None
        summary: str
        starred: bool
        archived: bool
        done: int | None


DAY = 86400.0


class Contents:
    """Puts members, templates and runs into an organization, and shows and changes them, without a request.

    :param organization: the state to work on.
    """

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self._serializer = RunSerializer(organization)

    def add_member(self, email: str, role: str = "standard", first_name: str = "", last_name: str = "") -> int:
        """Add a member and return the integer id.

        :param email: address, from which the names come unless given.
        :param role: admin, standard or light.
        :param first_name: given name.
        :param last_name: family name.
        """
        with self.organization.lock:
            return self.organization.add_member(email, role, first_name, last_name).id

    def token_of(self, member_id: int) -> str:
        """A new token that acts as a member."""
        with self.organization.lock:
            return self.organization.issue_token(self.organization.members[member_id])

    def add_template(
        self,
        title: str = "Simple process",
        steps: Iterable[str | Mapping[str, Any]] = ("Collect details", "Review", "Confirm"),
        kickoff_fields: Iterable[str | Mapping[str, Any]] = (),
        **attributes: Any,
    ) -> str:
        """Add a template and return its id.

        :param title: what it is called.
        :param steps: titles, or mappings with ``title`` and any of ``id``, ``task_type``, ``fields``.
        :param kickoff_fields: labels, or mappings with ``label`` and any of ``id``, ``field_type``, ``required``,
            ``options`` (texts or ``{"id", "text"}``), ``columns``.
        :param attributes: ``summary``, ``owner_id``, ``type``, ``days_old``.
        """
        with self.organization.lock:
            return self.organization.add_template(title, steps, kickoff_fields, **attributes).id

    def template(self, template_id: str) -> dict[str, Any]:
        """A template as the API shows it, steps included: where the ids of fields and steps are found."""
        with self.organization.lock:
            template = self.organization.templates[template_id]
            return {**self._serializer.template(template), "steps": self._serializer.steps(template)}

    def add_tag(self, title: str, tag_type: str = "private", color: str = "#2ecc71") -> str:
        """Add a tag and return its id."""
        with self.organization.lock:
            return self.organization.add_tag(title, color, tag_type).id

    def add_folder(self, name: str, folder_type: str = "run") -> str:
        """Add a folder for runs (or ``checklist`` ones for templates) and return its id."""
        with self.organization.lock:
            return self.organization.add_folder(name, folder_type).id

    def add_group(self, name: str, members: Iterable[int] = ()) -> str:
        """Add a group of members and return its id."""
        with self.organization.lock:
            return self.organization.add_group(name, members).id

    def add_run(self, name: str | None = None, **attributes: Unpack[RunAttributes]) -> str:
        """Add a run and return its id.

        :param name: what it is called.
        :param attributes: see :meth:`add_runs`.
        """
        with self.organization.lock:
            return self._new_run(name, **attributes).id

    def add_runs(self, count: int, name: str | None = None, **attributes: Unpack[RunAttributes]) -> list[str]:
        """Add many runs that differ by number and return their ids.

        :param count: how many.
        :param name: what they are called, followed by a number.
        :param attributes: of each run:
            ``template`` (id; a simple one by default),
            ``status`` (active, complete, problem, issue, delayed),
            ``owner_id`` (the administrator by default),
            ``days_old`` (age of ``created_at`` and ``started_at``, days),
            ``untouched_days`` (age of ``last_updated``, days; what happened last by default),
            ``completed_days_ago`` (days; makes it complete),
            ``tags``, ``folders``, ``users``, ``groups`` (ids),
            ``prerun`` (answers by field id or by label),
            ``done`` (how many tasks are completed), ``summary``, ``starred``, ``archived``.
        """
        with self.organization.lock:
            return [self._new_run(f"{name} {n}" if name else None, **attributes).id for n in range(1, count + 1)]

    def _new_run(
        self,
        name: str | None,
        template: str | None = None,
        status: str | None = None,
        owner_id: int | None = None,
        days_old: float = 0.0,
        untouched_days: float | None = None,
        completed_days_ago: float | None = None,
        tags: Iterable[str] = (),
        folders: Iterable[str] = (),
        users: Iterable[int] = (),
        groups: Iterable[str] = (),
        prerun: Mapping[str, Any] | None = None,
        summary: str = "",
        starred: bool = False,
        archived: bool = False,
        done: int | None = None,
    ) -> Run:
        organization, now = self.organization, time.time()
        source = organization.templates[template] if template else organization.default_template()
        created = now - DAY * max(days_old, completed_days_ago or 0.0, untouched_days or 0.0)
        completed = None
        if completed_days_ago is not None or status == "complete":
            status = "complete"
            age = completed_days_ago if completed_days_ago is not None else untouched_days or 0.0
            completed = now - DAY * age
        touched = now - DAY * untouched_days if untouched_days is not None else completed or created
        owner = owner_id or next(iter(organization.members))
        number = organization.next_number("increment")
        run = Run(
            organization.new_id(),
            number,
            source,
            name or f"{source.title} {number}",
            owner,
            owner,
            created,
            created,
            touched,
            source.steps,
            summary=summary,
            status=status or "active",
            done=_done(source, status, done),
            delayed=status == "delayed",
            completed_at=completed,
            archived_at=touched if archived else None,
            prerun=_by_id(source, prerun or {}),
            prerun_completed_at=created,
            prerun_completed_by=owner,
            starred=starred,
            users=list(users),
            groups=list(groups),
        )
        if status == "issue":
            run.threads.append(organization.new_thread("Something is wrong here.", "problem", owner))
        organization.add_run(run)
        for tag_id in tags:
            organization.link_tag(run, tag_id)
        for folder_id in folders:
            organization.link_folder(run, folder_id)
        return run

    # -- looking and meddling ------------------------------------------------------------------------------------

    def run(self, run_id: str) -> dict[str, Any] | None:
        """The true state of a run, whatever the switches make the API show; ``None`` when it does not exist.

        Fields as the API sends them, ``status`` as it was before archiving, ``tags`` and ``folders`` as lists of ids,
        and ``is_archived``.
        """
        with self.organization.lock:
            run = self.organization.runs.get(run_id)
            return None if run is None else self._serializer.run_state(run)

    def runs(self, archived: bool | None = None) -> list[dict[str, Any]]:
        """The true state of every run.

        :param archived: only the archived, or only the others.
        """
        with self.organization.lock:
            return [
                self._serializer.run_state(run)
                for run in self.organization.runs.values()
                if archived is None or (run.archived_at is not None) is archived
            ]

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run in their true state, archived or not."""
        with self.organization.lock:
            tasks = self.organization.tasks_of(self.organization.runs[run_id]).values()
            return [self._serializer.task(task, ("threads",), single=True) for task in tasks]

    def archive(self, run_id: str, by_bot: bool = False) -> None:
        """Archive a run behind the client's back.

        :param by_bot: by the auto-archive bot rather than by the administrator.
        """
        with self.organization.lock:
            members = self.organization.members.values()
            actor = next((member for member in members if member.support_bot), None) if by_bot else None
            if by_bot and actor is None:
                actor = self.organization.add_member("bot@tallyfy.example", "admin", "Tallyfy", "Bot", bot=True)
            self.organization.archive(run_id, actor or next(iter(members)))

    def activate(self, run_id: str) -> None:
        """Activate a run behind the client's back."""
        with self.organization.lock:
            self.organization.activate(run_id, next(iter(self.organization.members.values())))

    def complete(self, run_id: str) -> None:
        """Complete every task of a run behind the client's back."""
        with self.organization.lock:
            self.organization.complete_all(self.organization.find_run(run_id))

    def touch(self, run_id: str) -> None:
        """Let somebody work on a run: its ``last_updated`` becomes now."""
        with self.organization.lock:
            self.organization.write(self.organization.find_run(run_id))


def _done(template: Template, status: str | None, done: int | None) -> int:
    if status == "complete":
        return len(template.steps)
    # A live run always has something left to do, else it would be complete.
    return min(done or 0, max(0, len(template.steps) - 1))


def _by_id(template: Template, prerun: Mapping[str, Any]) -> dict[str, Any]:
    ids = {name: item.id for item in template.kickoff for name in (item.label, item.alias)}
    return {ids.get(key, key): value for key, value in prerun.items()}
