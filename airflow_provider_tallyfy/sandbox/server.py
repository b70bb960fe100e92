"""HTTP around the organization: who may ask, how fast, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from airflow_provider_tallyfy.sandbox.control import Control
from airflow_provider_tallyfy.sandbox.faults import HTML_404, HTML_429, Fault, Injection
from airflow_provider_tallyfy.sandbox.journal import RequestRecord
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.pages import Site
from airflow_provider_tallyfy.sandbox.refusal import Invalid, Refusal, endpoint_not_found
from airflow_provider_tallyfy.sandbox.routes import all_routes
from airflow_provider_tallyfy.sandbox.routing import Call
from airflow_provider_tallyfy.sandbox.selection import RunIndex
from airflow_provider_tallyfy.sandbox.wire import Wire

log = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=UTF-8"}
# One response before aiohttp sees it: status, headers, body.
Raw = tuple[int, Mapping[str, str], bytes]


class RateLimit:
    """At most so many requests in any such span; declined ones do not count.

    :param requests: how many.
    :param seconds: the span.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests, self.seconds = requests, seconds
        self._taken: deque[float] = deque()

    def wait(self) -> float:
        """Take a slot and return 0, or return the seconds until one is free."""
        now = time.monotonic()
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        if len(self._taken) < self.requests:
            self._taken.append(now)
            return 0.0
        return self._taken[0] + self.seconds - now


class Front:
    """Takes requests from aiohttp, carries them out one at a time, answers them.

    :param organization: the state.
    :param latency: seconds added to every answer.
    :param rate_limit: ``(requests, seconds)`` or ``None``.
    """

    def __init__(self, organization: Organization, latency: float, rate_limit: tuple[int, float] | None) -> None:
        self.organization = organization
        self.latency = latency
        self.rate_limit = RateLimit(*rate_limit) if rate_limit else None
        self.records: list[RequestRecord] = []
        self.answered = 0
        self.plan: list[Injection] = []
        self.wire = Wire(organization)
        self._index = RunIndex(organization)
        self._routes = all_routes()
        self._control = Control(self)
        self._site = Site(self)
        self._request_ids = itertools.count(1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, from its first byte to its last."""
        # The target as it came: a path that was tidied up on the way would hide what the client really sent.
        path, _, raw_query = request.raw_path.partition("?")
        record = RequestRecord(request.method, path, raw_query, request.headers)
        if path == "/_sandbox" or path.startswith("/_sandbox/"):
            record.body = await request.read()
            status, data = self._control.answer(record)
            return web.Response(status=status, body=json.dumps(data).encode(), headers=JSON)
        if request.method == "GET" and self._site.wants(path, request.headers):
            status, headers, page = self._site.answer(path, raw_query)
            return web.Response(status=status, body=page or None, headers=headers)
        with self.organization.lock:
            self.records.append(record)
            declined = self._declined()
            fault = None if declined else self._fault(record)
        if request.body_exists:
            record.body = await request.read()
        if self.latency:
            await asyncio.sleep(self.latency)
        if declined:
            return self._respond(record, declined)
        if fault is not None:
            return await self._meet(fault, record, request)
        return self._respond(record, self._carry_out(record))

    def _declined(self) -> Raw | None:
        wait = self.rate_limit.wait() if self.rate_limit else 0.0
        if not wait:
            return None
        behaviour = self.organization.behaviour
        headers = {"Retry-After": str(max(1, math.ceil(wait)))} if behaviour.burst_429_retry_after else {}
        if behaviour.burst_429_body == "html":
            return 429, {**HTML, **headers}, HTML_429
        return 429, {**JSON, **headers}, b'{"message":"Too Many Attempts.","code":"RATE_LIMIT_EXCEEDED"}'

    def _fault(self, record: RequestRecord) -> Fault | None:
        """The fault that the plan has for this request; actions on the way are taken."""
        if not self.plan:
            return None
        found: Fault | None = None
        for entry in list(self.plan):
            if not entry.meets(record.method, record.route):
                continue
            if entry.exhausted:
                self.plan.remove(entry)
            if isinstance(entry.effect, Fault):
                found = entry.effect
                break
            entry.effect()
        return found

    async def _meet(self, fault: Fault, record: RequestRecord, request: web.BaseRequest) -> web.StreamResponse:
        record.fault = fault.name
        if fault.delay_before:
            await asyncio.sleep(fault.delay_before)
        raw: Raw = (500, JSON, b"{}")
        if fault.applies:
            raw = self._carry_out(record)
        if fault.delay_after:
            await asyncio.sleep(fault.delay_after)
        if fault.answer is not None:
            raw = fault.answer
        if fault.edit is not None:
            raw = _edited(raw, fault)
        if fault.cut:
            if fault.cut == "body":
                record.status = raw[0]
            self._cut(fault, raw, request)
            record.answered_at = time.monotonic()
            self.answered += 1
            # Nobody receives this: the connection is closed. aiohttp only wants to be given something.
            return web.Response()
        return self._respond(record, raw)

    @staticmethod
    def _cut(fault: Fault, raw: Raw, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is None:
            return
        if fault.cut == "body":
            status, headers, body = raw
            body = body or b'{"data":{}}'
            lines = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in (headers or JSON).items()]
            if isinstance(transport, asyncio.WriteTransport):
                transport.write("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2])
            transport.close()
            return
        sock = transport.get_extra_info("socket")
        if fault.reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    def _respond(self, record: RequestRecord, raw: Raw) -> web.Response:
        status, headers, body = raw
        response = web.Response(status=status, body=body or None, headers=headers)
        response.headers["X-Request-Id"] = f"sandbox-{next(self._request_ids):08x}"
        record.status, record.answered_at = status, time.monotonic()
        self.answered += 1
        return response

    def _carry_out(self, record: RequestRecord) -> Raw:
        """Find the handler, check who asks, change the state, write the answer."""
        try:
            with self.organization.lock:
                return self._handled(record)
        except Refusal as refusal:
            return self._refused(record, refusal)
        except Exception:
            log.exception("The sandbox failed at %s", record.call)
            return 500, JSON, b'{"error":true,"message":"The sandbox itself failed; see its log."}'

    def _handled(self, record: RequestRecord) -> Raw:
        path = record.path
        if path.startswith("/api/"):
            path = path[4:]
        found = self._routes.find(record.method, path)
        if found is None:
            raise endpoint_not_found()
        handler, ids = found
        organization, headers = self.organization, record.headers
        self._check_headers(headers)
        member_id = organization.tokens.get(headers["Authorization"][len("Bearer ") :])
        if member_id is None or not headers["Authorization"].startswith("Bearer "):
            raise Refusal(401, "invalid token")
        if path.startswith("/organizations/") and ids[0] != organization.id:
            if organization.behaviour.foreign_organization == "404":
                raise Refusal(404, "Resource not found", code="RESOURCE_NOT_FOUND")
            raise Refusal(403, "You are not a member of this organization.")
        member = organization.members[member_id]
        record.applied = True
        call = Call(organization, self.wire, self._index, member, ids, record.query, headers, record.body, path)
        answer = handler(call)
        if answer.data is None:
            # Without a body Laravel still names PHP's default type: an empty answer is no HTML error page.
            return answer.status, HTML if answer.status == 200 else {}, b""
        return answer.status, JSON, json.dumps(answer.data, separators=(",", ":")).encode()

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        behaviour = self.organization.behaviour
        if not headers.get("X-Tallyfy-Client", "").strip():
            raise endpoint_not_found() if behaviour.missing_client_header == "404" else _missing_headers()
        if behaviour.wrong_accept == "401" and "application/json" not in headers.get("Accept", ""):
            raise _missing_headers()
        if "Authorization" not in headers:
            raise _missing_headers()

    def _refused(self, record: RequestRecord, refusal: Refusal) -> Raw:
        behaviour = self.organization.behaviour
        status, body = refusal.status, refusal.body()
        if isinstance(refusal, Invalid):
            status = int(behaviour.validation_status)
        if status == 401 and refusal.message == "invalid token" and behaviour.unauthenticated_body == "laravel":
            body = {"message": "Unauthenticated."}
        wants_json = "application/json" in record.headers.get("Accept", "")
        if not wants_json and (behaviour.wrong_accept == "html_errors" or refusal.code == "ENDPOINT_NOT_FOUND"):
            return status, HTML, HTML_404 if status == 404 else f"<html><body><h1>{status}</h1></body></html>".encode()
        return status, JSON, json.dumps(body).encode()


def _missing_headers() -> Refusal:
    return Refusal(401, "missing required headers")


def _edited(raw: Raw, fault: Fault) -> Raw:
    """The answer with its JSON changed; left alone when it is not what the fault is about."""
    status, headers, body = raw
    assert fault.edit is not None
    try:
        value: Any = fault.edit(json.loads(body))
    except (ValueError, KeyError, TypeError):
        return raw
    return status, headers, json.dumps(value).encode()
