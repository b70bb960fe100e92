"""The asynchronous counterpart of the hook: performs flows in an event loop."""

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
    """Performs the flows of ``api`` in an event loop, any number of them at a time.

    ::

        async with AsyncClient(hook.settings, hook.organization_id) as client:
            outcome = await client.perform(archive.archive(client.organization_id, run_id))

    The caller looks up the connection, because that may block. There are no methods per endpoint, because the hook and
    this class perform the same flows.

    :param settings: the connection.
    :param organization_id: the organization that the flows are for.
    :param timeout: seconds; ``None`` = the connection's.
    :param max_retries: retries of a request after transient faults; ``None`` = the connection's.
    :param log: a logger for waits and replies.
    :param sleep: waits for a number of seconds; a test can pass something faster than ``asyncio.sleep``.
    :param policy: when to retry, instead of ``max_retries``.
    :raises TallyfyConfigurationError: for an invalid certificate, key or proxy.
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
        """The token and the proxy passwords, so that the caller can mask them in Airflow's logs."""
        return self._transport.scrub.secrets

    @property
    def request_count(self) -> int:
        """The number of requests that this client has sent."""
        return self._engine.request_count

    async def perform(self, flow: Flow[T]) -> T:
        """Perform a flow. Cancelling this closes the flow and its connection; the client can still be used.

        :return: the result of the flow, without the access token.
        :raises TallyfyError: if the flow fails.
        :raises RuntimeError: if the client was closed.
        """
        return await self._engine.perform(flow)

    async def close(self) -> None:
        """Close the session of this event loop. The client can't be used again."""
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
