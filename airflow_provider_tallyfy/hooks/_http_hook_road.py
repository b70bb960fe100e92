"""The road that is inherited from ``HttpHook``: ``run()``, ``run_with_advanced_retry()`` and the session itself.

Nothing of this provider takes it. It stays for DAGs that do: authenticated, against the connection's base URL, with the
connection's time-out, proxies and certificates, and with this provider's errors; without its retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import requests
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_tallyfy._compat import AirflowException
from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import problem_of
from airflow_provider_tallyfy.client.decoding import decoded
from airflow_provider_tallyfy.client.engine import Engine
from airflow_provider_tallyfy.client.lost_answers import words_of
from airflow_provider_tallyfy.client.requests_transport import RequestsTransport, lost
from airflow_provider_tallyfy.client.session import new_session
from airflow_provider_tallyfy.exceptions import TallyfyApiError, TallyfyArgumentError, error_from


class HttpHookRoad(HttpHook):
    """The methods that ``HttpHook.run()`` calls, on the hook's own connections."""

    if TYPE_CHECKING:  # made by the class that takes this one

        @cached_property
        def _engine(self) -> Engine: ...

        @cached_property
        def _transport(self) -> RequestsTransport: ...

    def get_conn(
        self, headers: Mapping[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return the hook's session, or, given headers, one of its own with them (on the same connection pool).

        :param headers: additional headers.
        :param extra_options: ``timeout`` and ``check_response``, as in ``HttpHook``.
        """
        transport = self._transport
        self.base_url = transport.settings.base_url
        self._base_url_initialized = True
        if extra_options is not None and not isinstance(extra_options, Mapping):
            raise TallyfyArgumentError(f"extra_options={show(extra_options)} is not an object of names and values.")
        self.merged_extra = dict(extra_options or {})
        if not headers:
            return transport.session
        session = new_session(transport.settings, transport.adapter)
        try:
            session.headers.update(headers)
        except (TypeError, ValueError, AttributeError):
            raise TallyfyArgumentError(f"headers={show(headers)} is not an object of names and values.") from None
        return session

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Perform a request as ``HttpHook.run()`` does.

        :param args: as there: ``endpoint``, ``data``, ``headers``, ``extra_options``.
        :param kwargs: the same by name, and what ``requests`` takes for a request, such as ``json``.
        :raises TallyfyApiError: for an answer that is not a success, and for none.
        :raises TallyfyArgumentError: for arguments that no request can be made of; nothing was sent.
        """
        try:
            return super().run(*args, **kwargs)
        except AirflowException:
            raise
        except Exception as fault:  # what is sent ends in the errors of run_and_check()
            told = words_of(fault, self._transport.scrub)
            raise TallyfyArgumentError(f"No request can be made of these arguments: {told}") from None

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any] | None
    ) -> Any:
        """Send what ``run()`` prepared, with this connection's time-out and TLS settings, following no redirect.

        :param session: as :meth:`get_conn` returns it.
        :param prepped_request: what is sent.
        :param extra_options: ``timeout`` in seconds, and ``check_response=False`` to get error answers back.
        :raises TallyfyApiError: for an answer that is not a success, and for none.
        """
        options, transport = extra_options or {}, self._transport
        self._engine.request_count += 1
        try:
            response = session.send(
                prepped_request,
                timeout=options.get("timeout") or transport.timeout,
                allow_redirects=False,
                **{**transport.options, "stream": True},
            )
            # Read here, for requests decompresses without bounds.
            body = response.raw.read(decode_content=False)
            response._content = decoded(body, response.headers.get("content-encoding", ""))
        except AirflowException:
            raise
        except Exception as fault:
            raise self._error(prepped_request, lost(fault, transport.adapter.state.sent, transport.scrub)) from None
        if options.get("check_response", True):
            self.check_response(response)
        return response

    def check_response(self, response: requests.Response) -> None:
        """Raise the exception of this provider that fits the answer; its body is not logged.

        :param response: the answer.
        :raises TallyfyApiError: for every answer that is not a success.
        """
        headers = {name.lower(): value for name, value in response.headers.items()}
        answered = Response(response.status_code, headers, response.content)
        if not answered.ok:
            raise self._error(response.request, answered)

    def _error(self, request: requests.PreparedRequest, reply: Reply) -> TallyfyApiError:
        path = (request.path_url or "/").split("?")[0].strip("/")
        meant = Request(request.method or "GET", tuple(path.split("/")))
        return error_from(self._transport.scrub.problem(problem_of(Exchange(meant, reply))))
