"""Performs the flows of ``api`` over a transport: sends requests, retries them, and raises exceptions."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Flow, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Step, Wait, drive
from airflow_provider_tallyfy.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_tallyfy.client.scrub import Scrubber
from airflow_provider_tallyfy.client.transport import Transport
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyError, error_from

T = TypeVar("T")


class EngineBase:
    """What the blocking and the async engine share: everything but sending and waiting.

    :param scrub: removes secrets.
    :param policy: when to retry.
    :param log: a logger for waits and replies.
    """

    def __init__(self, scrub: Scrubber, policy: RetryPolicy, log: Any = None) -> None:
        self._scrub = scrub
        self.policy = policy
        self.log = log or logging.getLogger(__name__)
        #: Number of requests sent.
        self.request_count = 0

    def _note_reply(self, request: Request, reply: Reply) -> None:
        what = reply.status if isinstance(reply, Response) else reply.detail
        self.log.debug("%s: %s", self._scrub.text(request.label), what)

    def _public(self, error: Rejected | ArgumentError) -> TallyfyError:
        """Return the public exception, without secrets: the server's message and the arguments may contain some."""
        if isinstance(error, ArgumentError):
            return TallyfyArgumentError(self._scrub.text(str(error)))
        return error_from(self._scrub.problem(error.problem))


class Engine(EngineBase):
    """Performs flows in the caller's thread.

    :param transport: sends the requests.
    :param policy: when to retry.
    :param log: a logger for waits and replies.
    :param clock: waits.
    """

    def __init__(self, transport: Transport, policy: RetryPolicy, log: Any = None, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(transport.scrub, policy, log)
        self.transport = transport
        self.clock = clock

    def perform(self, flow: Flow[T]) -> T:
        """Perform a flow, and always close it.

        :raises TallyfyError: if the flow fails.
        """
        steps = drive(flow, self.policy)
        try:
            step = next(steps)
            while True:
                step = steps.send(self._take(step))
        except StopIteration as end:
            value: T = end.value
            return self._scrub.result(value)
        except (Rejected, ArgumentError) as error:
            raise self._public(error) from None
        finally:
            steps.close()

    def _take(self, step: Step) -> Reply | None:
        if isinstance(step, Wait):
            self.wait(step)
            return None
        reply = self.send(step.request)
        self._note_reply(step.request, reply)
        return reply

    def send(self, request: Request) -> Reply:
        """Send a request once."""
        self.request_count += 1
        return self.transport.send(request)

    def wait(self, step: Wait) -> None:
        """Wait before a retry."""
        self.log.warning("%s", self._scrub.text(step.reason))
        self.clock.sleep(step.seconds)
