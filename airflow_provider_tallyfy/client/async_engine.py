"""Performs the flows of ``api`` in an event loop, with the same steps as the blocking engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Flow, Reply, Request
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Step, Wait, drive
from airflow_provider_tallyfy.client.engine import EngineBase
from airflow_provider_tallyfy.client.scrub import Scrubber

T = TypeVar("T")


class AsyncTransport(Protocol):
    """What :class:`AsyncEngine` needs of a transport."""

    @property
    def scrub(self) -> Scrubber:
        """Removes secrets from texts, and the token from results."""

    async def send(self, request: Request) -> Reply:
        """Send a request once."""


class AsyncEngine(EngineBase):
    """Performs flows in the caller's event loop.

    :param transport: sends the requests.
    :param policy: when to retry.
    :param log: a logger for waits and replies.
    :param sleep: waits for a number of seconds; a test can pass something faster than ``asyncio.sleep``.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        policy: RetryPolicy,
        log: Any = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__(transport.scrub, policy, log)
        self.transport = transport
        self._sleep = sleep

    async def perform(self, flow: Flow[T]) -> T:
        """Perform a flow, and always close it, even if this is cancelled.

        :raises TallyfyError: if the flow fails.
        """
        steps = drive(flow, self.policy)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._take(step))
        except StopIteration as end:
            value: T = end.value
            return self._scrub.result(value)
        except (Rejected, ArgumentError) as error:
            raise self._public(error) from None
        finally:
            steps.close()

    async def _take(self, step: Step) -> Reply | None:
        if isinstance(step, Wait):
            self.log.warning("%s", self._scrub.text(step.reason))
            await self._sleep(step.seconds)
            return None
        self.request_count += 1
        reply = await self.transport.send(step.request)
        self._note_reply(step.request, reply)
        return reply
