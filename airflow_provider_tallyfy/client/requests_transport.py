"""Sends one request and returns one reply, over ``requests`` and ``urllib3``. All rules are in ``api``."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from airflow_provider_tallyfy._compat import AirflowException
from airflow_provider_tallyfy.api.protocol.messages import Lost, LostKind, Request, Response
from airflow_provider_tallyfy.client.decoding import decoded
from airflow_provider_tallyfy.client.lost_answers import (
    cant_be_sent,
    causes_of,
    is_about_certificates,
    words_of,
    written,
)
from airflow_provider_tallyfy.client.scrub import Scrubber, proxy_passwords
from airflow_provider_tallyfy.client.session import KeptAdapter, new_session, options_for, tls_of
from airflow_provider_tallyfy.client.transport import CONNECT_TIMEOUT, TOTAL_TIMEOUTS
from airflow_provider_tallyfy.connection import Settings

# urllib3 raises every fault as it is; retries are up to RetryPolicy.
_NO_RETRIES = Retry(False, redirect=False)


class RequestsTransport:
    """Sends requests on kept connections of its own.

    ``requests`` interprets proxies, certificates and their environment variables, and sets up the connection pool. The
    requests themselves go directly to the pool, because ``requests`` would prepare every single one from scratch.

    :param settings: the connection.
    :param timeout: seconds to wait for the next bytes of a response. The whole response may take five times as long.
    :param connections: most connections to keep.
    :param like: a transport for the same connection, which has already checked proxies and certificates.
    """

    def __init__(
        self, settings: Settings, timeout: float, connections: int, like: RequestsTransport | None = None
    ) -> None:
        self.settings = settings
        self.timeout = timeout
        self.adapter = KeptAdapter(connections)
        self.session = new_session(settings, self.adapter)
        if like is None:
            self.options = options_for(settings, self.session)
            if isinstance(self.options["verify"], str) or settings.cert:
                tls_of(settings, self.options)  # urllib3's own errors come later, and say less
        else:
            self.options = like.options
        self.scrub = Scrubber(settings.token, proxy_passwords({**settings.proxies, **self.options["proxies"]}))
        self._limits = Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout)
        self._pool: Any = None
        self._process = 0

    @classmethod
    def for_settings(
        cls, settings: Settings, timeout: float | None = None, *, connections: int = 10
    ) -> RequestsTransport:
        """Make a transport for a connection.

        :param timeout: seconds; ``None`` = the connection's.
        :param connections: most connections to keep.
        :raises TallyfyConfigurationError: for an invalid certificate, key or proxy.
        """
        return cls(settings, settings.timeout if timeout is None else timeout, connections)

    def another(self) -> RequestsTransport:
        """Return another transport with a connection of its own, for another thread."""
        return RequestsTransport(self.settings, self.timeout, 1, like=self)

    def send(self, request: Request) -> Response | Lost:
        """Send a request once; see :class:`~airflow_provider_tallyfy.client.transport.Transport`."""
        body, target = written(request)
        state = self.adapter.state
        state.begin(TOTAL_TIMEOUTS * self.timeout)
        if self._process != os.getpid():
            self._prepare()
        raw = None
        try:
            raw = self._pool.urlopen(
                request.method,
                f"{self._base_path}{target}",
                body,
                self._headers if body is None else self._headers_with_body,
                _NO_RETRIES,
                redirect=False,
                timeout=self._limits,
                preload_content=False,
                decode_content=False,
            )
            content = raw.read(decode_content=False)
            coding = raw.headers.get("content-encoding")
            if coding is not None:
                content = decoded(content, coding)
            response = Response(
                raw.status, {name.lower(): value for name, value in raw.headers.items()}, content, time.time()
            )
        except BaseException as fault:
            if raw is not None:
                raw.close()
            # Exceptions of signal handlers are not ours. Any other exception, of whatever type, means a lost answer.
            if isinstance(fault, AirflowException) or not isinstance(fault, Exception):
                raise
            return lost(fault, state.sent, self.scrub)
        self.scrub.check_body(content)
        return response

    def _prepare(self) -> None:
        """Set up what all requests of this process share."""
        url = self.settings.base_url
        try:
            common = self.session.prepare_request(requests.Request("GET", f"{url}/"))
            self._pool = self.adapter.pool_for(common, self.options)
        except AirflowException:
            raise
        except Exception as fault:
            raise cant_be_sent(fault, self.scrub) from None
        self._base_path = urlsplit(common.url or "").path.rstrip("/")
        self._headers = dict(common.headers)
        self._headers_with_body = {**self._headers, "Content-Type": "application/json"}
        self._process = os.getpid()

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def __repr__(self) -> str:
        return f"RequestsTransport({self.settings.base_url!r})"


def lost(fault: Exception, sent: bool, scrub: Scrubber) -> Lost:
    """Return the reason for which an answer was lost.

    :param fault: the exception from ``requests``, ``urllib3`` or below.
    :param sent: whether bytes of the request may have been sent to Tallyfy.
    :raises TallyfyConfigurationError: for an invalid URL, proxy or header; nothing was sent.
    """
    causes = list(causes_of(fault))

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    if not sent and not _is_network_fault(fault):
        raise cant_be_sent(fault, scrub) from None
    kind: LostKind
    if caused_by(socket.gaierror):
        kind = "dns"
    elif caused_by(ProxyError):
        kind = "proxy"
    elif caused_by(NewConnectionError, ConnectionRefusedError):
        kind = "refused"
    elif caused_by(ConnectTimeoutError):
        kind = "connect-timeout"
    elif caused_by(ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
        kind = "cut"
    elif caused_by(ssl.SSLError, SSLError):
        kind = "tls" if not sent or any(is_about_certificates(cause) for cause in causes) else "cut"
    elif caused_by(ReadTimeoutError, TimeoutError, requests.Timeout):
        kind = "timeout" if sent else "connect-timeout"
    else:
        kind = "cut"
    return Lost(kind, f"{type(fault).__name__}: {words_of(fault, scrub)}", sent)


def _is_network_fault(fault: Exception) -> bool:
    """Whether a fault before sending comes from the network, and not from an invalid URL or setting."""
    if isinstance(fault, http.client.InvalidURL) or (
        isinstance(fault, ValueError) and not isinstance(fault, ssl.SSLError)
    ):
        return False
    return isinstance(fault, OSError | HTTPError | http.client.HTTPException)
