"""What a test or a demo puts into a sandbox, finds in it, and does in it behind the client's back."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.sandbox.moments import Moment
from airflow_provider_tallyfy.sandbox.new_run import add_new_run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.people import People
from airflow_provider_tallyfy.sandbox.run_serializer import RunSerializer

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class RunAttributes(TypedDict, total=False):
        """What :meth:`Contents.add_run` takes beside the name."""

        template: str | None
        status: str | None
        owner_id: int | None
        created_at: Moment | None
        last_updated: Moment | None
        completed_at: Moment | None
        archived_at: Moment | None
        days_old: float
        unmodified_days: float | None
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


class Contents:
    """Puts members, templates and runs into an organization, and shows and changes them, without a request.

    :param organization: the state to work on.
    :ivar people: scripted members and guests, who do something after so many seconds or polls.
    """

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self.people = People(organization)
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
        *,
        summary: str | None = None,
        owner_id: int | None = None,
        type: str = "procedure",
        days_old: float = 200.0,
        draft: bool = False,
        archived: bool = False,
        launchers: Iterable[int | str] | None = None,
    ) -> str:
        """Add a template and return its id.

        ::

            sandbox.add_template(
                "Onboarding",
                ["Send welcome pack", {"title": "Approve", "task_type": "approval", "users": ["cfo@acme.example"]}],
                ["Company", {"label": "Size", "field_type": "dropdown", "options": ["S", "M", "L"], "required": True}],
            )

        :param title: what it is called.
        :param steps: titles, or mappings with ``title`` and any of ``id``, ``alias``, ``task_type`` (task, approval,
            expiring, email, expiring_email), ``fields``, ``users`` (ids or e-mails of members), ``guests`` (e-mails),
            ``groups`` (ids), ``assign_run_starter`` (who has the task if nobody is named; on by default),
            ``allow_guest_owners``, ``deadline_days`` (after the launch).
        :param kickoff_fields: labels, or mappings with ``label`` and any of ``id``, ``alias``, ``field_type``,
            ``required``, ``options`` (texts or ``{"id", "text"}``), ``columns`` (labels or ``{"id", "label"}``),
            ``guidance``. ``fields`` of a step are the same. :func:`every_field` gives one of every type.
        :param summary: its description.
        :param owner_id: a member; the administrator by default.
        :param type: procedure or form.
        :param days_old: its age in days.
        :param draft: whether it is a draft, which nobody can launch (403).
        :param archived: whether it is archived.
        :param launchers: the members with the right to launch it, by id or e-mail; all but light ones by default.
        :raises ValueError: for a key, a type of task or field, or a member that does not exist.
        """
        with self.organization.lock:
            return self.organization.add_template(
                title, steps, kickoff_fields, summary, owner_id, type, days_old, draft, archived, launchers
            ).id

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

    def add_run(
        self,
        name: str | None = None,
        *,
        template: str | None = None,
        status: str | None = None,
        owner_id: int | None = None,
        created_at: Moment | None = None,
        last_updated: Moment | None = None,
        completed_at: Moment | None = None,
        archived_at: Moment | None = None,
        days_old: float | None = None,
        unmodified_days: float | None = None,
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
    ) -> str:
        """Add a run and return its id.

        A run that was archived 40 days ago, a week after it was completed::

            sandbox.add_run(completed_at=timedelta(days=47), archived_at=timedelta(days=40))

        Each moment is a ``datetime`` (UTC unless it says otherwise), a ``timedelta`` (so long ago), or ISO 8601 text of
        either: ``"2026-03-01T09:00:00Z"``, ``"P40D"``.

        :param name: what it is called.
        :param template: id of a template; a simple one by default.
        :param status: active, complete, problem, issue or delayed.
        :param owner_id: a member; the administrator by default.
        :param created_at: when it was created and started; by default now, or as early as what happened to it.
        :param last_updated: when it last changed; by default when the last of the others happened.
        :param completed_at: when its last task was completed; makes it complete.
        :param archived_at: when it was archived; makes it archived.
        :param days_old: ``created_at`` in days ago.
        :param unmodified_days: ``last_updated`` in days ago.
        :param completed_days_ago: ``completed_at`` in days ago.
        :param tags: ids of tags.
        :param folders: ids of folders.
        :param users: ids of members.
        :param groups: ids of groups.
        :param prerun: kick-off answers by field id or by label.
        :param summary: its description.
        :param starred: whether it is starred.
        :param archived: archived when it last changed, unless ``archived_at`` says when.
        :param done: how many of its tasks are completed.
        :raises ValueError: when a moment is said in both ways, is not readable, or is before the run was created.
        :raises TypeError: for a moment that is neither, such as a bare number.
        """
        with self.organization.lock:
            run = add_new_run(
                self.organization,
                name,
                template=template,
                status=status,
                owner_id=owner_id,
                created_at=created_at,
                last_updated=last_updated,
                completed_at=completed_at,
                archived_at=archived_at,
                days_old=days_old,
                unmodified_days=unmodified_days,
                completed_days_ago=completed_days_ago,
                tags=tags,
                folders=folders,
                users=users,
                groups=groups,
                prerun=prerun,
                summary=summary,
                starred=starred,
                archived=archived,
                done=done,
            )
            return run.id

    def add_runs(self, count: int, name: str | None = None, **attributes: Unpack[RunAttributes]) -> list[str]:
        """Add many runs that differ by number and return their ids.

        :param count: how many.
        :param name: what they are called, followed by a number.
        :param attributes: of each run: those of :meth:`add_run`.
        """
        if unknown := attributes.keys() - inspect.signature(self.add_run).parameters.keys():
            raise TypeError(f"add_runs() got an unexpected keyword argument {min(unknown)!r}")
        with self.organization.lock:
            return [self.add_run(f"{name} {n}" if name else None, **attributes) for n in range(1, count + 1)]

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
            administrator = next(iter(self.organization.members.values()))
            self.organization.archive(run_id, self.organization.bot() if by_bot else administrator)

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
