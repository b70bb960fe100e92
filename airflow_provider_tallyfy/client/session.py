"""The ``requests`` session of a connection: which host gets the token, and how connections are kept."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy.client.bounded import RequestState, use_bounded_connections
from airflow_provider_tallyfy.client.tls import tls_context
from airflow_provider_tallyfy.client.transport import TOTAL_TIMEOUTS
from airflow_provider_tallyfy.connection import Settings, is_loopback, origin_of
from airflow_provider_tallyfy.exceptions import TallyfyConfigurationError

HEADERS = {
    "Accept": "application/json",
    # The codings that decoding.py supports. requests would add br and zstd if they happen to be installed.
    "Accept-Encoding": "gzip, deflate",
    "X-Tallyfy-Client": "APIClient",
}


class Session(requests.Session):
    """A session that never follows a redirect, because the token is for one host.

    ``allow_redirects=False`` is not enough: ``requests`` then still parses the target, and raises ``ValueError`` if it
    is not a valid URL.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return ``None``: no redirect."""
        return None


class BearerAuth(AuthBase):
    """Adds the token, but only to requests for the connection's own host.

    This is an ``AuthBase`` and not a header, because ``requests`` replaces the header by the password in ``~/.netrc``.
    """

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token
        self._origin = settings.origin

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token."""
        if origin_of(request.url or "") != self._origin:
            raise TallyfyConfigurationError(
                f"The access token is for {self._origin[1]} and is not sent to any other host or port."
            )
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return f"BearerAuth(***, for {self._origin[1]})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Prevent pickling, because a pickle would contain the token."""
        raise TypeError("A session of a TallyfyHook holds the access token and can't be pickled; pickle the hook.")


class KeptAdapter(HTTPAdapter):
    """Keeps bounded connections, with TCP keep-alive like ``HttpHook``, but not across a fork.

    :param connections: most connections to keep per host.
    """

    _KEEP_ALIVE = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 20))  # seconds, seconds, probes

    def __init__(self, connections: int = 10) -> None:
        self.state = RequestState()
        self.process = os.getpid()
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Create the pool manager, with the keep-alive options that this platform supports."""
        known = [(getattr(socket, name), value) for name, value in self._KEEP_ALIVE if hasattr(socket, name)]
        options["socket_options"] = [
            *HTTPConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            *((socket.IPPROTO_TCP, option, value) for option, value in known),
        ]
        super().init_poolmanager(connections, maxsize, block, **options)
        self._maxsize = maxsize
        use_bounded_connections(self.poolmanager, self.state)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pool manager for a proxy."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            use_bounded_connections(manager, self.state)
        return manager

    def pool_for(self, request: requests.PreparedRequest, options: dict[str, Any]) -> Any:
        """Return the connection pool for a request's host, with its proxy and TLS settings."""
        self.forget_other_process()
        pool = self.get_connection_with_tls_context(
            request, options["verify"], proxies=options["proxies"], cert=options["cert"]
        )
        # HTTPAdapter.send() does the same.
        self.cert_verify(pool, request.url or "", options["verify"], options["cert"])  # type: ignore[no-untyped-call]  # stubs
        return pool

    def forget_other_process(self) -> None:
        """After a fork, drop the parent's connections: two processes on one would read each other's answers."""
        if self.process != os.getpid():
            self.process = os.getpid()
            self.proxy_manager = {}
            self.init_poolmanager(self._maxsize, self._maxsize)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request of the session, such as one from ``HttpHook.run``, with the limits of the hook's own."""
        self.forget_other_process()
        timeout = options.get("timeout")
        read_timeout = timeout[1] if isinstance(timeout, tuple) else timeout
        self.state.begin(TOTAL_TIMEOUTS * read_timeout if isinstance(read_timeout, int | float) else float("inf"))
        if is_loopback(urlsplit(request.url or "").hostname):
            options["proxies"] = {}  # a proxy would get the token in plain text
        return super().send(request, *args, **options)


def options_for(settings: Settings, session: requests.Session) -> dict[str, Any]:
    """Return proxies, CA certificates and client certificate, merged with those of the environment."""
    merged = session.merge_environment_settings(settings.base_url, session.proxies, False, session.verify, session.cert)
    options: dict[str, Any] = {**merged, "proxies": dict(merged["proxies"] or {})}
    if settings.is_loopback:
        options["proxies"] = {}  # a proxy would get the token in plain text
    return options


def tls_of(settings: Settings, options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the TLS context for the options.

    :raises TallyfyConfigurationError: for an invalid certificate or key.
    """
    variable = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "CURL_CA_BUNDLE"
    source = "the extra 'verify'" if options["verify"] == settings.verify else f"the environment's {variable}"
    return tls_context(options["verify"], settings.cert, settings.conn_id, source)


def headers_of(library: str) -> dict[str, str]:
    """Return the headers of all requests, without the token.

    :param library: the HTTP library, for the user agent.
    """
    return {**HEADERS, "User-Agent": f"airflow-provider-tallyfy/{__version__} {library}"}


def new_session(settings: Settings, adapter: KeptAdapter) -> requests.Session:
    """Return a session for a connection. Several sessions may share an adapter and its connections."""
    session = Session()
    session.auth = BearerAuth(settings)
    session.headers.update(headers_of(requests.utils.default_user_agent()))
    session.verify = settings.verify
    session.cert = settings.cert  # type: ignore[assignment]  # requests takes a pair of paths as well
    session.proxies = dict(settings.proxies)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
