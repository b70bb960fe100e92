"""A request that Tallyfy refuses, in its own words."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """Ends a handler with an error answer.

    :param status: HTTP status.
    :param message: what the person at the other end reads.
    :param code: Tallyfy's machine-readable code, where it has one.
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
        """The error envelope: ``{"error": true, "message": ..., "code": ..., "errors": ...}``."""
        body: dict[str, Any] = {"error": True, "message": self.message}
        if self.code:
            body["code"] = self.code
        if self.errors:
            body["errors"] = self.errors
        return body


def endpoint_not_found() -> Refusal:
    """No such route."""
    return Refusal(404, "Endpoint not found", code="ENDPOINT_NOT_FOUND")


def not_found() -> Refusal:
    """The route exists, the thing does not."""
    return Refusal(404, "Resource not found", code="RESOURCE_NOT_FOUND")


def forbidden(message: str = "You don't have permission to do that.") -> Refusal:
    """The member's role does not allow it."""
    return Refusal(403, message)


class Invalid(Refusal):
    """Fields that did not pass validation; the status is a switch of :class:`Behaviour`."""

    def __init__(self, errors: dict[str, list[str]], message: str = "The given data was invalid.") -> None:
        super().__init__(422, message, errors=errors)


def invalid(field: str, message: str) -> Invalid:
    """One field that did not pass validation."""
    return Invalid({field: [message]})
