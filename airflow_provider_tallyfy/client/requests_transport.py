"""One request out, one reply in, over a ``requests`` session: bytes, faults and secrets. The rules are in ``api``."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

from airflow_provider_tallyfy.api.protocol.messages import Lost, LostKind, Request, Response
from airflow_provider_tallyfy.connection import Settings, origin_of
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConfigurationError

CONNECT_TIMEOUT = 10.0  # seconds; a host that takes longer to say hello is down


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


class Scrubber:
    """Takes secrets out of whatever comes in, so that no error, log line or XCom can hold them.

    :param secrets: the secrets; each is also looked for as JSON and as a URL would write it.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        forms = {form for secret in secrets for form in self._forms(secret) if len(form) >= 4}
        self._texts = sorted(forms, key=len, reverse=True)
        self._bytes = [text.encode() for text in self._texts]

    @staticmethod
    def _forms(secret: str) -> Iterator[str]:
        as_json = json.dumps(secret)[1:-1]
        yield from (secret, as_json, as_json.replace("/", "\\/"), quote(secret), quote(secret, safe=""))

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        for secret in self._texts:
            text = text.replace(secret, "***")
        return text

    def body(self, body: bytes) -> bytes:
        """Return the body without secrets."""
        for secret in self._bytes:
            if secret in body:
                body = body.replace(secret, b"***")
        return body


class KeptAdapter(HTTPAdapter):
    """Keeps idle TCP connections alive, as ``HttpHook`` does, and finds a host's pool once instead of at each request.

    :param connections: most connections to keep per host.
    """

    _KEEP_ALIVE = (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 20))  # seconds, seconds, probes

    def __init__(self, connections: int = 10) -> None:
        self._pools: dict[Any, Any] = {}
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

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool for a request's origin, proxies and TLS settings."""
        key = (*(request.url or "").split("/", 3)[:3], verify, cert, *(proxies or {}).items())
        if key not in self._pools:
            self._pools[key] = super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._pools[key]

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Return path and query; without proxies, that is what follows the host."""
        parts = (request.url or "").split("/", 3)
        if proxies or len(parts) < 4 or "#" in parts[3]:
            return super().request_url(request, proxies)
        return f"/{parts[3]}"

    def close(self) -> None:
        """Close all pools."""
        self._pools.clear()
        super().close()


@dataclass
class Transport:
    """What every request of a hook has in common.

    :param session: the kept session, which holds token and headers.
    :param base_url: API base URL.
    :param timeout: seconds to wait for an answer.
    :param scrub: takes secrets out of what comes in.
    :param options: proxies, TLS check and client certificate, the environment's merged in.
    """

    session: requests.Session
    base_url: str
    timeout: float
    scrub: Scrubber
    options: Mapping[str, Any]

    def send(self, request: Request) -> Response | Lost:
        """Send a request once. No redirect is followed."""
        try:
            prepared = self._prepared(request)
            # Below Session.send(), which at each request looks for redirects, hooks, proxies and cookies anew.
            raw = self.session.get_adapter(prepared.url or "").send(
                prepared, timeout=(min(CONNECT_TIMEOUT, self.timeout), self.timeout), **self.options
            )
            body = raw.content
        except requests.RequestException as fault:
            if isinstance(fault, ValueError):  # a URL, a proxy or a header that can't be used
                raise TallyfyConfigurationError(f"The request can't be sent: {self.scrub.text(str(fault))}") from None
            return lost(fault, self.scrub)
        response = self.response(raw)
        promised = response.headers.get("content-length", "")
        whole = not promised.isdigit() or "content-encoding" in response.headers or request.method == "HEAD"
        if not whole and len(body) < int(promised):
            return Lost("cut", f"{len(body)} of {promised} bytes came", sent=True)
        return response

    @cached_property
    def _common(self) -> requests.PreparedRequest:
        """What all requests have in common, prepared by ``requests`` once: base URL, headers, token."""
        return self.session.prepare_request(requests.Request("GET", f"{self.base_url}/"))

    def _prepared(self, request: Request) -> requests.PreparedRequest:
        # Path and query are encoded in full and begin with a slash, so the origin, which BearerAuth has checked for the
        # base URL, stays as it is.
        common = self._common
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = f"{common.url}{request.target[1:]}"
        prepared.body = body = _body(request)
        prepared.headers = common.headers if request.method in {"GET", "HEAD"} else self._headers_of_writes
        if body is not None:
            prepared.headers = common.headers.copy()
            prepared.headers.update({"Content-Type": "application/json", "Content-Length": str(len(body))})
        return prepared

    @cached_property
    def _headers_of_writes(self) -> Any:
        headers = self._common.headers.copy()
        headers["Content-Length"] = "0"
        return headers

    def response(self, raw: requests.Response) -> Response:
        """The response as the rules see it, without secrets."""
        headers = {name.lower(): self.scrub.text(value) for name, value in raw.headers.items()}
        return Response(raw.status_code, headers, self.scrub.body(raw.content), time.time())


def _body(request: Request) -> bytes | None:
    if request.json is None:
        return None
    try:
        return json.dumps(request.json, allow_nan=False).encode()
    except (TypeError, ValueError) as fault:
        raise TallyfyArgumentError(f"{request.label}: the values can't be sent as JSON: {fault}") from None


def lost(fault: Exception, scrub: Scrubber) -> Lost:
    """Say in which way the answer was lost, and whether the request may have reached Tallyfy."""
    causes = list(_causes(fault))
    words = " ".join(scrub.text(str(causes[-1])).split())[:200] or type(causes[-1]).__name__

    def caused_by(*types: type[BaseException]) -> bool:
        return any(isinstance(cause, types) for cause in causes)

    kind: LostKind
    if isinstance(fault, requests.exceptions.ConnectTimeout):
        kind = "connect-timeout"
    elif isinstance(fault, requests.exceptions.ProxyError):
        kind = "proxy"
    elif caused_by(socket.gaierror, NameResolutionError):
        kind = "dns"
    elif caused_by(ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
        kind = "cut"
    elif isinstance(fault, requests.exceptions.SSLError) or caused_by(ssl.SSLError):
        kind = "tls"
    elif caused_by(ConnectionRefusedError, NewConnectionError):
        kind = "refused"
    elif isinstance(fault, requests.exceptions.Timeout):
        kind = "timeout"
    else:
        kind = "cut"
    return Lost(kind, f"{type(fault).__name__}: {words}", sent=kind in {"timeout", "cut"})


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """The fault and what is behind it: requests and urllib3 wrap in arguments, ``reason`` and ``__cause__``."""
    seen: list[BaseException] = []
    current: BaseException | None = fault
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        inner = getattr(current, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in reversed(current.args) if isinstance(arg, BaseException)), None)
        current = inner or current.__cause__ or current.__context__
