"""Flows without a transport: each request gets the next of some replies."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Reply, Request


def play(flow: Flow[Any], *replies: Reply) -> tuple[Any, list[Request]]:
    """Answer the requests of a flow one after the other; return its result and the requests."""
    sent: list[Request] = []
    left = list(replies)
    try:
        request = next(flow)
        while True:
            sent.append(request)
            request = flow.send(Exchange(request, left.pop(0)))
    except StopIteration as end:
        assert not left
        return end.value, sent


def play_labels(flow: Flow[Any], *replies: Reply) -> tuple[Any, list[str]]:
    """Do the same, and return the requests as a log shows them: ``GET /runs``."""
    value, sent = play(flow, *replies)
    return value, [request.label for request in sent]
