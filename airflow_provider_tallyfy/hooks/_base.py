"""The base of the hook: looks up the connection once, and sends requests over one engine.

:class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` combines several classes, one file per group of methods
(``_find_runs.py``, ``_bulk_runs.py``, ...). Each of them derives from :class:`TallyfyBaseHook` only, so they do not
depend on each other, and ``self._perform`` is defined here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_tallyfy._compat import mask_secret
from airflow_provider_tallyfy.api.endpoints import custom
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, Param
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_tallyfy.client.engine import Engine
from airflow_provider_tallyfy.client.requests_transport import RequestsTransport
from airflow_provider_tallyfy.client.scrub import proxy_passwords
from airflow_provider_tallyfy.connection import (
    DEFAULT_BASE_URL,
    MAX_RETRIES_RULE,
    TIMEOUT_RULE,
    Settings,
    as_max_retries,
    as_timeout,
)
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConfigurationError
from airflow_provider_tallyfy.hooks._connection_lookup import look_up_connection

T = TypeVar("T")


class TallyfyBaseHook(HttpHook):
    """Connection and engine of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook`, with its parameters."""

    conn_name_attr = "tallyfy_conn_id"
    default_conn_name = "tallyfy_default"
    default_host = DEFAULT_BASE_URL
    #: The clock of this hook and of its bulk changes. Tests set a faster one.
    clock: Clock = SYSTEM_CLOCK

    def __init__(
        self,
        tallyfy_conn_id: str = default_conn_name,
        *,
        organization_id: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
    ) -> None:
        checks: tuple[tuple[str, object, Callable[[object], object], str], ...] = (
            ("timeout", timeout, as_timeout, TIMEOUT_RULE),
            ("max_retries", max_retries, as_max_retries, MAX_RETRIES_RULE),
        )
        for name, value, read, rule in checks:
            if value is not None and (isinstance(value, str) or read(value) is None):
                raise TallyfyArgumentError(f"{name}={show(value)} must be {rule}, or None to use the connection's.")
        super().__init__(method="GET", http_conn_id=tallyfy_conn_id, tcp_keep_alive=False)
        self.tallyfy_conn_id = tallyfy_conn_id
        self._organization_id = organization_id
        self._timeout = timeout
        self._max_retries = max_retries

    def __getstate__(self) -> dict[str, Any]:
        """Return the arguments alone, for pickle and copy. The copy looks up its connection, so it holds no token."""
        looked_up = {
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, cached_property)
        }
        return {name: value for name, value in vars(self).items() if name not in looked_up}

    # -- the connection ----------------------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The settings of the connection, which is looked up once.

        :raises TallyfyConnectionNotFoundError: if Airflow does not find the connection, or cannot look it up now.
        :raises TallyfyConfigurationError: if a field of the connection is wrong.
        """
        connection = look_up_connection(self.get_connection, self.tallyfy_conn_id)
        settings = Settings.of(self.tallyfy_conn_id, connection)
        for secret in (settings.token, *proxy_passwords(settings.proxies)):
            mask_secret(secret)
        return settings

    @cached_property
    def organization_id(self) -> str:
        """Id of the organization that this hook works on.

        :raises TallyfyConfigurationError: if neither the hook nor the connection has one.
        :raises TallyfyArgumentError: if the argument ``organization_id`` is not an id.
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
        """How often a request is repeated after a temporary failure."""
        return self.settings.max_retries if self._max_retries is None else self._max_retries

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self._transport, RetryPolicy(max_retries=self.max_retries), self.log, self.clock)

    @cached_property
    def _transport(self) -> RequestsTransport:
        transport = RequestsTransport.for_settings(self.settings, self._timeout)
        for secret in transport.scrub.secrets:  # proxies from the environment may have passwords too
            mask_secret(secret)
        return transport

    def new_worker_transport(self) -> RequestsTransport:
        """Return a transport with its own TCP connection, for a worker thread."""
        return self._transport.another()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _perform(self, flow: Flow[T]) -> T:
        """Run a flow to its end and return its result; failures are raised as exceptions of this provider."""
        return self._engine.perform(flow)

    @property
    def request_count(self) -> int:
        """Number of requests that this hook has sent."""
        return self._engine.request_count

    def request(
        self, method: str, path: str, *, params: Mapping[str, Param | None] | None = None, json: Any = None
    ) -> Any:
        """Call any endpoint.

        :param method: ``GET``, ``POST``, ``PUT``, ``DELETE``, ``PATCH`` or ``HEAD``.
        :param path: path below the base URL, such as ``f"/organizations/{hook.organization_id}/tags"``.
        :param params: query parameters; those with the value ``None`` are not sent.
        :param json: the body, sent as JSON.
        :return: the parsed body, including its ``data`` key; ``None`` if the body is empty.
        :raises TallyfyApiError: for an error status, for an unreadable response, and if there is no response.
        """
        return self._perform(ask(self._checked(custom.custom, method, path, params, json)))

    @staticmethod
    def _checked(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function of ``api/``, and raise its ``ArgumentError`` as :class:`TallyfyArgumentError`."""
        try:
            return function(*args, **kwargs)
        except ArgumentError as error:
            raise TallyfyArgumentError(str(error)) from None
