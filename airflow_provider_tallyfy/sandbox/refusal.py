"""Error responses, with Tallyfy's own messages."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """Ends a handler with an error response.

    :param status: HTTP status.
    :param message: the message for people.
    :param code: Tallyfy's machine-readable code, if it has one.
    :param errors: messages by field.
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, errors: dict[str, list[str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.errors = errors

    def body(self) -> dict[str, Any]:
        """Return the error body: ``{"error": true, "message": ..., "code": ..., "errors": ...}``."""
        body: dict[str, Any] = {"error": True, "message": self.message}
        if self.code:
            body["code"] = self.code
        if self.errors:
            body["errors"] = self.errors
        return body


def endpoint_not_found() -> Refusal:
    """There is no such route."""
    return Refusal(404, "Endpoint not found", code="ENDPOINT_NOT_FOUND")


def not_found() -> Refusal:
    """The route exists, but the object does not."""
    return Refusal(404, "Resource not found", code="RESOURCE_NOT_FOUND")


def forbidden(message: str = "You don't have permission to do that.") -> Refusal:
    """The role of the member does not allow this."""
    return Refusal(403, message)


class Invalid(Refusal):
    """Fields that failed validation. The status is a switch of :class:`Behaviour`."""

    def __init__(self, errors: dict[str, list[str]], message: str = "The given data was invalid.") -> None:
        super().__init__(422, message, errors=errors)


def invalid(field: str, message: str) -> Invalid:
    """One field that failed validation."""
    return Invalid({field: [message]})
