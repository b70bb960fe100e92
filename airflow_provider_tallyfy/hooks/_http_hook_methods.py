"""The methods of ``HttpHook``: ``run()``, ``run_with_advanced_retry()`` and ``get_conn()``, made safe for Tallyfy.

This provider does not use them. They keep working for DAGs that do: with the token, base URL, timeout, proxies and
certificates of the connection, and with the exceptions of this provider, but without its retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from airflow_provider_tallyfy._compat import AirflowException
from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Reply, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import problem_of
from airflow_provider_tallyfy.client.decoding import decoded
from airflow_provider_tallyfy.client.lost_answers import words_of
from airflow_provider_tallyfy.client.requests_transport import lost
from airflow_provider_tallyfy.client.session import new_session
from airflow_provider_tallyfy.exceptions import TallyfyApiError, TallyfyArgumentError, error_from
from airflow_provider_tallyfy.hooks._base import TallyfyBaseHook


class HttpHookMethods(TallyfyBaseHook):
    """Overrides the methods that ``HttpHook.run()`` calls, so that they use the transport of this hook."""

    def get_conn(
        self, headers: Mapping[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return the session of this hook, or a new one on the same connection pool if ``headers`` are given.

        :param headers: additional headers, for the new session.
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
        """Send a request as ``HttpHook.run()`` does.

        :param args: ``endpoint``, ``data``, ``headers`` and ``extra_options``, as in ``HttpHook``.
        :param kwargs: the same by name, and the options of a ``requests`` request, such as ``json``.
        :raises TallyfyApiError: for an error status, and if there is no response.
        :raises TallyfyArgumentError: if no request can be built from the arguments. Nothing was sent.
        """
        try:
            return super().run(*args, **kwargs)
        except AirflowException:
            raise
        except Exception as fault:  # raised before sending: run_and_check() raises AirflowExceptions only
            told = words_of(fault, self._transport.scrub)
            raise TallyfyArgumentError(f"No request can be built from these arguments: {told}") from None

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any] | None
    ) -> Any:
        """Send a prepared request with the timeout and TLS settings of the connection. Redirects are not followed.

        :param session: the session that :meth:`get_conn` returned.
        :param prepped_request: the request.
        :param extra_options: ``timeout`` in seconds; ``check_response=False`` returns error responses.
        :raises TallyfyApiError: for an error status, and if there is no response.
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
            # Read here, because requests would decompress without a size limit.
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
        """Raise an exception of this provider if the response is an error. Unlike ``HttpHook``, do not log its body.

        :param response: the response.
        :raises TallyfyApiError: for an error status.
        """
        headers = {name.lower(): value for name, value in response.headers.items()}
        answered = Response(response.status_code, headers, response.content)
        if not answered.ok:
            raise self._error(response.request, answered)

    def _error(self, request: requests.PreparedRequest, reply: Reply) -> TallyfyApiError:
        path = (request.path_url or "/").split("?")[0].strip("/")
        meant = Request(request.method or "GET", tuple(path.split("/")))
        return error_from(self._transport.scrub.problem(problem_of(Exchange(meant, reply))))
