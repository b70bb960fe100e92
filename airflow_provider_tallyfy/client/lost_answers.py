"""What both transports share: encoding requests, errors before sending, and the causes of a lost answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator

from airflow_provider_tallyfy.api.protocol.messages import Request
from airflow_provider_tallyfy.client.scrub import Scrubber
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConfigurationError


def written(request: Request) -> tuple[bytes | None, str]:
    """Return the body as bytes, and path and query as ASCII.

    :raises TallyfyArgumentError: if they can't be encoded.
    """
    try:
        body = None if request.json is None else json.dumps(request.json, allow_nan=False).encode()
        return body, request.target
    except UnicodeError:
        raise TallyfyArgumentError(f"{request.label!a}: the path or a parameter contains a lone surrogate.") from None
    except (TypeError, ValueError, RecursionError, OverflowError) as fault:
        raise TallyfyArgumentError(f"{request.label}: the values can't be sent as JSON: {fault}") from None


def cant_be_sent(fault: Exception, scrub: Scrubber) -> TallyfyConfigurationError:
    """Return the error for an invalid URL, proxy or header. Nothing was sent."""
    return TallyfyConfigurationError(
        f"The request can't be sent: {words_of(fault, scrub)}. Check host, 'proxies', 'verify' and 'cert' of the "
        "connection. Nothing was sent."
    )


def words_of(fault: Exception, scrub: Scrubber) -> str:
    """Return the message of the innermost cause, as one short line without secrets."""
    last = list(causes_of(fault))[-1]
    try:
        words = " ".join(scrub.text(str(last)).split())[:200]
    except Exception:  # its __str__ fails
        words = ""
    return words or type(last).__name__


def causes_of(fault: BaseException) -> Iterator[BaseException]:
    """Yield the fault and its causes. requests and urllib3 keep them in arguments, ``reason`` and ``__cause__``."""
    seen: list[BaseException] = []
    current: BaseException | None = fault
    while current is not None and not any(current is one for one in seen):
        seen.append(current)
        yield current
        inner = getattr(current, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in reversed(current.args) if isinstance(arg, BaseException)), None)
        current = inner or current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def is_about_certificates(cause: BaseException) -> bool:
    """Whether the server rejected the client certificate. With TLS 1.3, it does so only after the handshake."""
    reason = getattr(cause, "reason", None)
    return isinstance(cause, ssl.SSLError) and isinstance(reason, str) and "CERTIFICATE" in reason
