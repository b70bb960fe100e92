"""Keeps web pages of others away from a sandbox, which any page in a browser on this machine can send requests to.

Two checks, both on headers that a page can't set by itself:

* **Host**, on every request. A page on ``evil.example`` whose name is made to resolve to 127.0.0.1 (DNS rebinding) is
  of the same origin as the sandbox for its browser, and could read and change everything. Its requests still name
  ``evil.example`` as their host.
* **Origin** and **Sec-Fetch-Site**, on requests to the control endpoints that change something. They take no token, so
  a form on any page could send them.

The API's own routes are not checked for their origin. They take a bearer token, which a browser never adds by itself,
and the ``Authorization`` header makes it ask for permission first (a CORS preflight), which the sandbox doesn't give.
Nothing can be changed through the pages. Clients other than browsers send no ``Origin`` and are let through.
"""

from __future__ import annotations

import re

from multidict import CIMultiDictProxy

_HOST = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# "none" is a person who typed the address.
_OWN_SITES = frozenset({"same-origin", "none"})


def host_problem(headers: CIMultiDictProxy[str]) -> str:
    """What is wrong with the host that a request names; empty when it is this machine.

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
    """Whether a page of somebody else wants to change something; empty when not.

    :param method: the request's method; one that only reads is free to come from anywhere.
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
