"""Finds the handler for a request, and defines what a handler receives and returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
from airflow_provider_tallyfy.sandbox.models import Member
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.refusal import Refusal
from airflow_provider_tallyfy.sandbox.run_index import RunIndex, flag
from airflow_provider_tallyfy.sandbox.run_serializer import RunSerializer


@dataclass(frozen=True)
class Answer:
    """What a handler returns.

    :param data: JSON value of the body; ``None`` = no body.
    :param status: HTTP status.
    """

    data: Any = None
    status: int = 200


@dataclass
class Call:
    """What a handler receives: the request, the member who sent it, and the state to work on.

    :param organization: the state; its lock is held.
    :param serializer: writes the state as JSON.
    :param index: selects runs.
    :param member: the member to whom the token belongs.
    :param ids: the variable segments of the path, percent-decoded.
    :param query: the query; a ``+`` stays a ``+``, as in production.
    :param headers: the request's headers; the case of names does not matter.
    :param body: the raw body.
    :param path: the path without ``/api``, for links.
    """

    organization: Organization
    serializer: RunSerializer
    index: RunIndex
    member: Member
    ids: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    path: str

    @property
    def behaviour(self) -> Behaviour:
        """Positions of the switches."""
        return self.organization.behaviour

    @cached_property
    def with_(self) -> tuple[str, ...]:
        """The requested relations."""
        return tuple(part.strip() for part in self.query.get("with", "").split(",") if part.strip())

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Laravel reads JSON only if the ``Content-Type`` says so. With another one it sees no fields.
        """
        if not self.body or "json" not in self.headers.get("Content-Type", "").lower():
            return {}
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Refusal(400, "The request body is not valid JSON.") from None
        if not isinstance(value, dict):
            raise Refusal(400, "The request body must be a JSON object.")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean of the query; ``None`` if it is not one of the accepted literals."""
        return flag(self.query, name)

    def number(self, name: str, default: int) -> int:
        """Return a positive number of the query; otherwise the default, like Laravel's paginator."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0 else default


Handler = Callable[[Call], Answer]


@dataclass
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    handlers: dict[str, Handler] = field(default_factory=dict)


class Routes:
    """The table of routes. Paths are matched exactly, segment by segment, without normalization."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Register a handler for ``path``, where ``{}`` is a variable segment."""

        def register(handler: Handler) -> Handler:
            node = self._root
            for segment in path.strip("/").split("/"):
                if segment == "{}":
                    node.variable = node.variable or _Node()
                    node = node.variable
                else:
                    node = node.literal.setdefault(segment, _Node())
            node.handlers[method] = handler
            return handler

        return register

    def include(self, other: Routes) -> None:
        """Add another table to this one."""
        _merge(self._root, other._root)

    def find(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]] | None:
        """Return the handler for a raw path, and the percent-decoded values of its variable segments."""
        if not path.startswith("/"):
            return None
        segments = tuple(unquote(segment) for segment in path[1:].split("/"))
        if "" in segments:
            return None
        return _find(self._root, method, segments, 0, ())


def _find(
    node: _Node, method: str, segments: tuple[str, ...], at: int, ids: tuple[str, ...]
) -> tuple[Handler, tuple[str, ...]] | None:
    if at == len(segments):
        handler = node.handlers.get(method)
        return None if handler is None else (handler, ids)
    segment = segments[at]
    if segment in node.literal and (found := _find(node.literal[segment], method, segments, at + 1, ids)):
        return found
    if node.variable is not None:
        return _find(node.variable, method, segments, at + 1, (*ids, segment))
    return None


def _merge(into: _Node, other: _Node) -> None:
    into.handlers.update(other.handlers)
    for segment, node in other.literal.items():
        _merge(into.literal.setdefault(segment, _Node()), node)
    if other.variable is not None:
        into.variable = into.variable or _Node()
        _merge(into.variable, other.variable)


def parse_query(raw: str) -> dict[str, str]:
    """Parse a query string as Tallyfy does: ``%20`` is a space, ``+`` is a plus; the last of repeated names counts."""
    query: dict[str, str] = {}
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            query[unquote(name)] = unquote(value)
    return query


def short_route(path: str) -> str:
    """Return a path as tests write it, without ``/api`` and ``/organizations/{org}``."""
    if path == "/api" or path.startswith("/api/"):
        path = path[4:]
    if path.startswith("/organizations/"):
        _, _, rest = path[len("/organizations/") :].partition("/")
        path = "/" + rest
    return path or "/"
