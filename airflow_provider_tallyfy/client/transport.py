"""What the engine needs of whatever carries its requests."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_tallyfy.api.protocol.messages import Lost, Request, Response
from airflow_provider_tallyfy.client.scrub import Scrubber

CONNECT_TIMEOUT = 10.0  # seconds; a host that takes longer to accept a connection is down
#: A request may take so many times the timeout in all. The timeout itself starts anew with every byte that comes, so a
#: server that sends one byte now and then would be waited for without end.
TOTAL_TIMEOUTS = 5
#: Bytes that a response may have, headers and body, before and after decompression.
MAX_RESPONSE_BYTES = 64 * 1024 * 1024


class Transport(Protocol):
    """Sends requests, one at a time."""

    @property
    def scrub(self) -> Scrubber:
        """Takes the secrets out of texts, and the token out of results."""

    def send(self, request: Request) -> Response | Lost:
        """Send a request once, follow no redirect.

        :return: the complete response, or how it was lost. Whatever goes wrong after the first byte left is ``Lost``.
        :raises TallyfyError: for what is wrong with the request or the connection; nothing was sent.
        """

    def close(self) -> None:
        """Close the connections."""
