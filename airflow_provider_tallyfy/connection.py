"""What an Airflow connection of type ``tallyfy`` means: every form that a user would try, or a clear error.

==============  =====================================================================================
``host``        API base URL, with or without scheme, port and path; blank = ``https://go.tallyfy.com/api``
``port``        only needed where ``host`` holds none; 0 = not given
``schema``      ``http`` / ``https`` or a path prefix: the places where connection URIs put them
``login``       Organization ID
``password``    access token
``extra``       ``timeout``, ``max_retries``, ``verify``, ``cert``, ``proxies``, ``web_url``; blank or null = default
==============  =====================================================================================

Other extras are ignored, and never sent as headers.
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
LONGEST_TIMEOUT = 86_400.0  # seconds; sockets take no number of any size
TIMEOUT_RULE = f"a number of seconds above 0, at most {LONGEST_TIMEOUT:.0f}"
DEFAULT_MAX_RETRIES = 3
MOST_RETRIES = 20
MAX_RETRIES_RULE = f"a whole number from 0 to {MOST_RETRIES}"


@dataclass(frozen=True)
class Settings:
    """A connection, understood.

    :param conn_id: its name, for errors.
    :param base_url: API base URL without a trailing slash.
    :param organization_id: 32-character id, or ``None`` where the connection has none.
    :param token: access token.
    :param timeout: seconds that one request may wait for the next bytes of its answer; five times as many in all.
    :param max_retries: repetitions of a request after a passing fault.
    :param verify: check the server's certificate: ``True``, ``False``, or the path of a CA bundle.
    :param cert: path of a client certificate, or ``None``.
    :param proxies: proxy URL per scheme; empty = what the environment says.
    :param web_url: base of the Tallyfy web app, or a pattern with ``{run_id}`` and ``{organization_id}``.
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

        :raises TallyfyConfigurationError: naming the field, what it says and what it should say.
        """
        read = _Reader(conn_id, connection.extra_dejson)
        base = _base_url(read, connection)
        token = (connection.password or "").strip()
        if not token:
            raise read.wrong(
                "has no access token. Put one (Tallyfy > Settings > Integrations > REST API) into its password."
            )
        if not token.isascii() or not token.isprintable() or " " in token:
            raise read.wrong("has an access token with blanks or control characters in it: copy it again, as one line.")
        organization = (connection.login or "").strip() or None
        if organization is not None:
            if len(organization) > 40 and "/" not in organization:
                raise read.wrong(
                    "has what looks like an access token as its login. The Organization ID (32 characters) belongs "
                    "there, the token into the password."
                )
            try:
                check_id("login (Organization ID)", organization)
            except ArgumentError as error:
                raise read.wrong(f"is wrong: {error}") from None
        return cls(
            conn_id=conn_id,
            base_url=urlunsplit(base),
            organization_id=organization,
            token=token,
            timeout=read.number("timeout", DEFAULT_TIMEOUT, LONGEST_TIMEOUT),
            max_retries=read.whole_number("max_retries", DEFAULT_MAX_RETRIES, MOST_RETRIES),
            verify=read.verify(),
            cert=read.cert(),
            proxies=read.proxies(),
            web_url=read.web_url(base),
        )

    @property
    def origin(self) -> tuple[str, str | None, int | None]:
        """Scheme, host and port that the token may be sent to."""
        return origin_of(self.base_url)

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine, where requests go without a proxy and may be unencrypted."""
        return is_loopback(urlsplit(self.base_url).hostname)

    def run_url(self, organization_id: str, run_id: str) -> str:
        """Where a person sees the run. The form is that of Tallyfy's page on finding ids."""
        if "{run_id}" in self.web_url:
            return self.web_url.replace("{organization_id}", organization_id).replace("{run_id}", run_id)
        return f"{self.web_url.rstrip('/')}/{organization_id}/processes/{run_id}"


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL, the port filled in."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _base_url(read: _Reader, connection: Any) -> SplitResult:
    host = (connection.host or "").strip()
    schema = (connection.schema or "").strip().strip("/") if host else ""
    scheme = schema.lower() if schema.lower() in {"http", "https"} else None
    shown = show(host.rpartition("@")[2])  # what stands before an @ may be a secret
    try:
        if host and "://" not in host:
            host = f"{scheme or ('http' if is_loopback(urlsplit('//' + host).hostname) else 'https')}://{host}"
        parts = urlsplit(host or DEFAULT_BASE_URL)
        name, port = parts.hostname, parts.port
    except ValueError:
        raise read.wrong(f"has the host {shown}, which is no URL. {_HOST_HINT}") from None
    if parts.scheme not in {"http", "https"} or not name:
        raise read.wrong(f"has the host {shown}, which is no http(s) address. {_HOST_HINT}")
    ascii_name = _ascii_host(name)
    if ascii_name is None:
        raise read.wrong(f"has the host {shown}, which can be no host name. {_HOST_HINT}")
    name = ascii_name
    if parts.username or parts.password or parts.query or parts.fragment:
        raise read.wrong(
            "has a host with a user, a query or a fragment in it. The token belongs into the password. " + _HOST_HINT
        )
    if connection.port and not 0 < int(connection.port) < 65536:
        raise read.wrong(f"has the port {connection.port}. A port is a number from 1 to 65535; blank = the host's own.")
    if connection.port and port and int(connection.port) != port:
        raise read.wrong(f"names two ports: {port} in the host, {connection.port} in the port. Leave one blank.")
    port = port or (int(connection.port) if connection.port else None)
    path = parts.path.rstrip("/")
    if schema and scheme is None and not path.endswith(f"/{schema}"):
        path = f"{path}/{schema}"  # tallyfy://…@go.tallyfy.com/api: a URI's path arrives as the schema
    if name.endswith("go.tallyfy.com") and not path:
        path = "/api"  # the bare host is the web app, which answers in HTML; its API lives below /api
    if parts.scheme == "http" and not is_loopback(name):
        raise read.wrong(
            f"would send the access token unencrypted to {name}: plain http is allowed to this machine alone. "
            "Write https:// in the host."
        )
    netloc = f"[{name}]" if ":" in name else name
    default = {"https": 443, "http": 80}[parts.scheme]
    return SplitResult(parts.scheme, f"{netloc}:{port}" if port and port != default else netloc, path, "", "")


_HOST_HINT = "Use the API base URL, such as https://go.tallyfy.com/api, or leave it blank."


def is_loopback(name: str | None) -> bool:
    """Whether a host name is this machine, in whichever spelling."""
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
    """The host as DNS has it (``xn--...`` for other letters), or ``None`` where it can be no host."""
    if not name.isascii():
        import idna  # comes with requests; few need it

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
    """Reads typed extras; blank and null mean "not given"."""

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

    def number(self, name: str, default: float, most: float) -> float:
        value = self._get(name)
        if value is None:
            return default
        number = seconds(value, most)
        if number is None:
            raise self._wrong_extra(name, value, f"a number of seconds above 0, at most {most:.0f}")
        return number

    def whole_number(self, name: str, default: int, most: int) -> int:
        value = self._get(name)
        if value is None:
            return default
        number = whole_number(value, most)
        if number is None:
            raise self._wrong_extra(name, value, f"a whole number from 0 to {most}")
        return number

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
            # Tallyfy's own hosts serve web app and API side by side; for any other host there is no telling.
            is_own = (base.hostname or "").endswith("go.tallyfy.com")
            return f"https://{base.hostname}" if is_own else DEFAULT_WEB_URL
        if not _is_url(value) or urlsplit(value.strip()).scheme not in {"http", "https"}:
            raise self._wrong_extra("web_url", value, "an address that begins with https://")
        return value.strip()


def seconds(value: object, most: float) -> float | None:
    """A number above 0 and at most ``most``, or ``None`` for anything else."""
    number = _float(value)
    return number if number is not None and 0 < number <= most else None


def whole_number(value: object, most: int) -> int | None:
    """A whole number from 0 to ``most``, or ``None`` for anything else."""
    number = _float(value)
    return int(number) if number is not None and 0 <= number <= most and number == number // 1 else None


def _float(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _is_url(value: object) -> TypeGuard[str]:
    """Whether it is text that can at least be taken apart."""
    try:
        return isinstance(value, str) and urlsplit(value.strip()) is not None
    except ValueError:
        return False
