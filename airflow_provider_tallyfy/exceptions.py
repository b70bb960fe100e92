"""The exceptions that this provider raises.

=======================================  ===================================================  ==================
exception                                when                                                 Airflow retries it
=======================================  ===================================================  ==================
:class:`TallyfyArgumentError`            a bad argument; nothing was sent                     no
:class:`TallyfyConfigurationError`       a wrong field in the connection                      no
:class:`TallyfyConnectionNotFoundError`  no such connection, or Airflow can't look it up now  yes
:class:`TallyfyAlreadyError`             nothing to do, and ``if_already="fail"``             no
:class:`TallyfyAuthError`                401                                                  no
:class:`TallyfyForbiddenError`           403                                                  no
:class:`TallyfyNotFoundError`            404, 410                                             no
:class:`TallyfyValidationError`          400, 422                                             no
:class:`TallyfyConflictError`            409                                                  no
:class:`TallyfyClientError`              any other 3xx and 4xx                                no
:class:`TallyfyArchivedError`            the run is archived, so it can't be updated          no
:class:`TallyfyNotAppliedError`          Tallyfy reported success but did not do it           no
:class:`TallyfyUnrepeatableError`        a POST that may or may not have been done            no
:class:`TallyfyBulkRefusedError`         bulk: runs failed, and a retry cannot help           no
:class:`TallyfyBulkError`                bulk: runs failed or were not tried                  yes
:class:`TallyfyReportError`              a bulk report cannot be read or written now          yes
:class:`TallyfyRateLimitedError`         429, after all waits or with too long a wait         yes
:class:`TallyfyServerError`              5xx, 408, or a response that is not Tallyfy's        yes
:class:`TallyfyUnreachableError`         no response: DNS, TLS, refused, timeout, cut off     yes
:class:`TallyfyIndeterminateError`       a write that may or may not have been done           yes
=======================================  ===================================================  ==================

Errors that a retry cannot fix are also ``AirflowFailException``, so the task fails without a retry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy._compat import AirflowException, AirflowFailException
from airflow_provider_tallyfy.api.protocol.problems import Kind

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.protocol.problems import Problem


class TallyfyError(AirflowException):
    """Base of all exceptions of this provider."""


class TallyfyArgumentError(TallyfyError, AirflowFailException, ValueError):
    """A bad argument. Nothing was sent."""


class TallyfyConfigurationError(TallyfyError, AirflowFailException):
    """A field of the connection is wrong or missing. Nothing was sent."""


class TallyfyConnectionNotFoundError(TallyfyError):
    """Airflow does not find the connection, or cannot look it up now. Nothing was sent.

    Airflow retries the task, because an outage of its database looks like a missing connection.
    """


class TallyfyAlreadyError(TallyfyError, AirflowFailException):
    """There was nothing to do, and the operator has ``if_already="fail"``."""


class TallyfyApiError(TallyfyError):
    """A request to Tallyfy failed.

    :param message: the full explanation for people, of limited length and without secrets.
    :param http_status: status code of the response, ``None`` if there was no response.
    :param method: HTTP method.
    :param path: path of the request, without host and query.
    :param request_id: ``X-Request-Id`` of the response, for Tallyfy's support.
    :param errors: what is wrong with each field.
    :param retry_after: seconds that Tallyfy asked to wait, ``None`` if it did not ask.
    :param problem: all of this as data.
    """

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        request_id: str | None = None,
        errors: Mapping[str, list[str]] | None = None,
        retry_after: float | None = None,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.method = method
        self.path = path
        self.request_id = request_id
        self.errors = dict(errors or {})
        self.retry_after = retry_after
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all attributes. By default, an exception is rebuilt from its message alone."""
        return (_rebuild, (type(self), str(self), dict(vars(self))))


def _rebuild(cls: type[TallyfyApiError], message: str, state: dict[str, Any]) -> TallyfyApiError:
    error = cls(message)
    vars(error).update(state)
    return error


class TallyfyBulkError(TallyfyError):
    """Some runs of a bulk change failed or were not tried. A retry changes only the remaining runs.

    :param message: the report in one line, and the first failures.
    :param summary: the same as in the XCom ``summary``.
    """

    def __init__(self, message: str, summary: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.summary = dict(summary or {})


class TallyfyBulkRefusedError(TallyfyBulkError, AirflowFailException):
    """Some runs of a bulk change failed, and a retry cannot help."""


class TallyfyReportError(TallyfyError):
    """The report file of a bulk task cannot be read or written at the moment."""


class TallyfyClientError(TallyfyApiError, AirflowFailException):
    """Tallyfy refused the request. A retry cannot help."""


class TallyfyAuthError(TallyfyClientError):
    """401: Tallyfy does not accept the token."""


class TallyfyForbiddenError(TallyfyClientError):
    """403: the user of the token may not do this."""


class TallyfyNotFoundError(TallyfyClientError):
    """404: the organization has no object with this id."""


class TallyfyValidationError(TallyfyClientError):
    """400 or 422: Tallyfy does not accept a value; see ``errors``."""


class TallyfyConflictError(TallyfyClientError):
    """Something prevents it: no free seat (409), an open issue, an approval that was decided the other way."""


class TallyfyArchivedError(TallyfyClientError):
    """The run is archived. Activate it before you update it."""


class TallyfyNotAppliedError(TallyfyClientError):
    """Tallyfy reported success, but the run does not have the new values; see ``errors``."""


class TallyfyRateLimitedError(TallyfyApiError):
    """429: too many requests. ``retry_after`` is the wait that Tallyfy asks for.

    Raised if one request was rate-limited 100 times (in bulk: 25 times) or has waited 30 minutes in all, and if Tallyfy
    asks for a single wait of more than two minutes (it has hourly limits). With ``max_retries=0`` raised immediately.
    """


class TallyfyServerError(TallyfyApiError):
    """5xx, 408, or a response that cannot be read."""


class TallyfyUnreachableError(TallyfyApiError):
    """There was no complete response."""


class TallyfyIndeterminateError(TallyfyApiError):
    """A write may or may not have been done, and reading could not find out. Repeating it is harmless."""


class TallyfyUnrepeatableError(TallyfyIndeterminateError, AirflowFailException):
    """A POST may or may not have been done. A retry could do it twice, so a person must check first."""


_BY_KIND: dict[Kind, type[TallyfyApiError]] = {
    Kind.AUTH: TallyfyAuthError,
    Kind.FORBIDDEN: TallyfyForbiddenError,
    Kind.NOT_FOUND: TallyfyNotFoundError,
    Kind.VALIDATION: TallyfyValidationError,
    Kind.CONFLICT: TallyfyConflictError,
    Kind.REFUSED: TallyfyClientError,
    Kind.ARCHIVED: TallyfyArchivedError,
    Kind.NOT_APPLIED: TallyfyNotAppliedError,
    Kind.RATE_LIMITED: TallyfyRateLimitedError,
    Kind.SERVER: TallyfyServerError,
    Kind.UNREACHABLE: TallyfyUnreachableError,
    Kind.INDETERMINATE: TallyfyIndeterminateError,
    Kind.UNREPEATABLE: TallyfyUnrepeatableError,
}


def error_from(problem: Problem) -> TallyfyApiError:
    """Return the exception for a problem."""
    return _BY_KIND[problem.kind](
        problem.message,
        http_status=problem.http_status,
        method=problem.method,
        path=problem.path,
        request_id=problem.request_id,
        errors=problem.errors,
        retry_after=problem.retry_after,
        problem=problem,
    )
