"""The interface of a transport, and the limits for all transports."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_tallyfy.api.protocol.messages import Lost, Request, Response
from airflow_provider_tallyfy.client.scrub import Scrubber

CONNECT_TIMEOUT = 10.0  # seconds; a host that needs longer to accept a connection is down
#: A whole request may take this many times the timeout. The timeout itself restarts with every byte that arrives, so a
#: server that sends a byte now and then could keep a request waiting for ever.
TOTAL_TIMEOUTS = 5
#: Most bytes of a response, headers and body, before and after decompression.
MAX_RESPONSE_BYTES = 64 * 1024 * 1024


class Transport(Protocol):
    """Sends requests, one at a time."""

    @property
    def scrub(self) -> Scrubber:
        """Removes secrets from texts, and the token from results."""

    def send(self, request: Request) -> Response | Lost:
        """Send a request once, without following redirects.

        :return: the complete response, or ``Lost``. Any failure after the first byte was sent is ``Lost``.
        :raises TallyfyError: for an invalid request or connection; nothing was sent.
        """

    def close(self) -> None:
        """Close the connections."""
