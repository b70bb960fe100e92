"""The simplest flow: one request, and the content of its answer."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import reject


def ask(request: Request) -> Flow[Any]:
    """Send a request and return the content of its answer: JSON, an object, or a page; ``None`` for an empty body.

    :raises Rejected: if the request fails, or the reply is not an answer to it.
    """
    exchange = yield request
    if not exchange.ok:
        reject(exchange)
    return exchange.value
