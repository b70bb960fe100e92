"""What every Tallyfy hook does: one connection look-up, one session, calls sent and repeated, failures told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import requests
from airflow.providers.http.hooks.http import HttpHook
from requests.adapters import HTTPAdapter

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy._compat import AirflowNotFoundException, mask_secret
from airflow_provider_tallyfy.api.endpoints import custom
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Param, Request
from airflow_provider_tallyfy.api.protocol.problems import problem_of
from airflow_provider_tallyfy.api.protocol.reading import read_json
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_tallyfy.client.engine import Engine
from airflow_provider_tallyfy.client.requests_transport import (
    BearerAuth,
    KeptAdapter,
    Scrubber,
    Session,
    Transport,
    lost,
)
from airflow_provider_tallyfy.connection import DEFAULT_BASE_URL, Settings
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConfigurationError, error_from

T = TypeVar("T")


class TallyfyBaseHook(HttpHook):
    """The engine under :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook`; parameters as there."""

    conn_name_attr = "tallyfy_conn_id"
    default_conn_name = "tallyfy_default"
    default_host = DEFAULT_BASE_URL
    #: Tells the time and sleeps, for this hook and for the bulk changes that it makes. A test may set a faster one.
    clock: Clock = SYSTEM_CLOCK

    def __init__(
        self,
        tallyfy_conn_id: str = default_conn_name,
        *,
        organization_id: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
    ) -> None:
        super().__init__(method="GET", http_conn_id=tallyfy_conn_id, tcp_keep_alive=False)
        self.tallyfy_conn_id = tallyfy_conn_id
        self._organization_id = organization_id
        self._timeout = timeout
        self._max_retries = max_retries

    # -- the connection ----------------------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The connection, understood; looked up once.

        :raises TallyfyConfigurationError: if it does not exist or says something wrong.
        """
        try:
            connection = self.get_connection(self.tallyfy_conn_id)
        except AirflowNotFoundException:
            raise TallyfyConfigurationError(
                f"There is no connection {self.tallyfy_conn_id!r}. Create it under Admin > Connections (type Tallyfy), "
                f"with `airflow connections add {self.tallyfy_conn_id} --conn-type tallyfy --conn-login <Organization "
                "ID> --conn-password <access token>`, or pass tallyfy_conn_id."
            ) from None
        settings = Settings.of(self.tallyfy_conn_id, connection)
        for secret in settings.secrets:
            mask_secret(secret)
        return settings

    @cached_property
    def organization_id(self) -> str:
        """The organization that the calls are for.

        :raises TallyfyConfigurationError: if neither the hook nor the connection names one.
        :raises TallyfyArgumentError: if the hook was given something that is no id.
        """
        if self._organization_id is not None:
            return self._checked(check_id, "organization_id", self._organization_id)
        if self.settings.organization_id is None:
            raise TallyfyConfigurationError(
                f"The connection {self.tallyfy_conn_id!r} has no Organization ID. Put it into the login (32 "
                "characters, from Tallyfy > Settings > Integrations > REST API), or pass organization_id."
            )
        return self.settings.organization_id

    @cached_property
    def max_retries(self) -> int:
        """Repetitions of a request after a passing fault."""
        return self.settings.max_retries if self._max_retries is None else self._max_retries

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self._transport, RetryPolicy(max_retries=self.max_retries), self.log, self.clock)

    @cached_property
    def _adapter(self) -> KeptAdapter:
        return KeptAdapter()

    @cached_property
    def _transport(self) -> Transport:
        return self._new_transport(self._new_session())

    def new_worker_transport(self) -> Transport:
        """A transport with a connection of its own, for one of several threads."""
        return self._new_transport(self._new_session(KeptAdapter(connections=1)))

    def _new_transport(self, session: requests.Session) -> Transport:
        # The environment's proxies and CA bundle are the same for every request, so they are looked up once.
        options = session.merge_environment_settings(
            self.settings.base_url, session.proxies, session.stream, session.verify, session.cert
        )
        timeout = self.settings.timeout if self._timeout is None else self._timeout
        return Transport(session, self.settings.base_url, timeout, Scrubber(self.settings.secrets), options)

    def _new_session(self, adapter: HTTPAdapter | None = None) -> requests.Session:
        settings = self.settings
        for extra, paths in (("verify", settings.verify), ("cert", settings.cert)):
            for path in paths if isinstance(paths, tuple) else (paths,):
                if isinstance(path, str) and not os.path.exists(path):
                    raise TallyfyConfigurationError(
                        f"The connection {self.tallyfy_conn_id!r} has the extra {extra!r}: no file {path!r} here."
                    )
        session = Session()
        session.auth = BearerAuth(settings)
        session.headers.update(
            {
                "Accept": "application/json",
                "X-Tallyfy-Client": "APIClient",
                "User-Agent": f"airflow-provider-tallyfy/{__version__} {requests.utils.default_user_agent()}",
            }
        )
        session.verify = settings.verify
        session.cert = settings.cert  # type: ignore[assignment]  # requests takes a pair of paths as well
        session.proxies = dict(settings.proxies)
        session.mount("https://", adapter or self._adapter)
        session.mount("http://", adapter or self._adapter)
        return session

    # -- HttpHook ------------------------------------------------------------------------------------------------------

    def get_conn(
        self, headers: Mapping[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return the hook's session, or, given headers, one of its own with them (on the same connection pool).

        :param headers: additional headers.
        :param extra_options: ``timeout`` and ``check_response``, as in ``HttpHook``.
        """
        self.base_url = self.settings.base_url
        self._base_url_initialized = True
        self.merged_extra = dict(extra_options or {})
        if not headers:
            return self._transport.session
        session = self._new_session()
        session.headers.update(headers)
        return session

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any] | None
    ) -> Any:
        """Send what ``run()`` prepared, with this connection's time-out and TLS settings, following no redirect.

        :param extra_options: ``timeout`` in seconds, and ``check_response=False`` to get error answers back.
        :raises TallyfyApiError: for an answer that is not a success, and for none.
        """
        options = extra_options or {}
        self._engine.request_count += 1
        try:
            response = session.send(
                prepped_request,
                timeout=options.get("timeout") or self._transport.timeout,
                allow_redirects=False,
                **self._transport.options,
            )
        except requests.RequestException as fault:
            raise error_from(
                problem_of(Exchange(_request_of(prepped_request), lost(fault, self._transport.scrub)))
            ) from None
        if options.get("check_response", True):
            self.check_response(response)
        return response

    def check_response(self, response: requests.Response) -> None:
        """Raise the exception of this provider that fits the answer; its body is not logged.

        :raises TallyfyApiError: for every answer that is not a success.
        """
        answered = self._transport.response(response)
        if not answered.ok:
            raise error_from(problem_of(Exchange(_request_of(response.request), answered)))

    # -- the engine: everything below goes through it -----------------------------------------------------------------

    def _perform(self, flow: Flow[T]) -> T:
        """Run a flow of calls to its end, and turn what it raises into the exceptions of this provider."""
        return self._engine.perform(flow)

    @property
    def request_count(self) -> int:
        """How many requests this hook has sent."""
        return self._engine.request_count

    def request(
        self, method: str, path: str, *, params: Mapping[str, Param | None] | None = None, json: Any = None
    ) -> Any:
        """Request any endpoint.

        :param method: ``GET``, ``POST``, ``PUT``, ``DELETE``, ``PATCH`` or ``HEAD``.
        :param path: path below the base URL, such as ``f"/organizations/{hook.organization_id}/tags"``.
        :param params: query parameters; ``None`` = not sent.
        :param json: body.
        :return: the parsed body as it came (with its ``data``), ``None`` for an empty one.
        :raises TallyfyApiError: for every answer that is not a readable success.
        """
        return self._perform(read_json(self._checked(custom.custom, method, path, params, json)))

    @staticmethod
    def _checked(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Request a pure function of the API rules; a refused argument becomes the public exception."""
        try:
            return function(*args, **kwargs)
        except ArgumentError as error:
            raise TallyfyArgumentError(str(error)) from None


def _request_of(request: requests.PreparedRequest) -> Request:
    """The request that a request of ``run()`` amounts to, for errors."""
    path = (request.path_url or "/").split("?")[0].strip("/")
    return Request(request.method or "GET", tuple(path.split("/")))
