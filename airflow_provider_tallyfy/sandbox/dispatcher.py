"""Carrying a request out: which handler it means, who asks, and the answer in Tallyfy's words."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from airflow_provider_tallyfy.sandbox.faults import HTML_404
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.people import People
from airflow_provider_tallyfy.sandbox.refusal import Invalid, Refusal, endpoint_not_found
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord
from airflow_provider_tallyfy.sandbox.routes import all_routes
from airflow_provider_tallyfy.sandbox.routing import Call
from airflow_provider_tallyfy.sandbox.run_index import RunIndex
from airflow_provider_tallyfy.sandbox.run_serializer import RunSerializer
from airflow_provider_tallyfy.sandbox.transmission import HTML, JSON, RawAnswer

log = logging.getLogger(__name__)


class Dispatcher:
    """Carries requests out, one at a time.

    :param organization: the state that they read and change.
    :param people: who may have something to do before a request is carried out.
    """

    def __init__(self, organization: Organization, people: People) -> None:
        self.organization = organization
        self.people = people
        self.index = RunIndex(organization)
        self._serializer = RunSerializer(organization)
        self._routes = all_routes()

    def carry_out(self, record: RequestRecord) -> RawAnswer:
        """Find the handler, check who asks, change the state, write the answer."""
        try:
            with self.organization.lock:
                return self._handled(record)
        except Refusal as refusal:
            return self._refused(record, refusal)
        except Exception:
            log.exception("The sandbox failed at %s", record.call)
            return 500, JSON, b'{"error":true,"message":"The sandbox itself failed; see its log."}'

    def shown(self, run_id: str) -> RawAnswer:
        """A run as ``GET`` shows it, whoever asks and whether or not it is archived."""
        with self.organization.lock:
            run = self.organization.runs.get(run_id)
            data = None if run is None else self._serializer.run(run)
        return 200, JSON, json.dumps({"data": data}).encode()

    def _handled(self, record: RequestRecord) -> RawAnswer:
        path = record.path
        if path.startswith("/api/"):
            path = path[4:]
        found = self._routes.find(record.method, path)
        if found is None:
            raise endpoint_not_found()
        handler, ids = found
        organization, headers = self.organization, record.headers
        self._check_headers(headers)
        member_id = organization.tokens.get(headers["Authorization"][len("Bearer ") :])
        if member_id is None or not headers["Authorization"].startswith("Bearer "):
            raise Refusal(401, "invalid token")
        if path.startswith("/organizations/") and ids[0] != organization.id:
            if organization.behaviour.foreign_organization == "404":
                raise Refusal(404, "Resource not found", code="RESOURCE_NOT_FOUND")
            raise Refusal(403, "You are not a member of this organization.")
        member = organization.members[member_id]
        record.applied = True
        self.people.before(record.method, record.route, record.query.get("page", "1"))
        call = Call(organization, self._serializer, self.index, member, ids, record.query, headers, record.body, path)
        answer = handler(call)
        if answer.data is None:
            # Without a body Laravel still names PHP's default type: an empty answer is no HTML error page.
            return answer.status, HTML if answer.status == 200 else {}, b""
        return answer.status, JSON, json.dumps(answer.data, separators=(",", ":")).encode()

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        behaviour = self.organization.behaviour
        if not headers.get("X-Tallyfy-Client", "").strip():
            raise endpoint_not_found() if behaviour.missing_client_header == "404" else _missing_headers()
        if behaviour.wrong_accept == "401" and "application/json" not in headers.get("Accept", ""):
            raise _missing_headers()
        if "Authorization" not in headers:
            raise _missing_headers()

    def _refused(self, record: RequestRecord, refusal: Refusal) -> RawAnswer:
        behaviour = self.organization.behaviour
        status, body = refusal.status, refusal.body()
        if isinstance(refusal, Invalid):
            status = int(behaviour.validation_status)
        if status == 401 and refusal.message == "invalid token" and behaviour.unauthenticated_body == "laravel":
            body = {"message": "Unauthenticated."}
        wants_json = "application/json" in record.headers.get("Accept", "")
        if not wants_json and (behaviour.wrong_accept == "html_errors" or refusal.code == "ENDPOINT_NOT_FOUND"):
            return status, HTML, HTML_404 if status == 404 else f"<html><body><h1>{status}</h1></body></html>".encode()
        return status, JSON, json.dumps(body).encode()


def _missing_headers() -> Refusal:
    return Refusal(401, "missing required headers")
