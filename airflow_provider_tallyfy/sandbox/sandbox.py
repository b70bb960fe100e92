"""The sandbox as tests and demos hold it: one object that is started, furnished, asked and stopped."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
from airflow_provider_tallyfy.sandbox.faults import Fault, Injection
from airflow_provider_tallyfy.sandbox.journal import RequestRecord
from airflow_provider_tallyfy.sandbox.models import Run, Template
from airflow_provider_tallyfy.sandbox.organization import ROLES, Organization
from airflow_provider_tallyfy.sandbox.server import Front

HOST = "127.0.0.1"
DAY = 86400.0


class Sandbox:
    """A Tallyfy organization on loopback.

    ::

        with Sandbox() as sandbox:
            run_id = sandbox.add_run(name="Onboarding - ACME")
            requests.delete(f"{sandbox.api_url}/organizations/{sandbox.organization_id}/runs/{run_id}", ...)
            assert sandbox.run(run_id)["archived_at"]
            assert sandbox.calls == [f"DELETE /runs/{run_id}"]

    :param behaviour: positions of the switches for what is unknown about the API.
    :param latency: seconds added to every answer; answers wait side by side.
    :param rate_limit: ``(requests, seconds)``: more than that in any such span get 429.
    :param port: port on 127.0.0.1; 0 takes a free one.
    :param sample: furnish it with :func:`sample_organization`.
    :param seed: makes ids and tokens the same every time.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        latency: float = 0.0,
        rate_limit: tuple[int, float] | None = None,
        port: int = 0,
        sample: bool = False,
        seed: int | None = None,
    ) -> None:
        self.organization = Organization(behaviour or Behaviour(), seed)
        self.port = port
        self._front = Front(self.organization, latency, rate_limit)
        self._tokens: dict[str, str] = {}
        for role in ROLES:
            member = self.organization.add_member(f"{role}@sandbox.example", role, role.capitalize(), "Member")
            self._tokens[role] = self.organization.issue_token(member)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        if sample:
            from airflow_provider_tallyfy.sandbox.sample import sample_organization

            sample_organization(self)

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> Sandbox:
        """Listen; returns once connections are accepted.

        :raises OSError: when the port is taken.
        """
        ready = threading.Event()
        failure: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, args=(ready, failure), name="tallyfy-sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        if failure:
            self._thread.join()
            self._thread = None
            raise failure[0]
        return self

    def stop(self) -> None:
        """Stop listening and cut what is still open."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop = self._thread = None

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _serve(self, ready: threading.Event, failure: list[BaseException]) -> None:
        loop = asyncio.new_event_loop()
        server = web.Server(self._front.handle, loop=loop, access_log=None)
        try:
            listener = loop.run_until_complete(loop.create_server(server, HOST, self.port, backlog=1024))
        except BaseException as error:
            failure.append(error)
            loop.close()
            ready.set()
            return
        self.port = listener.sockets[0].getsockname()[1]
        self._loop = loop
        ready.set()
        try:
            loop.run_forever()
        finally:
            listener.close()
            # No grace for requests under way: a slow fault may have minutes to go.
            loop.run_until_complete(server.shutdown(0.02))
            if pending := asyncio.all_tasks(loop):
                for task in pending:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(pending, timeout=1))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    # -- where it is and who may enter ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its address; the API is served here and at :attr:`api_url`."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """The same API under ``/api``, as go.tallyfy.com has it."""
        return f"{self.url}/api"

    @property
    def organization_id(self) -> str:
        """The organization's id, 32 hex digits."""
        return self.organization.id

    @property
    def token(self) -> str:
        """An administrator's token."""
        return self._tokens["admin"]

    def token_for(self, role: str) -> str:
        """The token of a member by role.

        :param role: admin, standard or light.
        """
        return self._tokens[role]

    def revoke(self, token: str) -> None:
        """End a token, as logging out of the web interface does."""
        with self.organization.lock:
            self.organization.tokens.pop(token, None)

    def connection(self, **overrides: Any) -> dict[str, Any]:
        """An Airflow connection to this sandbox, as keyword arguments of ``Connection``.

        :param overrides: fields to replace, e.g. ``host=f"{sandbox.url}/api", port=None``.
        """
        return {
            "conn_type": "tallyfy",
            "host": f"http://{HOST}",
            "port": self.port,
            "login": self.organization_id,
            "password": self.token,
            "extra": {"web_url": self.url},
            **overrides,
        }

    def connection_json(self, **overrides: Any) -> str:
        """The same as JSON, for ``airflow connections add --conn-json`` and ``AIRFLOW_CONN_...``."""
        return json.dumps(self.connection(**overrides))

    def connection_uri(self) -> str:
        """The same as URI."""
        web_url = quote(self.url, safe="")
        return f"tallyfy://{self.organization_id}:{self.token}@{HOST}:{self.port}/http?web_url={web_url}"

    # -- behaviour and faults ------------------------------------------------------------------------------------

    @property
    def behaviour(self) -> Behaviour:
        """Positions of the switches; assign ``dataclasses.replace(sandbox.behaviour, ...)`` to move some."""
        return self.organization.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        with self.organization.lock:
            self.organization.behaviour = behaviour

    @property
    def latency(self) -> float:
        """Seconds added to every answer; assignable."""
        return self._front.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._front.latency = seconds

    def fail(self, method: str, path_glob: str, fault: Fault, times: int | None = 1, after: int = 0) -> Injection:
        """Let requests meet a fault. Of several that fit, the one planned first counts.

        :param method: HTTP method, or ``*`` for any.
        :param path_glob: pattern for the path without ``/api`` and ``/organizations/{org}``, e.g. ``/runs/*``; a
            ``*`` also spans slashes.
        :param fault: what goes wrong.
        :param times: how often; ``None`` for ever.
        :param after: how many fitting requests to let through first.
        """
        return self._plan(Injection(method, path_glob, fault, times, after))

    def when(
        self, method: str, path_glob: str, action: Callable[[], object], times: int | None = 1, after: int = 0
    ) -> Injection:
        """Do something just before a fitting request is carried out: what other people do meanwhile.

        Rows shift between two pages: ``sandbox.when("GET", "/runs", lambda: sandbox.archive(run_id), after=1)``.

        :param action: called without arguments, in the server's thread; it may use this object.
        """
        return self._plan(Injection(method, path_glob, action, times, after))

    def complete_after(self, run_id: str, polls: int) -> Injection:
        """Have people complete a run just before its ``polls``-th reading from now on.

        :param polls: which ``GET /runs/{run_id}`` finds it complete; 1 is the next.
        """
        return self.when("GET", f"/runs/{run_id}", lambda: self.complete(run_id), after=polls - 1)

    def archive_after(self, run_id: str, polls: int) -> Injection:
        """Have the auto-archive bot archive a run just before its ``polls``-th reading from now on."""
        return self.when("GET", f"/runs/{run_id}", lambda: self.archive(run_id, by_bot=True), after=polls - 1)

    def _plan(self, entry: Injection) -> Injection:
        with self.organization.lock:
            self._front.plan.append(entry)
        return entry

    def heal(self) -> None:
        """Forget every planned fault and action."""
        with self.organization.lock:
            self._front.plan.clear()

    # -- requests ------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request so far."""
        with self.organization.lock:
            return list(self._front.records)

    @property
    def calls(self) -> list[str]:
        """Every request in one line: ``GET /runs?archived=only&page=1``."""
        return [record.call for record in self.requests]

    def forget_requests(self) -> None:
        """Empty :attr:`requests`."""
        with self.organization.lock:
            self._front.records.clear()

    # -- furnishing ----------------------------------------------------------------------------------------------

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
            return {**self._front.wire.template(template), "steps": self._front.wire.steps(template)}

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

    def add_run(self, name: str | None = None, **attributes: Any) -> str:
        """Add a run and return its id.

        :param name: what it is called.
        :param attributes: see :meth:`add_runs`.
        """
        with self.organization.lock:
            return self._new_run(name, **attributes).id

    def add_runs(self, count: int, name: str | None = None, **attributes: Any) -> list[str]:
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

        Fields as on the wire, ``status`` as it was before archiving, ``tags`` and ``folders`` as lists of ids, and
        ``is_archived``.
        """
        with self.organization.lock:
            run = self.organization.runs.get(run_id)
            return None if run is None else self._front.wire.run_state(run)

    def runs(self, archived: bool | None = None) -> list[dict[str, Any]]:
        """The true state of every run.

        :param archived: only the archived, or only the others.
        """
        with self.organization.lock:
            return [
                self._front.wire.run_state(run)
                for run in self.organization.runs.values()
                if archived is None or (run.archived_at is not None) is archived
            ]

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run in their true state, archived or not."""
        with self.organization.lock:
            tasks = self.organization.tasks_of(self.organization.runs[run_id]).values()
            return [self._front.wire.task(task, ("threads",), single=True) for task in tasks]

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
