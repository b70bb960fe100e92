"""The HTTP server of the sandbox, with its latency, rate limit and faults."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from airflow_provider_tallyfy.sandbox.access import host_problem, origin_problem
from airflow_provider_tallyfy.sandbox.control import Control
from airflow_provider_tallyfy.sandbox.dispatcher import Dispatcher
from airflow_provider_tallyfy.sandbox.faults import HTML_429, Fault
from airflow_provider_tallyfy.sandbox.pages import Site
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord
from airflow_provider_tallyfy.sandbox.state import SandboxState
from airflow_provider_tallyfy.sandbox.transmission import HTML, JSON, PiecewiseResponse, RawAnswer


class Server:
    """Answers requests for the API, the control endpoints and the HTML pages.

    :param state: the state that all of them share.
    """

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self.dispatcher = Dispatcher(state.organization, state.people)
        self._control = Control(state)
        self._site = Site(state)
        self._request_ids = itertools.count(1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request from start to end."""
        # The raw target. A normalized path would hide what the client really sent.
        path, _, raw_query = request.raw_path.partition("?")
        record = RequestRecord(request.method, path, raw_query, request.headers)
        if problem := host_problem(request.headers):
            return self._denied(421, problem)
        if path == "/_sandbox" or path.startswith("/_sandbox/"):
            if problem := origin_problem(request.method, request.headers):
                return self._denied(403, problem)
            record.body = await request.read()
            status, data = self._control.answer(record)
            return web.Response(status=status, body=json.dumps(data).encode(), headers=JSON)
        if request.method == "GET" and self._site.wants(path, request.headers):
            status, headers, page = self._site.answer(path, raw_query)
            return web.Response(status=status, body=page or None, headers=headers)
        state = self.state
        with state.organization.lock:
            state.records.append(record)
            limited = self._rate_limited()
            fault = None if limited else state.next_fault(record.method, record.route)
        if request.body_exists:
            record.body = await request.read()
        if state.latency:
            await asyncio.sleep(state.latency)
        if limited:
            return self._respond(record, limited)
        if fault is not None:
            return await self._meet(fault, record, request)
        return self._respond(record, self.dispatcher.carry_out(record))

    @staticmethod
    def _denied(status: int, problem: str) -> web.Response:
        """Refuse a request before it is handled or recorded."""
        body = json.dumps({"error": True, "message": problem}).encode()
        return web.Response(status=status, body=body, headers=JSON)

    def _rate_limited(self) -> RawAnswer | None:
        limit = self.state.rate_limit
        wait = limit.wait() if limit else 0.0
        if not wait:
            return None
        behaviour = self.state.organization.behaviour
        headers = {"Retry-After": str(max(1, math.ceil(wait)))} if behaviour.burst_429_retry_after else {}
        if behaviour.burst_429_body == "html":
            return 429, {**HTML, **headers}, HTML_429
        return 429, {**JSON, **headers}, b'{"message":"Too Many Attempts.","code":"RATE_LIMIT_EXCEEDED"}'

    async def _meet(self, fault: Fault, record: RequestRecord, request: web.BaseRequest) -> web.StreamResponse:
        record.fault = fault.name
        if fault.delay_before:
            await asyncio.sleep(fault.delay_before)
        raw: RawAnswer = (500, JSON, b"{}")
        if fault.applies:
            raw = self.dispatcher.carry_out(record)
        if fault.delay_after:
            await asyncio.sleep(fault.delay_after)
        if fault.answer is not None:
            raw = fault.answer
        if fault.shown_run:
            raw = self.dispatcher.shown(fault.shown_run)
        if fault.edit is not None:
            raw = _edited(raw, fault.edit)
        if fault.encode is not None:
            raw = fault.encode(raw)
        if fault.send is not None:
            return await self._transmit(record, raw, fault, request)
        if fault.cut:
            _cut(request.transport, fault.reset)
            self._over(record, None)
            # Never sent, because the connection is closed. aiohttp requires a response object.
            return web.Response()
        return self._respond(record, raw)

    async def _transmit(
        self, record: RequestRecord, raw: RawAnswer, fault: Fault, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Send the response in the way of the fault. Its status is recorded when all of it was sent."""
        assert fault.send is not None
        status, headers, body = raw
        raw = status, {**(headers or JSON), "X-Request-Id": self._request_id()}, body
        response = PiecewiseResponse(fault.send(raw), fault.closes)
        if not await response.transmit(request, before_last=lambda: self._over(record, status)):
            self._over(record, None)
        return response

    def _respond(self, record: RequestRecord, raw: RawAnswer) -> web.Response:
        status, headers, body = raw
        response = web.Response(status=status, body=body or None, headers=headers)
        response.headers["X-Request-Id"] = self._request_id()
        self._over(record, status)
        return response

    def _over(self, record: RequestRecord, status: int | None) -> None:
        record.status, record.answered_at = status, time.monotonic()
        self.state.answered += 1

    def _request_id(self) -> str:
        return f"sandbox-{next(self._request_ids):08x}"


def _cut(transport: asyncio.BaseTransport | None, reset: bool) -> None:
    if not isinstance(transport, asyncio.WriteTransport):
        return
    sock = transport.get_extra_info("socket")
    if reset and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _edited(raw: RawAnswer, edit: Callable[[Any], Any]) -> RawAnswer:
    """Return the response with edited JSON, or unchanged if the fault does not apply to it."""
    status, headers, body = raw
    try:
        value: Any = edit(json.loads(body))
    except (ValueError, LookupError, TypeError, AttributeError):
        return raw
    return status, headers, json.dumps(value).encode()
