"""The async side of the hook: one connection to Tallyfy for an event loop, which performs flows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.retry import RetryPolicy
from airflow_provider_tallyfy.client.aiohttp_transport import AiohttpTransport
from airflow_provider_tallyfy.client.async_engine import AsyncEngine
from airflow_provider_tallyfy.connection import Settings

T = TypeVar("T")


class AsyncClient:
    """Performs flows of ``api`` in an event loop; any number of them at a time.

    ::

        async with AsyncClient(hook.settings, hook.organization_id) as client:
            outcome = await client.perform(archive.archive(client.organization_id, run_id))

    The connection is looked up by whoever makes the client, because that may block. There is no method per endpoint: a
    flow is the same for the hook and for this.

    :param settings: the connection.
    :param organization_id: the organization that the flows are for.
    :param timeout: seconds, instead of the connection's own.
    :param max_retries: repetitions of a request after a passing fault, instead of the connection's own.
    :param log: where waits and replies are told.
    :param sleep: sleeps so many seconds; ``asyncio.sleep``, or something faster in a test.
    :param policy: says what is repeated, instead of ``max_retries``.
    :raises TallyfyConfigurationError: for a certificate, a key or a proxy that can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        organization_id: str,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        log: Any = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.settings = settings
        self.organization_id = organization_id
        self._transport = AiohttpTransport.for_settings(settings, timeout)
        if policy is None:
            policy = RetryPolicy(max_retries=settings.max_retries if max_retries is None else max_retries)
        self._engine = AsyncEngine(self._transport, policy, log, sleep)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token and the passwords of proxies, for whoever masks them in Airflow's logs."""
        return self._transport.scrub.secrets

    @property
    def request_count(self) -> int:
        """How many requests this client has sent."""
        return self._engine.request_count

    async def perform(self, flow: Flow[T]) -> T:
        """Run a flow to its end. Cancelling it closes the flow and its connection; the client can still be used.

        :return: the flow's result, without the access token.
        :raises TallyfyError: what the flow ended in.
        :raises RuntimeError: if the client was closed.
        """
        return await self._engine.perform(flow)

    async def close(self) -> None:
        """Close the session of this event loop. A closed client stays closed."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.settings.base_url!r}, {self.organization_id!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse to be pickled: it holds the token."""
        raise TypeError("An AsyncClient holds the access token and can't be pickled; pickle the hook.")
