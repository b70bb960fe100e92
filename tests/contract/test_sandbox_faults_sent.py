"""Faults as they are on the wire: the bytes that a client is sent, and when."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._plain_requests import Ask

Received = list[tuple[float, bytes]]


class Wire:
    """A plain socket to a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.socket = socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self, method: str, path: str) -> None:
        lines = [
            f"{method} /organizations/{self.sandbox.organization_id}{path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.sandbox.port}",
            f"Authorization: Bearer {self.sandbox.token}",
            "Accept: application/json",
            "X-Tallyfy-Client: APIClient",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def receive(self, until: Callable[[bytes], bool] = lambda _: False) -> Received:
        """What comes, with the seconds since now, until it is enough or the connection ends."""
        began = time.monotonic()
        received: Received = []
        while piece := self.socket.recv(65536):
            received.append((time.monotonic() - began, piece))
            if until(joined(received)):
                break
        return received


def joined(received: Received) -> bytes:
    return b"".join(piece for _, piece in received)


def archived(sandbox: Sandbox, run_id: str) -> bool:
    return bool((sandbox.run(run_id) or {})["is_archived"])


def whole(answer: bytes) -> bool:
    """Whether the last answer in it has all of its body."""
    head, end, body = answer.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
    return bool(end and lengths) and len(body) >= int(lengths[0].split()[1])


def test_early_hints_come_before_the_answer_and_leave_the_connection_open(sandbox: Sandbox) -> None:
    one, two = sandbox.add_runs(2)
    sandbox.fail("DELETE", "/runs/*", Fault.early_hints(count=2))
    with Wire(sandbox) as wire:
        wire.send("DELETE", f"/runs/{one}")
        first = joined(wire.receive(whole))
        wire.send("GET", f"/runs/{two}")
        second = joined(wire.receive(whole))
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    assert first.startswith(hints * 2 + b"HTTP/1.1 200 OK\r\n")
    assert one.encode() in first
    assert b"X-Request-Id: sandbox-" in first
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert two.encode() in second
    assert archived(sandbox, one)
    assert [(record.status, record.applied) for record in sandbox.requests] == [(200, True)] * 2


def test_two_lengths_are_both_sent(sandbox: Sandbox) -> None:
    for applies in (True, False):
        run_id = sandbox.add_run()
        sandbox.fail("DELETE", "/runs/*", Fault.two_lengths(applies))
        with Wire(sandbox) as wire:
            wire.send("DELETE", f"/runs/{run_id}")
            answer = joined(wire.receive())
        head, _, body = answer.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        assert lengths == [b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) + 7)]
        assert (run_id.encode() in body, archived(sandbox, run_id)) == (applies, applies)


def test_continue_is_sent_until_the_client_disconnects(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "/runs/*", Fault.endless_continue(0.005))
    with Wire(sandbox) as wire:
        wire.send("DELETE", f"/runs/{run_id}")
        line = b"HTTP/1.1 100 Continue\r\n\r\n"
        received = joined(wire.receive(lambda so_far: len(so_far) >= 40 * len(line)))
        assert received.replace(line, b"") == b""
        (record,) = sandbox.requests
        assert (record.status, record.answered_at, record.applied) == (None, None, True)
    assert archived(sandbox, run_id)
    deadline = time.monotonic() + 5
    while record.answered_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert record.status is None


def test_dripped_headers_arrive_byte_by_byte(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "/runs/*", Fault.dripped_headers(0.002))
    with Wire(sandbox) as wire:
        wire.send("DELETE", f"/runs/{run_id}")
        received = wire.receive(whole)
    line, rest = received[0][1], received[1:]
    assert line == b"HTTP/1.1 200 OK\r\n"
    assert len(rest) > 40
    assert rest[-1][0] - received[0][0] > 0.1
    assert json.loads(joined(received).partition(b"\r\n\r\n")[2])["data"]["id"] == run_id
    assert archived(sandbox, run_id)


def test_a_dripped_body_arrives_byte_by_byte_and_complete(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("GET", "/runs/*", Fault.dripped_body(0.0005, padding=20))
    with Wire(sandbox) as wire:
        wire.send("GET", f"/runs/{run_id}")
        received = wire.receive()
    head, _, body = joined(received).partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
    assert received[0][1].endswith(b"\r\n\r\n")
    assert len(received) > 100
    assert body.endswith(b" " * 20)
    assert json.loads(body)["data"]["id"] == run_id


@pytest.mark.parametrize(
    "fault", [Fault.endless_continue(0.001), Fault.dripped_body(0.01), Fault.dripped_headers(0.01)]
)
def test_a_dripping_answer_delays_no_other_request_and_ends_with_the_sandbox(
    sandbox: Sandbox, ask: Ask, fault: Fault
) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "/runs/*", fault)
    with Wire(sandbox) as wire:
        wire.send("DELETE", f"/runs/{run_id}")
        wire.receive(lambda so_far: bool(so_far))
        began = time.monotonic()
        assert ask("GET", f"/runs/{run_id}")[1]["data"]["archived_at"]
        sandbox.stop()
        assert time.monotonic() - began < 2


def test_a_gzip_bomb_is_small_when_sent_and_big_when_decompressed(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("GET", "/runs/*", Fault.gzip_bomb(5_000_000))
    with Wire(sandbox) as wire:
        wire.send("GET", f"/runs/{run_id}")
        answer = joined(wire.receive(whole))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert len(body) < 50_000
    unpacked = gzip.decompress(body)
    assert len(unpacked) == 5_000_000
    assert json.loads(unpacked)["data"]["id"] == run_id


def test_a_truncated_answer_announces_more_than_it_sends(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("GET", "/runs/*", Fault.truncated())
    with Wire(sandbox) as wire:
        wire.send("GET", f"/runs/{run_id}")
        head, _, body = joined(wire.receive()).partition(b"\r\n\r\n")
    announced = int(head.partition(b"Content-Length: ")[2].split()[0])
    assert len(body) == announced // 2


# -- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, None, [], "", 0, {"status": "ok"}, {"error": True}, {"data": None}, "<p>Hi</p>"])
@pytest.mark.parametrize("applies", [True, False])
def test_an_answer_can_be_anything(sandbox: Sandbox, ask: Ask, body: Any, applies: bool) -> None:
    run_id = sandbox.add_run()
    sandbox.fail("DELETE", "/runs/*", Fault.other_answer(body, applies=applies))
    with Wire(sandbox) as wire:
        wire.send("DELETE", f"/runs/{run_id}")
        answer = joined(wire.receive(whole))
    sent = answer.partition(b"\r\n\r\n")[2]
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (sent.decode() if isinstance(body, str) else json.loads(sent)) == body
    assert archived(sandbox, run_id) is applies
    assert sandbox.requests[0].applied is applies


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("applies", [True, False])
def test_an_answer_can_be_about_another_run(sandbox: Sandbox, ask: Ask, method: str, applies: bool) -> None:
    member = sandbox.add_member("ann@example.com")
    other = sandbox.add_run("Other", users=[member])
    run_id = sandbox.add_run("Mine")
    sandbox.fail(method, "/runs/*", Fault.other_run(other, applies))
    status, answer = ask(method, f"/runs/{run_id}", {"name": "New"} if method == "PUT" else None)
    data = answer["data"]
    assert (status, data["id"], data["name"], data["users"]) == (200, other, "Other", [member])
    mine = sandbox.run(run_id) or {}
    assert mine["is_archived"] is (applies and method == "DELETE")
    assert mine["name"] == ("New" if applies and method == "PUT" else "Mine")
    assert (sandbox.run(other) or {})["is_archived"] is False
    assert ask("GET", f"/runs/{run_id}")[1]["data"]["id"] == run_id


@pytest.mark.parametrize("object_id", ["f" * 32, 7, None, [], {"a": 1}, ""])
def test_an_object_can_have_another_id_of_any_type(sandbox: Sandbox, ask: Ask, object_id: Any) -> None:
    run_id = sandbox.add_run("Mine")
    sandbox.fail("GET", "/runs/*", Fault.other_id(object_id))
    data = ask("GET", f"/runs/{run_id}")[1]["data"]
    assert (data["id"], data["name"]) == (object_id, "Mine")


def test_fields_can_be_missing_from_an_object_and_from_rows(sandbox: Sandbox, ask: Ask) -> None:
    run_id = sandbox.add_run("Mine", archived=True)
    sandbox.fail("GET", "/runs*", Fault.without("id", "archived_at", "nothing"), times=2)
    (row,) = ask("GET", "/runs?archived=only")[1]["data"]
    data = ask("GET", f"/runs/{run_id}")[1]["data"]
    for found in (row, data):
        assert not {"id", "archived_at"} & found.keys()
        assert found["name"] == "Mine"
    assert ask("GET", f"/runs/{run_id}")[1]["data"]["id"] == run_id


def test_pages_without_end_repeat_one_row(sandbox: Sandbox, ask: Ask) -> None:
    runs = sandbox.add_runs(3)
    sandbox.fail("GET", "/runs", Fault.endless_pages(), times=None)
    for number in (1, 2, 3, 999):
        answer = ask("GET", f"/runs?page={number}&per_page=100")[1]
        assert [row["id"] for row in answer["data"]] == [runs[0]]
        assert answer["meta"]["pagination"]["total_pages"] == 10**30
        assert answer["meta"]["pagination"]["current_page"] == number


def test_every_fault_can_be_planned_from_another_process(sandbox: Sandbox, ask: Ask) -> None:
    run_id = sandbox.add_run()
    for name, arguments in (("other_answer", {"body": {}}), ("without", ["id"]), ("other_id", {"object_id": 7})):
        plan: dict[str, Any] = {"method": "GET", "path": "/runs/*", "fault": name, "arguments": arguments}
        assert requests.post(f"{sandbox.url}/_sandbox/faults", json=plan, timeout=5).status_code == 201
    assert ask("GET", f"/runs/{run_id}")[1] == {}
    assert "id" not in ask("GET", f"/runs/{run_id}")[1]["data"]
    assert ask("GET", f"/runs/{run_id}")[1]["data"]["id"] == 7
