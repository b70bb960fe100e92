"""The async client: its results, its secrets, and what remains when it is cancelled or closed."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_tallyfy.api.endpoints import organization
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs import archive, read
from airflow_provider_tallyfy.client.async_client import AsyncClient
from airflow_provider_tallyfy.connection import Settings
from airflow_provider_tallyfy.exceptions import TallyfyServerError, TallyfyUnreachableError
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.contract._both_engines import new_client, settings_of
from tests.contract._transports import TOKEN
from tests.contract._transports import settings_of as settings_for

LONG = 30.0  # seconds; longer than any test waits


@dataclass
class Watched:
    """A flow that records whether it was closed before its end."""

    closed: list[str] = field(default_factory=list)

    def __call__(self, flow: Flow[Any]) -> Flow[Any]:
        try:
            return (yield from flow)
        except GeneratorExit:
            self.closed.append("in the middle")
            raise
        finally:
            self.closed.append("finally")


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that no file descriptors are left in this process, in which the sandbox runs too."""
    before = len(os.listdir("/dev/fd"))
    yield
    deadline = time.monotonic() + 2
    while len(os.listdir("/dev/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.01)  # the server needs a moment to notice the close
    assert len(os.listdir("/dev/fd")) <= before


def in_a_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in a new event loop, and check that it leaves no task, session or file descriptor."""
    complaints: list[str] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        await main()
        for _ in range(3):  # cancelled tasks end in the next iterations of the loop
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gc.collect()  # aiohttp reports unclosed sessions to the loop

    with nothing_left():
        asyncio.run(run())
    assert complaints == []


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


MOMENTS: dict[str, tuple[Fault, int]] = {
    "before it is carried out": (Fault.slow(LONG), 0),
    "after it was carried out": (Fault.slow_after(LONG), 0),
    "while the headers come": (Fault.dripped_headers(0.5), 0),
    "while the body comes": (Fault.dripped_body(0.5), 0),
    "between 100 Continue and 100 Continue": (Fault.endless_continue(0.02), 0),
    "in the wait after a 429": (Fault.rate_limited("60"), 0),
    "in the wait after a lost answer": (Fault.drop_after(), 0),
    "in the read after the write": (Fault.slow(LONG), 1),
}


class TestCancelling:
    @pytest.mark.parametrize("moment", MOMENTS)
    def test_cancelling_during_a_request_closes_the_flow_and_its_connection(
        self, sandbox: Sandbox, moment: str
    ) -> None:
        fault, after = MOMENTS[moment]
        run_id, watched = sandbox.add_run(), Watched()
        if after:
            sandbox.fail("DELETE", "/runs/*", Fault.other_answer({"error": True}, applies=False))
        sandbox.fail("*", "*", fault)

        async def main() -> None:
            async with AsyncClient(settings_of(sandbox), sandbox.organization_id) as client:
                flow = watched(archive.archive(client.organization_id, run_id))
                task = asyncio.create_task(client.perform(flow))
                await until(lambda: len(sandbox.requests) > after)
                await asyncio.sleep(0.05)  # into the answer, or the wait
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert watched.closed == ["in the middle", "finally"]
                assert asyncio.all_tasks() == {asyncio.current_task()}
                assert len(sandbox.requests) == 1 + after
                sandbox.forget_faults()
                outcome = await client.perform(archive.archive(client.organization_id, run_id))
                assert outcome.run["id"] == run_id
                run = sandbox.run(run_id)
                assert run is not None
                assert run["is_archived"]

        in_a_loop(main)

    def test_cancelling_during_a_tls_handshake_leaves_no_connection(self) -> None:
        async def main() -> None:
            with socket.create_server(("127.0.0.1", 0)) as silent:
                settings = settings_for(f"https://127.0.0.1:{silent.getsockname()[1]}", verify=False)
                async with AsyncClient(settings, "a" * 32) as client:
                    watched = Watched()
                    with pytest.raises(asyncio.TimeoutError):
                        await asyncio.wait_for(client.perform(watched(ask(organization.get_me()))), 0.1)
                    assert watched.closed == ["in the middle", "finally"]

        in_a_loop(main)

    def test_cancelling_one_request_does_not_affect_the_others(self, sandbox: Sandbox) -> None:
        run_ids = [sandbox.add_run() for _ in range(20)]
        sandbox.latency = 0.1

        async def main() -> None:
            async with new_client(settings_of(sandbox)) as client:
                flows = [archive.archive(client.organization_id, run_id) for run_id in run_ids]
                tasks = [asyncio.create_task(client.perform(flow)) for flow in flows]
                await until(lambda: len(sandbox.requests) == len(run_ids))
                for task in tasks[::2]:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(isinstance(end, asyncio.CancelledError) for end in ended[::2])
                assert [getattr(end, "run", {}).get("id") for end in ended[1::2]] == run_ids[1::2]

        in_a_loop(main)


class TestClosing:
    @pytest.mark.parametrize("fails", [False, True])
    def test_leaving_the_block_closes_the_session(self, sandbox: Sandbox, fails: bool) -> None:
        async def main() -> None:
            client = new_client(settings_of(sandbox))
            with pytest.raises(KeyError) if fails else nullcontext():
                async with client:
                    await client.perform(ask(organization.get_me()))
                    if fails:
                        raise KeyError("a mistake in the block")
            await client.close()
            watched = Watched()
            with pytest.raises(RuntimeError, match="was closed"):
                await client.perform(watched(ask(organization.get_me())))
            assert watched.closed == ["in the middle", "finally"]
            assert client.request_count == len(sandbox.requests) + 1

        in_a_loop(main)
        assert len(sandbox.requests) == 1

    def test_closing_during_a_flow_opens_no_new_session(self, sandbox: Sandbox) -> None:
        run_id = sandbox.add_run()
        sandbox.fail("GET", "/runs/*", Fault.slow(LONG))

        async def main() -> None:
            client = new_client(settings_of(sandbox))
            task = asyncio.create_task(client.perform(read.require(client.organization_id, run_id)))
            await until(lambda: sandbox.requests)
            await client.close()
            with pytest.raises((RuntimeError, TallyfyUnreachableError)):
                await asyncio.wait_for(task, 5)

        in_a_loop(main)
        assert len(sandbox.requests) == 1


def test_a_client_works_in_one_loop_after_the_other(sandbox: Sandbox) -> None:
    client = new_client(settings_of(sandbox))

    async def main() -> None:
        assert (await client.perform(ask(organization.get_me())))["id"]

    for _ in range(3):
        in_a_loop(main)
    in_a_loop(client.close)


class TestSettings:
    @pytest.mark.parametrize(("given", "tries"), [({}, 3), ({"max_retries": 0}, 1), ({"max_retries": 1}, 2)])
    def test_requests_are_repeated_max_retries_times(self, sandbox: Sandbox, given: dict[str, Any], tries: int) -> None:
        sandbox.fail("*", "*", Fault.server_error(), times=None)
        settings = settings_for(sandbox.api_url, token=sandbox.token, max_retries=2, verify=False)
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        async def main() -> None:
            async with AsyncClient(settings, sandbox.organization_id, sleep=sleep, **given) as client:
                with pytest.raises(TallyfyServerError):
                    await client.perform(ask(organization.get_me()))
                assert client.request_count == tries

        in_a_loop(main)
        assert (len(sandbox.requests), len(slept)) == (tries, tries - 1)

    @pytest.mark.parametrize(("connection", "given"), [(0.2, {}), (LONG, {"timeout": 0.2})])
    def test_timeout_of_the_connection_is_the_default(
        self, sandbox: Sandbox, connection: float, given: dict[str, Any]
    ) -> None:
        sandbox.fail("*", "*", Fault.slow(LONG))

        async def main() -> None:
            settings = settings_of(sandbox, connection)
            async with AsyncClient(settings, sandbox.organization_id, max_retries=0, **given) as client:
                with pytest.raises(TallyfyUnreachableError, match="the answer timed out"):
                    await asyncio.wait_for(client.perform(ask(organization.get_me())), 10)

        in_a_loop(main)


class TestSecrets:
    def test_results_and_errors_do_not_contain_the_token(self, sandbox: Sandbox) -> None:
        sandbox.fail("*", "*", Fault.other_answer({"data": {"id": 7, "email": f"{sandbox.token}@example.com"}}))
        sandbox.fail("*", "*", Fault.status(403, {"message": f"no {sandbox.token}"}))

        async def main() -> None:
            async with new_client(settings_of(sandbox)) as client:
                assert (await client.perform(ask(organization.get_me())))["email"] == "***@example.com"
                with pytest.raises(Exception, match=r"no \*\*\*") as caught:
                    await client.perform(ask(organization.get_me()))
                assert sandbox.token not in f"{caught.value!r} {vars(caught.value)}"
                assert client.secrets == (sandbox.token,)

        in_a_loop(main)

    def test_repr_shows_no_secret_and_pickling_is_refused(self) -> None:
        client = AsyncClient(Settings("c", "https://go.tallyfy.com/api", "a" * 32, TOKEN, verify=False), "a" * 32)
        assert TOKEN not in f"{client!r} {vars(client)}"
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(client)
