"""What can go wrong, as types.

=======================================  ===================================================  ==================
exception                                when                                                 Airflow retries it
=======================================  ===================================================  ==================
:class:`TallyfyArgumentError`            an argument that must not be sent                    no
:class:`TallyfyConfigurationError`       the connection says something wrong                  no
:class:`TallyfyConnectionNotFoundError`  no such connection, or Airflow can't look it up now  yes
:class:`TallyfyAlreadyError`             nothing to do, and ``if_already="fail"``          no
:class:`TallyfyAuthError`                401                                                  no
:class:`TallyfyForbiddenError`           403                                                  no
:class:`TallyfyNotFoundError`            404, 410                                             no
:class:`TallyfyValidationError`          400, 422                                             no
:class:`TallyfyConflictError`            409                                                  no
:class:`TallyfyClientError`              any other 3xx and 4xx                                no
:class:`TallyfyArchivedError`            the run is archived, so it can't be updated          no
:class:`TallyfyNotAppliedError`          Tallyfy said yes and did not do it                   no
:class:`TallyfyUnrepeatableError`        a POST that may or may not have happened             no
:class:`TallyfyBulkRefusedError`         bulk: runs failed in ways that no retry can fix      no
:class:`TallyfyBulkError`                bulk: runs failed or were not tried                  yes
:class:`TallyfyReportError`              a bulk report can't be read or written for now       yes
:class:`TallyfyRateLimitedError`         429, and the wait is over or too long                yes
:class:`TallyfyServerError`              5xx, 408, or an answer that is not Tallyfy's         yes
:class:`TallyfyUnreachableError`         no answer: DNS, TLS, refused, time-out, cut off      yes
:class:`TallyfyIndeterminateError`       a write that may or may not have happened            yes
=======================================  ===================================================  ==================

Those that a retry cannot fix are also ``AirflowFailException``, so the task fails at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy._compat import AirflowException, AirflowFailException
from airflow_provider_tallyfy.api.protocol.problems import Kind

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.protocol.problems import Problem


class TallyfyError(AirflowException):
    """Anything that this provider raises."""


class TallyfyArgumentError(TallyfyError, AirflowFailException, ValueError):
    """An argument that must not be sent. Nothing was sent."""


class TallyfyConfigurationError(TallyfyError, AirflowFailException):
    """The connection says something that can't be right. Nothing was sent."""


class TallyfyConnectionNotFoundError(TallyfyError):
    """Airflow does not find the connection, or can't look it up now. Nothing was sent.

    An outage of Airflow's database looks like a missing connection, so this is retried.
    """


class TallyfyAlreadyError(TallyfyError, AirflowFailException):
    """There was nothing to do, and the operator was told that this is a failure (``if_already="fail"``)."""


class TallyfyApiError(TallyfyError):
    """A request to Tallyfy that did not end well.

    :param message: the whole story for a person, bounded and without secrets.
    :param http_status: status code of the answer, ``None`` where there was none.
    :param method: HTTP method.
    :param path: path of the request, without host and query.
    :param request_id: Tallyfy's ``X-Request-Id``, for its support.
    :param errors: per field, what is wrong with it.
    :param retry_after: seconds that Tallyfy asked to wait, ``None`` where it did not.
    :param problem: the same as data.
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
        """Survive pickling, which would request the class with the message alone."""
        return (_rebuild, (type(self), str(self), dict(vars(self))))


def _rebuild(cls: type[TallyfyApiError], message: str, state: dict[str, Any]) -> TallyfyApiError:
    error = cls(message)
    vars(error).update(state)
    return error


class TallyfyBulkError(TallyfyError):
    """Some runs of a bulk change failed or were not tried; another try does only what is still to do.

    :param message: the report in one line, and the first failures.
    :param summary: the summary that is in the XCom ``summary``.
    """

    def __init__(self, message: str, summary: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.summary = dict(summary or {})


class TallyfyBulkRefusedError(TallyfyBulkError, AirflowFailException):
    """Some runs of a bulk change failed, and would fail again."""


class TallyfyReportError(TallyfyError):
    """The file that a bulk task reads or keeps its report in can't be read or written at the moment."""


class TallyfyClientError(TallyfyApiError, AirflowFailException):
    """Tallyfy refused the request, and would refuse it again."""


class TallyfyAuthError(TallyfyClientError):
    """401: the token is not accepted."""


class TallyfyForbiddenError(TallyfyClientError):
    """403: the token's user may not do this."""


class TallyfyNotFoundError(TallyfyClientError):
    """404: there is no such thing in this organization."""


class TallyfyValidationError(TallyfyClientError):
    """400 or 422: a value is not accepted; see ``errors``."""


class TallyfyConflictError(TallyfyClientError):
    """Something else is in the way: no free seat (409), an open issue, an approval decided in the other way."""


class TallyfyArchivedError(TallyfyClientError):
    """The run is archived and must be activated before it can be updated."""


class TallyfyNotAppliedError(TallyfyClientError):
    """Tallyfy answered with success, but the run does not show what was asked for; see ``errors``."""


class TallyfyRateLimitedError(TallyfyApiError):
    """429: too many requests; ``retry_after`` says what Tallyfy asks for.

    Raised when one request was rate-limited 100 times or has waited 30 minutes in all (in bulk: 25 times), when Tallyfy
    asks to wait more than two minutes at once (it has hourly caps), and at once where ``max_retries`` is 0.
    """


class TallyfyServerError(TallyfyApiError):
    """5xx, 408, or an answer that makes no sense."""


class TallyfyUnreachableError(TallyfyApiError):
    """No complete answer came."""


class TallyfyIndeterminateError(TallyfyApiError):
    """A write that may or may not have happened, and reading could not settle it. Doing it again is harmless."""


class TallyfyUnrepeatableError(TallyfyIndeterminateError, AirflowFailException):
    """A POST that may or may not have happened. Doing it again may do it twice, so a person must look first."""


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
    """The exception for a problem."""
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
