"""Protects the sandbox from other web pages, because any page in a browser on this machine can send requests to it.

Two checks, both on headers that a page can't set by itself:

* **Host**, on every request. If the name ``evil.example`` is made to resolve to 127.0.0.1 (DNS rebinding), a browser
  treats a page from there as the same origin as the sandbox, and the page could read and change everything. Its
  requests still name ``evil.example`` as their host.
* **Origin** and **Sec-Fetch-Site**, on requests to the control endpoints that change something. These need no token,
  so a form on any page could send them.

The API routes do not check the origin. They need a bearer token, which a browser never adds by itself, and for the
``Authorization`` header it first asks for permission (a CORS preflight), which the sandbox refuses. The HTML pages
cannot change anything. Clients other than browsers send no ``Origin`` and are accepted.
"""

from __future__ import annotations

import re

from multidict import CIMultiDictProxy

_HOST = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Browsers send "none" if a person typed the address.
_OWN_SITES = frozenset({"same-origin", "none"})


def host_problem(headers: CIMultiDictProxy[str]) -> str:
    """Return what is wrong with the ``Host`` of a request, or ``""`` if it names this machine.

    :param headers: the request's headers.
    """
    hosts = headers.getall("Host", [])
    if len(hosts) == 1 and _HOST.fullmatch(hosts[0]):
        return ""
    named = ", ".join(repr(host[:100]) for host in hosts) or "no host"
    return (
        f"This sandbox answers only requests whose Host header names this machine: localhost, 127.0.0.1 or [::1], "
        f"with any port. This request names {named}."
    )


def origin_problem(method: str, headers: CIMultiDictProxy[str]) -> str:
    """Return an error text if another web page tries to change something, or ``""``.

    :param method: the request's method. Reading is allowed from anywhere.
    :param headers: the request's headers.
    """
    if method in _SAFE:
        return ""
    sites = headers.getall("Sec-Fetch-Site", [])
    if foreign := [site for site in sites if site.strip().lower() not in _OWN_SITES]:
        return _foreign(f"Sec-Fetch-Site {foreign[0][:100]!r}")
    own = _origin(headers.get("Host", ""))
    if foreign := [origin for origin in headers.getall("Origin", []) if _origin(origin.removeprefix("http://")) != own]:
        return _foreign(f"Origin {foreign[0][:100]!r}")
    return ""


def _origin(host: str) -> str:
    return host.strip().lower().removesuffix(":80")


def _foreign(what: str) -> str:
    return f"This sandbox is changed only by its own pages and by programs, not by other web pages ({what})."
