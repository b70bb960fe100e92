"""The simplest flow: one request, and what its answer holds."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Flow, Request
from airflow_provider_tallyfy.api.protocol.problems import reject


def ask(request: Request) -> Flow[Any]:
    """Send a request and return what it expects: JSON, an object, or a page. ``None`` for an empty body.

    :raises Rejected: for anything that is not an answer to it.
    """
    exchange = yield request
    if not exchange.ok:
        reject(exchange)
    return exchange.value
