"""The ``requests`` session of a connection: whom the token is shown to, and how connections are kept."""

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
from airflow_provider_tallyfy.client.bounded import Wire, bound
from airflow_provider_tallyfy.client.tls import tls_context
from airflow_provider_tallyfy.client.transport import TOTAL_TIMEOUTS
from airflow_provider_tallyfy.connection import Settings, is_loopback, origin_of
from airflow_provider_tallyfy.exceptions import TallyfyConfigurationError

HEADERS = {
    "Accept": "application/json",
    # What the response is decompressed from, bounded; requests would also offer what happens to be installed.
    "Accept-Encoding": "gzip, deflate",
    "X-Tallyfy-Client": "APIClient",
}


class Session(requests.Session):
    """A session that follows no redirect, whoever uses it: the token is for one address.

    ``allow_redirects=False`` is not enough, for ``requests`` then still reads where it would have gone, and raises
    a bare ``ValueError`` where that is no URL.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """There is none."""
        return None


class BearerAuth(AuthBase):
    """Adds the token, to requests for the connection's own host alone.

    An ``AuthBase`` rather than a header, for ``requests`` replaces a header by what ``~/.netrc`` holds.
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
        """Refuse to be pickled: it holds the token."""
        raise TypeError("A session of a TallyfyHook holds the access token and can't be pickled; pickle the hook.")


class KeptAdapter(HTTPAdapter):
    """Keeps bounded connections, alive while idle as ``HttpHook`` does, and none across a fork.

    :param connections: most connections to keep per host.
    """

    _KEEP_ALIVE = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 20))  # seconds, seconds, probes

    def __init__(self, connections: int = 10) -> None:
        self.wire = Wire()
        self.process = os.getpid()
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Set the socket options that this platform knows."""
        known = [(getattr(socket, name), value) for name, value in self._KEEP_ALIVE if hasattr(socket, name)]
        options["socket_options"] = [
            *HTTPConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            *((socket.IPPROTO_TCP, option, value) for option, value in known),
        ]
        super().init_poolmanager(connections, maxsize, block, **options)
        self._maxsize = maxsize
        bound(self.poolmanager, self.wire)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the manager of the connections by way of a proxy."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            bound(manager, self.wire)
        return manager

    def pool_for(self, request: requests.PreparedRequest, options: dict[str, Any]) -> Any:
        """Return the pool of connections for a request's host, with its proxy and TLS settings."""
        self.forget_other_process()
        pool = self.get_connection_with_tls_context(
            request, options["verify"], proxies=options["proxies"], cert=options["cert"]
        )
        # As send() of requests does it.
        self.cert_verify(pool, request.url or "", options["verify"], options["cert"])  # type: ignore[no-untyped-call]  # stubs
        return pool

    def forget_other_process(self) -> None:
        """After a fork, leave the connections to the parent: two processes on one would read each other's answers."""
        if self.process != os.getpid():
            self.process = os.getpid()
            self.proxy_manager = {}
            self.init_poolmanager(self._maxsize, self._maxsize)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request of somebody who has the session, bounded like the hook's own."""
        self.forget_other_process()
        timeout = options.get("timeout")
        patience = timeout[1] if isinstance(timeout, tuple) else timeout
        self.wire.begin(TOTAL_TIMEOUTS * patience if isinstance(patience, int | float) else float("inf"))
        if is_loopback(urlsplit(request.url or "").hostname):
            options["proxies"] = {}  # the token does not leave this machine
        return super().send(request, *args, **options)


def options_for(settings: Settings, session: requests.Session) -> dict[str, Any]:
    """Return proxies, CA certificates and client certificate, the environment's merged in."""
    merged = session.merge_environment_settings(settings.base_url, session.proxies, False, session.verify, session.cert)
    options: dict[str, Any] = {**merged, "proxies": dict(merged["proxies"] or {})}
    if settings.is_loopback:
        options["proxies"] = {}  # no token leaves this machine in plain text
    return options


def tls_of(settings: Settings, options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the TLS context that options amount to.

    :raises TallyfyConfigurationError: for certificates or a key that can't be used.
    """
    variable = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "CURL_CA_BUNDLE"
    source = "the extra 'verify'" if options["verify"] == settings.verify else f"the environment's {variable}"
    return tls_context(options["verify"], settings.cert, settings.conn_id, source)


def headers_of(library: str) -> dict[str, str]:
    """Return the headers of all requests but the token's.

    :param library: what sends them, for the user agent.
    """
    return {**HEADERS, "User-Agent": f"airflow-provider-tallyfy/{__version__} {library}"}


def new_session(settings: Settings, adapter: KeptAdapter) -> requests.Session:
    """Return a session for a connection; several may share an adapter, and with it the connections."""
    session = Session()
    session.auth = BearerAuth(settings)
    session.headers.update(headers_of(requests.utils.default_user_agent()))
    session.verify = settings.verify
    session.cert = settings.cert  # type: ignore[assignment]  # requests takes a pair of paths as well
    session.proxies = dict(settings.proxies)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
