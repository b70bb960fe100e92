"""Reads an Airflow connection of type ``tallyfy``. Accepts every spelling that users try, or raises a clear error.

==============  =====================================================================================
``host``        API base URL, with or without scheme, port and path; blank = ``https://go.tallyfy.com/api``
``port``        only needed if ``host`` contains none; 0 = not given
``schema``      ``http``, ``https`` or a path prefix, because connection URIs put them here
``login``       Organization ID
``password``    access token
``extra``       ``timeout``, ``max_retries``, ``verify``, ``cert``, ``proxies``, ``web_url``; blank or null = default
==============  =====================================================================================

Other extras are ignored. They are never sent as headers.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import SplitResult, urlsplit, urlunsplit

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id, show
from airflow_provider_tallyfy.exceptions import TallyfyConfigurationError

DEFAULT_BASE_URL = "https://go.tallyfy.com/api"
DEFAULT_WEB_URL = "https://go.tallyfy.com"
DEFAULT_TIMEOUT = 60.0  # seconds
LONGEST_TIMEOUT = 86_400.0  # seconds; sockets refuse very large numbers
TIMEOUT_RULE = f"a number of seconds above 0, at most {LONGEST_TIMEOUT:.0f}"
DEFAULT_MAX_RETRIES = 3
MOST_RETRIES = 20
MAX_RETRIES_RULE = f"a whole number from 0 to {MOST_RETRIES}"


@dataclass(frozen=True)
class Settings:
    """The settings of a connection, checked and with defaults filled in.

    :param conn_id: id of the connection, for errors.
    :param base_url: API base URL without a trailing slash.
    :param organization_id: 32-character id, or ``None`` if the connection has none.
    :param token: access token.
    :param timeout: seconds that a request may wait for the next bytes of the response; the whole request may take five
        times as long.
    :param max_retries: how often a request is repeated after a temporary failure.
    :param verify: whether to check the server's certificate, or the path of a CA bundle to check it against.
    :param cert: path of a client certificate, or ``None``.
    :param proxies: proxy URL per scheme; empty = the proxies of the environment.
    :param web_url: base URL of Tallyfy's web app, or a pattern with ``{run_id}`` and ``{organization_id}``.
    """

    conn_id: str
    base_url: str
    organization_id: str | None
    token: str = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    verify: bool | str = True
    cert: str | tuple[str, ...] | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    web_url: str = DEFAULT_WEB_URL

    @classmethod
    def of(cls, conn_id: str, connection: Any) -> Settings:
        """Read an Airflow ``Connection``.

        :raises TallyfyConfigurationError: if a field is wrong; names the field, its value and the correct form.
        """
        read = _Reader(conn_id, connection.extra_dejson)
        base = _base_url(read, connection)
        token = (connection.password or "").strip()
        if not token:
            raise read.wrong(
                "has no access token. Put one (Tallyfy > Settings > Integrations > REST API) into the password."
            )
        if not token.isascii() or not token.isprintable() or " " in token:
            raise read.wrong(
                "has an access token with spaces, control characters or non-ASCII characters. Copy it again, as one "
                "line."
            )
        organization = (connection.login or "").strip() or None
        if organization is not None:
            if len(organization) > 40 and "/" not in organization:
                raise read.wrong(
                    "seems to have the access token in its login. Put the Organization ID (32 characters) into the "
                    "login, and the token into the password."
                )
            try:
                check_id("Organization ID", organization)
            except ArgumentError as error:
                raise read.wrong(f"has a wrong login: {error}") from None
        return cls(
            conn_id=conn_id,
            base_url=urlunsplit(base),
            organization_id=organization,
            token=token,
            timeout=read.timeout(),
            max_retries=read.max_retries(),
            verify=read.verify(),
            cert=read.cert(),
            proxies=read.proxies(),
            web_url=read.web_url(base),
        )

    @property
    def origin(self) -> tuple[str, str | None, int | None]:
        """Scheme, host and port of the API. The token is sent nowhere else."""
        return origin_of(self.base_url)

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine. Then requests need no encryption and do not use a proxy."""
        return is_loopback(urlsplit(self.base_url).hostname)

    def run_url(self, organization_id: str, run_id: str) -> str:
        """Return the address of a run in the web app, in the form that Tallyfy's page on finding ids shows."""
        if "{run_id}" in self.web_url:
            return self.web_url.replace("{organization_id}", organization_id).replace("{run_id}", run_id)
        return f"{self.web_url.rstrip('/')}/{organization_id}/processes/{run_id}"


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of a URL, with the default port filled in."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _base_url(read: _Reader, connection: Any) -> SplitResult:
    host = (connection.host or "").strip()
    schema = (connection.schema or "").strip().strip("/") if host else ""
    scheme = schema.lower() if schema.lower() in {"http", "https"} else None
    shown = show(host.rpartition("@")[2])  # the part before an @ may be a password
    try:
        if host and "://" not in host:
            host = f"{scheme or ('http' if is_loopback(urlsplit('//' + host).hostname) else 'https')}://{host}"
        parts = urlsplit(host or DEFAULT_BASE_URL)
        name, port = parts.hostname, parts.port
    except ValueError:
        raise read.wrong(f"has the host {shown}, which is not a valid URL. {_HOST_HINT}") from None
    if parts.scheme not in {"http", "https"} or not name:
        raise read.wrong(f"has the host {shown}, which is not an http(s) URL. {_HOST_HINT}")
    ascii_name = _ascii_host(name)
    if ascii_name is None:
        raise read.wrong(f"has the host {shown}, which is not a valid host name. {_HOST_HINT}")
    name = ascii_name
    if parts.username or parts.password or parts.query or parts.fragment:
        raise read.wrong(
            "has a host that contains a user, a query or a fragment. Put the token into the password. " + _HOST_HINT
        )
    if connection.port and not 0 < int(connection.port) < 65536:
        raise read.wrong(f"has the port {connection.port}. It must be a number from 1 to 65535, or blank.")
    if connection.port and port and int(connection.port) != port:
        raise read.wrong(f"has two ports: {port} in the host and {connection.port} in the port. Leave one blank.")
    port = port or (int(connection.port) if connection.port else None)
    path = parts.path.rstrip("/")
    if schema and scheme is None and not path.endswith(f"/{schema}"):
        path = f"{path}/{schema}"  # Airflow stores the path of tallyfy://…@go.tallyfy.com/api as the schema
    if name.endswith("go.tallyfy.com") and not path:
        path = "/api"  # without a path, this host serves the web app (HTML); the API is below /api
    if parts.scheme == "http" and not is_loopback(name):
        raise read.wrong(
            f"would send the access token unencrypted to {name}. Plain http is allowed only to this machine. "
            "Write https:// in the host."
        )
    netloc = f"[{name}]" if ":" in name else name
    default = {"https": 443, "http": 80}[parts.scheme]
    return SplitResult(parts.scheme, f"{netloc}:{port}" if port and port != default else netloc, path, "", "")


_HOST_HINT = "Use the API base URL, such as https://go.tallyfy.com/api, or leave it blank."


def is_loopback(name: str | None) -> bool:
    """Whether a host name or address means this machine, in any spelling."""
    name = (name or "").lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def _ascii_host(name: str) -> str | None:
    """Return the host name in ASCII (``xn--...`` for other letters), or ``None`` if it is not a valid host name."""
    if not name.isascii():
        import idna  # installed with requests; rarely needed

        try:
            name = idna.encode(name, uts46=True).decode()
        except (UnicodeError, ValueError):
            return None
    if ":" in name:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return None
        return name
    labels = name.removesuffix(".").split(".")
    return name if len(name) < 254 and all(map(_LABEL.fullmatch, labels)) else None


class _Reader:
    """Reads the extras of a connection; blank and null mean "not given"."""

    def __init__(self, conn_id: str, extra: Any) -> None:
        self.conn_id = conn_id
        self._extra: Mapping[str, Any] = extra if isinstance(extra, Mapping) else {}

    def wrong(self, what: str) -> TallyfyConfigurationError:
        return TallyfyConfigurationError(f"The connection {self.conn_id!r} {what}")

    def _get(self, name: str) -> Any:
        value = self._extra.get(name)
        return None if isinstance(value, str) and not value.strip() else value

    def _wrong_extra(self, name: str, value: object, rule: str) -> TallyfyConfigurationError:
        shown = f"of type {type(value).__name__}" if name == "proxies" else show(value)
        return self.wrong(f"has a wrong extra {name!r}: {shown}. It must be {rule}, or blank.")

    def timeout(self) -> float:
        value = self._get("timeout")
        if value is None:
            return DEFAULT_TIMEOUT
        timeout = as_timeout(value)
        if timeout is None:
            raise self._wrong_extra("timeout", value, TIMEOUT_RULE)
        return timeout

    def max_retries(self) -> int:
        value = self._get("max_retries")
        if value is None:
            return DEFAULT_MAX_RETRIES
        retries = as_max_retries(value)
        if retries is None:
            raise self._wrong_extra("max_retries", value, MAX_RETRIES_RULE)
        return retries

    def verify(self) -> bool | str:
        value = self._get("verify")
        if value is None:
            return True
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            word = value.strip()
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
                word.lower(), word
            )
        raise self._wrong_extra("verify", value, "true, false, or the path of a file with CA certificates")

    def cert(self) -> str | tuple[str, ...] | None:
        value = self._get("cert")
        if value is None or isinstance(value, str):
            return value.strip() if value else None
        if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise self._wrong_extra("cert", value, "the path of a PEM file, or a list of certificate path and key path")

    def proxies(self) -> dict[str, str]:
        value = self._get("proxies")
        if value is None:
            return {}
        if isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                raise self._wrong_extra("proxies", value, "a proxy URL or a JSON object of them") from None
        if _is_url(value):
            value = {"http": value.strip(), "https": value.strip()}
        if isinstance(value, Mapping) and all(url is None or _is_url(url) for url in value.values()):
            return {str(scheme): url for scheme, url in value.items() if url}
        raise self._wrong_extra("proxies", value, "a proxy URL or an object such as {'https': 'http://proxy:3128'}")

    def web_url(self, base: SplitResult) -> str:
        value = self._get("web_url")
        if value is None:
            # Tallyfy's own hosts serve the web app and the API. For any other host the web app is not known.
            is_own = (base.hostname or "").endswith("go.tallyfy.com")
            return f"https://{base.hostname}" if is_own else DEFAULT_WEB_URL
        if not _is_url(value) or urlsplit(value.strip()).scheme not in {"http", "https"}:
            raise self._wrong_extra("web_url", value, "a URL that begins with https://")
        return value.strip()


def as_timeout(value: object) -> float | None:
    """Return a timeout in seconds, or ``None`` if ``value`` does not follow :data:`TIMEOUT_RULE`."""
    number = _float(value)
    return number if number is not None and 0 < number <= LONGEST_TIMEOUT else None


def as_max_retries(value: object) -> int | None:
    """Return a number of retries, or ``None`` if ``value`` does not follow :data:`MAX_RETRIES_RULE`."""
    number = _float(value)
    return int(number) if number is not None and 0 <= number <= MOST_RETRIES and number == number // 1 else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _is_url(value: object) -> TypeGuard[str]:
    """Whether a value is a string that can be parsed as a URL."""
    try:
        return isinstance(value, str) and urlsplit(value.strip()) is not None
    except ValueError:
        return False
