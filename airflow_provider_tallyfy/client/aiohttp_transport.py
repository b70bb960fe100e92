"""Sends one request and returns one reply, over ``aiohttp``: for event loops, by the same rules as ``requests``."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import requests
from yarl import URL

from airflow_provider_tallyfy._compat import AirflowException
from airflow_provider_tallyfy.api.protocol.messages import Lost, LostKind, Request, Response
from airflow_provider_tallyfy.client.bounded import SWITCHING_PROTOCOLS, TOO_LARGE, Malformed, TooLarge, check_framing
from airflow_provider_tallyfy.client.decoding import decoded
from airflow_provider_tallyfy.client.lost_answers import (
    cant_be_sent,
    causes_of,
    is_about_certificates,
    words_of,
    written,
)
from airflow_provider_tallyfy.client.scrub import Scrubber, proxy_passwords
from airflow_provider_tallyfy.client.session import KeptAdapter, headers_of, new_session, options_for, tls_of
from airflow_provider_tallyfy.client.transport import CONNECT_TIMEOUT, MAX_RESPONSE_BYTES, TOTAL_TIMEOUTS
from airflow_provider_tallyfy.connection import Settings

_PIECE = 64 * 1024  # bytes
MAX_HEADERS = 100  # the same as in http.client


@dataclass
class _RequestState:
    """The progress of a request.

    :param begun: whether it has had a connection.
    :param sent: whether bytes of it may have been sent to Tallyfy (bytes for a proxy do not count).
    """

    begun: bool = False
    sent: bool = False


class AiohttpTransport:
    """Sends requests from an event loop, for any number of tasks at a time.

    Each request has a connection of its own, because ``aiohttp`` passes bytes that arrive on an idle connection to the
    next request as its answer. This costs little: triggers send only a few requests per minute.

    :param settings: the connection.
    :param timeout: seconds to wait for the next bytes of a response. The whole response may take five times as long.
    """

    def __init__(self, settings: Settings, timeout: float) -> None:
        self.settings = settings
        self.timeout = timeout
        with new_session(settings, KeptAdapter(connections=1)) as session:  # reads proxies and CAs from the environment
            options = options_for(settings, session)
        self._tls = tls_of(settings, options)
        self.scrub = Scrubber(settings.token, proxy_passwords({**settings.proxies, **options["proxies"]}))
        self._proxy = self._proxy_of(options["proxies"])
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._closed = False

    @classmethod
    def for_settings(cls, settings: Settings, timeout: float | None = None) -> AiohttpTransport:
        """Make a transport for a connection.

        :param timeout: seconds; ``None`` = the connection's.
        :raises TallyfyConfigurationError: for an invalid certificate, key or proxy.
        """
        return cls(settings, settings.timeout if timeout is None else timeout)

    def _proxy_of(self, proxies: dict[str, str]) -> URL | None:
        proxy = requests.utils.select_proxy(self.settings.base_url, proxies)
        if not proxy:
            return None
        try:
            url = URL(proxy if "://" in proxy else f"http://{proxy}")
            if url.scheme not in {"http", "https"} or not url.host:
                raise ValueError("a proxy must be an http:// or https:// URL")
        except ValueError as fault:
            raise cant_be_sent(fault, self.scrub) from None
        return url

    def _session_here(self) -> aiohttp.ClientSession:
        """Return the session of the running event loop. A session can only be used in the loop that made it.

        :raises RuntimeError: after :meth:`close`, because nobody would close a new session.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} was closed.")
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._forget_ended_loops()
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_start.append(_note_begun)
            trace.on_request_headers_sent.append(_note_sent)
            self._sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, force_close=True),
                headers=headers_of(f"aiohttp/{aiohttp.__version__}"),
                timeout=aiohttp.ClientTimeout(
                    total=TOTAL_TIMEOUTS * self.timeout,
                    sock_connect=min(CONNECT_TIMEOUT, self.timeout),
                    sock_read=self.timeout,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # ignores ~/.netrc; the proxies of the environment are in the options already
                auto_decompress=False,  # because it has no size limit
                trace_configs=[trace],
            )
        return self._sessions[loop]

    def _forget_ended_loops(self) -> None:
        """Drop the sessions of closed loops. They can't be closed any more, and have no open connections."""
        for loop in [loop for loop in self._sessions if loop.is_closed()]:
            self._sessions.pop(loop).detach()

    async def send(self, request: Request) -> Response | Lost:
        """Send a request once; see :class:`~airflow_provider_tallyfy.client.transport.Transport`.

        :raises RuntimeError: after :meth:`close`.
        """
        body, target = written(request)
        session = self._session_here()
        headers = {"Authorization": f"Bearer {self.settings.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        state = _RequestState()
        try:
            async with session.request(
                request.method,
                URL(f"{self.settings.base_url}{target}", encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                trace_request_ctx=state,
            ) as raw:
                content = await _read(raw)
            content = decoded(content, raw.headers.get("Content-Encoding", ""))
            values: dict[str, str] = {}
            for name, value in raw.headers.items():
                values[name.lower()] = f"{values[name.lower()]}, {value}" if name.lower() in values else value
            response = Response(raw.status, values, content, time.time())
        except AirflowException:
            raise
        except Exception as fault:
            return self._lost(fault, state.sent)
        self.scrub.check_body(content)
        return response

    def _lost(self, fault: Exception, sent: bool) -> Lost:
        causes = list(causes_of(fault))

        def caused_by(*types: type[BaseException]) -> bool:
            return any(isinstance(cause, types) for cause in causes)

        is_value = isinstance(fault, ValueError) and not isinstance(fault, ssl.SSLError)
        if not sent and (is_value or not isinstance(fault, aiohttp.ClientError | OSError | asyncio.TimeoutError)):
            raise cant_be_sent(fault, self.scrub) from None
        kind: LostKind
        late = caused_by(TimeoutError, asyncio.TimeoutError, aiohttp.ServerTimeoutError)
        if sent:
            about_certificates = any(is_about_certificates(cause) for cause in causes)
            kind = "timeout" if late else "tls" if about_certificates else "cut"
        elif self._proxy is not None:
            kind = "proxy"
        elif caused_by(socket.gaierror):
            kind = "dns"
        elif late:
            kind = "connect-timeout"
        elif caused_by(ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ConnectionResetError):
            kind = "cut"
        elif caused_by(ssl.SSLError, ssl.CertificateError, aiohttp.ClientSSLError):
            kind = "tls"
        elif caused_by(ConnectionRefusedError, aiohttp.ClientConnectorError):
            kind = "refused"
        else:
            kind = "cut"
        words = words_of(fault, self.scrub)
        if late and sent and not isinstance(fault, aiohttp.ServerTimeoutError):
            words = f"the answer was not complete after {TOTAL_TIMEOUTS * self.timeout:g} s in all"
        return Lost(kind, f"{type(fault).__name__}: {words}", sent)

    async def close(self) -> None:
        """Close the session of the running loop, and drop those of closed loops. The transport can't be used again."""
        self._closed = True
        self._forget_ended_loops()
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def __repr__(self) -> str:
        return f"AiohttpTransport({self.settings.base_url!r})"


async def _note_begun(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    state: _RequestState = context.trace_request_ctx
    if state.begun:  # aiohttp itself resends most methods if the connection was closed without an answer
        raise aiohttp.ServerDisconnectedError("the connection was closed before an answer came")
    state.begun = True


async def _note_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx.sent = True


async def _read(raw: aiohttp.ClientResponse) -> bytes:
    """Read the body, up to the size limit."""
    if raw.status == 101:
        raise aiohttp.ClientPayloadError(SWITCHING_PROTOCOLS)
    headers = raw.headers
    if len(raw.raw_headers) > MAX_HEADERS:
        raise Malformed(f"it has more than {MAX_HEADERS} headers")
    check_framing(headers.getall("Transfer-Encoding", None), headers.getall("Content-Length", None))
    parts, size = list[bytes](), 0
    if raw.content_length and raw.content_length > MAX_RESPONSE_BYTES and raw.method != "HEAD":
        raise TooLarge(TOO_LARGE)
    async for part in raw.content.iter_chunked(_PIECE):
        parts.append(part)
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise TooLarge(TOO_LARGE)
    return b"".join(parts)
