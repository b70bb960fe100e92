"""The class ``Sandbox``, which tests and demos use to start, fill, inspect and stop an organization."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
from airflow_provider_tallyfy.sandbox.contents import Contents
from airflow_provider_tallyfy.sandbox.faults import Fault, Injection
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.registry import ROLES
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord
from airflow_provider_tallyfy.sandbox.sample import sample_organization
from airflow_provider_tallyfy.sandbox.server import Server
from airflow_provider_tallyfy.sandbox.state import RateLimit, SandboxState

HOST = "127.0.0.1"


class Sandbox(Contents):
    """A Tallyfy organization on loopback.

    ::

        with Sandbox() as sandbox:
            run_id = sandbox.add_run(name="Onboarding - ACME")
            requests.delete(f"{sandbox.api_url}/organizations/{sandbox.organization_id}/runs/{run_id}", ...)
            assert sandbox.run(run_id)["archived_at"]
            assert sandbox.calls == [f"DELETE /runs/{run_id}"]

    :attr:`people` are members and guests who work on runs when a script says so.

    :param behaviour: the switches for what is unknown about the API.
    :param latency: seconds added to every response. Concurrent requests wait at the same time.
    :param rate_limit: ``(requests, seconds)``: more requests in that time get 429.
    :param port: port on 127.0.0.1; 0 = a free one.
    :param sample: fill it with :func:`sample_organization`.
    :param seed: makes ids and tokens reproducible.
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
        super().__init__(Organization(behaviour or Behaviour(), seed))
        self.port = port
        limit = RateLimit(*rate_limit) if rate_limit else None
        self._state = SandboxState(self.organization, self.people, latency, limit)
        self._server = Server(self._state)
        self._tokens: dict[str, str] = {}
        for role in ROLES:
            member = self.organization.add_member(f"{role}@sandbox.example", role, role.capitalize(), "Member")
            self._tokens[role] = self.organization.issue_token(member)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        if sample:
            sample_organization(self)

    # -- start and stop ----------------------------------------------------------------------------------------

    def start(self) -> Sandbox:
        """Start the server. Returns when it accepts connections.

        :raises OSError: if the port is in use.
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
        """Stop the server and close all connections."""
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
        try:
            server, listener = loop.run_until_complete(self._listen())
        except BaseException as error:
            failure.append(error)
            loop.close()
            ready.set()
            return
        self.port = listener.sockets[0].getsockname()[1]
        self._loop = loop
        self.people.keep_time(loop)
        ready.set()
        try:
            loop.run_forever()
        finally:
            self.people.keep_time(None)
            listener.close()
            # Do not wait for requests in progress: a slow fault may take minutes.
            loop.run_until_complete(server.shutdown(0.02))
            if pending := asyncio.all_tasks(loop):
                for task in pending:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(pending, timeout=1))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _listen(self) -> tuple[web.Server, asyncio.Server]:
        server = web.Server(self._server.handle, access_log=None)
        return server, await asyncio.get_running_loop().create_server(server, HOST, self.port, backlog=1024)

    # -- addresses and access ---------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Address of the sandbox. The API is served here and at :attr:`api_url`."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """Address of the same API under ``/api``, as on go.tallyfy.com."""
        return f"{self.url}/api"

    @property
    def organization_id(self) -> str:
        """Id of the organization, 32 hex digits."""
        return self.organization.id

    @property
    def token(self) -> str:
        """Access token of an administrator."""
        return self._tokens["admin"]

    def token_for(self, role: str) -> str:
        """Return the access token of a member with a role.

        :param role: admin, standard or light.
        """
        return self._tokens[role]

    def revoke(self, token: str) -> None:
        """Revoke a token, as logging out of the web app does."""
        with self.organization.lock:
            self.organization.tokens.pop(token, None)

    def connection(self, **overrides: Any) -> dict[str, Any]:
        """Return an Airflow connection to this sandbox, as keyword arguments of ``Connection``.

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
        """Return the connection as JSON, for ``airflow connections add --conn-json`` and ``AIRFLOW_CONN_...``."""
        return json.dumps(self.connection(**overrides))

    def connection_uri(self) -> str:
        """Return the connection as URI."""
        web_url = quote(self.url, safe="")
        return f"tallyfy://{self.organization_id}:{self.token}@{HOST}:{self.port}/http?web_url={web_url}"

    # -- behaviour and faults ------------------------------------------------------------------------------------

    @property
    def behaviour(self) -> Behaviour:
        """The switches. To change some, assign ``dataclasses.replace(sandbox.behaviour, ...)``."""
        return self.organization.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        with self.organization.lock:
            self.organization.behaviour = behaviour

    @property
    def latency(self) -> float:
        """Seconds added to every response. Can be assigned."""
        return self._state.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._state.latency = seconds

    def fail(self, method: str, path_glob: str, fault: Fault, times: int | None = 1, after: int = 0) -> Injection:
        """Let matching requests meet a fault. If several faults match, the first one planned is used.

        :param method: HTTP method, or ``*`` for any.
        :param path_glob: pattern for the path without ``/api`` and ``/organizations/{org}``, e.g. ``/runs/*``; a
            ``*`` also spans slashes.
        :param fault: what goes wrong.
        :param times: how often; ``None`` = always.
        :param after: how many matching requests to let through first.
        """
        return self._plan(Injection(method, path_glob, fault, times, after))

    def when(
        self, method: str, path_glob: str, action: Callable[[], object], times: int | None = 1, after: int = 0
    ) -> Injection:
        """Call a function just before a matching request is carried out, to simulate what other people do.

        To shift rows between two pages: ``sandbox.when("GET", "/runs", lambda: sandbox.archive(run_id), after=1)``.

        :param action: called without arguments in the server's thread. It may use this sandbox.
        """
        return self._plan(Injection(method, path_glob, action, times, after))

    def complete_after(self, run_id: str, polls: int) -> Injection:
        """Complete a run just before it is read for the ``polls``-th time from now on.

        :param polls: the ``GET /runs/{run_id}`` that shows the run as complete; 1 is the next one.
        """
        return self.when("GET", f"/runs/{run_id}", lambda: self.complete(run_id), after=polls - 1)

    def archive_after(self, run_id: str, polls: int) -> Injection:
        """Archive a run, as the auto-archive bot does, just before it is read for the ``polls``-th time from now on."""
        return self.when("GET", f"/runs/{run_id}", lambda: self.archive(run_id, by_bot=True), after=polls - 1)

    def _plan(self, entry: Injection) -> Injection:
        with self.organization.lock:
            self._state.plan.append(entry)
        return entry

    def forget_faults(self) -> None:
        """Remove all planned faults and actions."""
        with self.organization.lock:
            self._state.plan.clear()

    #: The former name.

    # -- requests ------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests so far."""
        with self.organization.lock:
            return list(self._state.records)

    @property
    def calls(self) -> list[str]:
        """All requests, each as one line: ``GET /runs?archived=only&page=1``."""
        return [record.call for record in self.requests]

    def forget_requests(self) -> None:
        """Empty :attr:`requests`."""
        with self.organization.lock:
            self._state.records.clear()
