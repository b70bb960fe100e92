"""Flows of one read: anything, or one object."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol import envelope
from airflow_provider_tallyfy.api.protocol.messages import Flow, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import reject, unreadable


def read_json(request: Request) -> Flow[Any]:
    """Send a request and return the parsed body as it came; ``None`` for an empty one."""
    exchange = yield request
    if not (exchange.ok and isinstance(exchange.reply, Response)):
        reject(exchange)
    try:
        return envelope.parse(exchange.reply)
    except envelope.Unreadable as fault:
        raise unreadable(exchange, fault) from None


def read_item(request: Request) -> Flow[dict[str, Any]]:
    """Send a request and return the object that it answers with."""
    exchange = yield request
    if not (exchange.ok and isinstance(exchange.reply, Response)):
        reject(exchange)
    try:
        return envelope.item(exchange.reply) or {}
    except envelope.Unreadable as fault:
        raise unreadable(exchange, fault) from None
