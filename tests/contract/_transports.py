"""Both transports behind one blocking interface: ``new_transport(url, timeout=1).send(request)``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from airflow_provider_tallyfy.api.protocol.messages import Reply, Request
from airflow_provider_tallyfy.client.aiohttp_transport import AiohttpTransport
from airflow_provider_tallyfy.client.requests_transport import RequestsTransport
from airflow_provider_tallyfy.client.scrub import Scrubber
from airflow_provider_tallyfy.connection import Settings

TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiIxIn0.c2lnbmF0dXJl"
ORG = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


class BlockingTransport(Protocol):
    """The interface that the tests use."""

    scrub: Scrubber

    def send(self, request: Request) -> Reply: ...

    def close(self) -> None: ...


NewTransport = Callable[..., BlockingTransport]


def settings_of(url: str, **more: Any) -> Settings:
    """Return the settings of a connection to an address."""
    given = {"conn_id": "c", "base_url": url, "organization_id": ORG, "token": TOKEN, "timeout": 5.0, **more}
    return Settings(**given)


@dataclass
class TransportFactory:
    """Creates transports of one kind, and keeps them to close them."""

    make: Callable[[Settings], BlockingTransport]
    keeps_connections: bool
    made: list[BlockingTransport] = field(default_factory=list)

    def __call__(self, url: str, **settings: Any) -> BlockingTransport:
        self.made.append(self.make(settings_of(url, **settings)))
        return self.made[-1]


class BlockingAiohttpTransport:
    """The aiohttp transport, which runs its event loop for each request."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.new_event_loop()
        self.transport = AiohttpTransport.for_settings(settings)
        self.scrub = self.transport.scrub

    def send(self, request: Request) -> Reply:
        return self.loop.run_until_complete(self.transport.send(request))

    def close(self) -> None:
        self.loop.run_until_complete(self.transport.close())
        self.loop.close()


_KINDS: dict[str, tuple[Callable[[Settings], BlockingTransport], bool]] = {
    "requests": (RequestsTransport.for_settings, True),
    "aiohttp": (BlockingAiohttpTransport, False),
}


@pytest.fixture(params=_KINDS)
def new_transport(request: pytest.FixtureRequest) -> Iterator[TransportFactory]:
    """Create transports. Each test runs once with each kind."""
    factory = TransportFactory(*_KINDS[request.param])
    yield factory
    for made in factory.made:
        made.close()


def get(name: str = "x") -> Request:
    """Return a request that reads."""
    return Request("GET", (name,))


def write(method: str = "DELETE", name: str = "x") -> Request:
    """Return a request that writes."""
    return Request(method, (name,), json={"name": "New"} if method in {"PUT", "POST"} else None)
