"""Records the requests of clients and their responses, for assertions in tests."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_provider_tallyfy.sandbox.routing import parse_query, short_route


@dataclass
class RequestRecord:
    """One request.

    :param method: HTTP method.
    :param path: raw path, without the query.
    :param raw_query: raw query.
    :param headers: request headers; the case of names does not matter.
    :param body: raw body.
    :param status: status of the response; ``None`` until there is one, and if the connection was cut.
    :param applied: whether the request was carried out, successfully or not. ``False`` if it was refused because of its
        route, headers, token or rate, or if a fault prevented it.
    :param fault: name of the fault that it met, or empty.
    :param received_at: time of arrival, in monotonic seconds.
    :param answered_at: time of the response, in monotonic seconds; ``None`` until then.
    """

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes = b""
    status: int | None = None
    applied: bool = False
    fault: str = ""
    received_at: float = field(default_factory=time.monotonic)
    answered_at: float | None = None

    @cached_property
    def route(self) -> str:
        """The path without ``/api`` and without ``/organizations/{org}``."""
        return short_route(self.path)

    @cached_property
    def query(self) -> dict[str, str]:
        """The query, decoded as Tallyfy decodes it."""
        return parse_query(self.raw_query)

    @property
    def json(self) -> Any:
        """The parsed body; ``None`` if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def call(self) -> str:
        """The request in one line: ``GET /runs?archived=only&page=1``."""
        return f"{self.method} {self.route}{'?' if self.raw_query else ''}{self.raw_query}"

    def as_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-safe dict, without the token."""
        headers = {name: value for name, value in self.headers.items() if name.lower() != "authorization"}
        return {
            "method": self.method,
            "path": self.path,
            "route": self.route,
            "raw_query": self.raw_query,
            "headers": headers,
            "body": self.body.decode(errors="replace"),
            "status": self.status,
            "applied": self.applied,
            "fault": self.fault,
            "received_at": self.received_at,
            "answered_at": self.answered_at,
        }


def summary(records: list[RequestRecord]) -> dict[str, Any]:
    """Return the number of requests, and counts by status, method and fault."""
    return {
        "count": len(records),
        "by_status": dict(Counter("none" if r.status is None else str(r.status) for r in records)),
        "by_method": dict(Counter(r.method for r in records)),
        "by_fault": dict(Counter(r.fault for r in records if r.fault)),
    }
