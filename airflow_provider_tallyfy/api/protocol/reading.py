"""Flows of one read: anything, or one object."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol import envelope
from airflow_provider_tallyfy.api.protocol.messages import Answer, Call, Flow
from airflow_provider_tallyfy.api.protocol.problems import reject, unreadable


def read_json(call: Call) -> Flow[Any]:
    """Send a call and return the parsed body as it came; ``None`` for an empty one."""
    exchange = yield call
    if not (exchange.ok and isinstance(exchange.reply, Answer)):
        reject(exchange)
    try:
        return envelope.parse(exchange.reply)
    except envelope.Unreadable as fault:
        raise unreadable(exchange, fault) from None


def read_item(call: Call) -> Flow[dict[str, Any]]:
    """Send a call and return the object that it answers with."""
    exchange = yield call
    if not (exchange.ok and isinstance(exchange.reply, Answer)):
        reject(exchange)
    try:
        return envelope.item(exchange.reply) or {}
    except envelope.Unreadable as fault:
        raise unreadable(exchange, fault) from None
