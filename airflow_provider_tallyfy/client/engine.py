"""Runs the flows of ``api`` over a transport: sends each request, repeats it by the policy, raises what went wrong."""

from __future__ import annotations

import logging
import time
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy, Wait, exchange
from airflow_provider_tallyfy.client.transport import Transport
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, error_from

T = TypeVar("T")


class Engine:
    """One caller's way to Tallyfy.

    :param transport: sends.
    :param policy: says what is repeated.
    :param log: where waits and calls are told.
    """

    def __init__(self, transport: Transport, policy: RetryPolicy, log: Any = None) -> None:
        self.transport = transport
        self.policy = policy
        self.log = log or logging.getLogger(__name__)
        self.request_count = 0

    def perform(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :raises TallyfyError: what the flow ended in.
        """
        done: Exchange | None = None
        try:
            while True:
                done = self.exchange(next(flow) if done is None else flow.send(done))
        except StopIteration as end:
            value: T = end.value
            return self.transport.scrub.result(value)
        except Rejected as rejected:
            raise error_from(self.transport.scrub.problem(rejected.problem)) from None
        except ArgumentError as error:
            raise TallyfyArgumentError(self.transport.scrub.text(str(error))) from None

    def exchange(self, request: Request) -> Exchange:
        """Send a request, repeated as the policy says."""
        steps = exchange(request, self.policy)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Wait):
                    self.wait(step)
                    step = next(steps)
                else:
                    reply = self.send(step.request)
                    self.log.debug(
                        "%s: %s", request.label, reply.status if isinstance(reply, Response) else reply.detail
                    )
                    step = steps.send(reply)
        except StopIteration as end:
            result: Exchange = end.value
            return result

    def send(self, request: Request) -> Reply:
        """Send a request once."""
        self.request_count += 1
        return self.transport.send(request)

    def wait(self, step: Wait) -> None:
        """Wait before a repetition."""
        self.log.warning("%s", self.transport.scrub.text(step.reason))
        time.sleep(step.seconds)
