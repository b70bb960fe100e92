"""``/_sandbox/...``: what a test in another process may look at and change. Not part of Tallyfy's API."""

from __future__ import annotations

import dataclasses
from typing import Any

from airflow_provider_tallyfy.sandbox.faults import FAULTS, Fault, Injection
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord, summary
from airflow_provider_tallyfy.sandbox.run_serializer import RunSerializer
from airflow_provider_tallyfy.sandbox.state import SandboxState


class Control:
    """Answers below ``/_sandbox``. Its own requests are neither recorded nor delayed nor limited.

    :param state: what to look into.
    """

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self._serializer = RunSerializer(state.organization)

    def answer(self, record: RequestRecord) -> tuple[int, Any]:
        """Status and JSON for a request."""
        with self.state.organization.lock:
            try:
                return self._answer(record.method, record.path, record.query, record.json)
            except (TypeError, ValueError, KeyError) as error:
                return 422, {"error": f"{type(error).__name__}: {error}"}

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        state, organization = self.state, self.state.organization
        _, _, what = path.removeprefix("/_sandbox").partition("/")
        if (method, what) == ("GET", ""):
            return 200, self.overview()
        if (method, what) == ("GET", "requests"):
            found = summary(state.records)
            if query.get("full"):
                found["requests"] = [entry.as_dict() for entry in state.records]
            return 200, found
        if (method, what) == ("DELETE", "requests"):
            state.records.clear()
            return 200, summary(state.records)
        if (method, what) == ("GET", "runs"):
            wanted = {"true": True, "false": False}.get(query.get("archived", ""))
            runs = [
                run for run in organization.runs.values() if wanted is None or (run.archived_at is not None) is wanted
            ]
            return 200, {"data": [self._serializer.run_state(run) for run in runs]}
        if method == "GET" and what.startswith("runs/"):
            run = organization.runs.get(what.partition("/")[2])
            return (200, {"data": self._serializer.run_state(run)}) if run else (404, {"error": "no such run"})
        if (method, what) == ("POST", "faults"):
            state.plan.append(injection(body))
            return 201, {"planned": len(state.plan)}
        if (method, what) == ("DELETE", "faults"):
            state.plan.clear()
            return 200, {"planned": 0}
        if (method, what) == ("POST", "people"):
            told = body if isinstance(body, list) else [body]
            for one in told:
                state.people.tell(**one)
            return 201, state.people.as_dict()
        if (method, what) == ("DELETE", "people"):
            state.people.forget()
        if what == "people" and method in ("GET", "DELETE"):
            return 200, state.people.as_dict()
        if (method, what) == ("PUT", "behaviour"):
            organization.behaviour = dataclasses.replace(organization.behaviour, **body)
        if what == "behaviour" and method in ("GET", "PUT"):
            return 200, dataclasses.asdict(organization.behaviour)
        return 404, {"error": f"the sandbox has no {method} /_sandbox/{what}"}

    def overview(self) -> dict[str, Any]:
        """What the organization holds."""
        organization = self.state.organization
        archived = sum(run.archived_at is not None for run in organization.runs.values())
        return {
            "organization_id": organization.id,
            "organization": organization.name,
            "members": len(organization.members),
            "templates": len(organization.templates),
            "tags": len(organization.tags),
            "folders": len(organization.folders),
            "runs": len(organization.runs) - archived,
            "archived_runs": archived,
            "requests": len(self.state.records),
        }


def injection(body: Any) -> Injection:
    """``{"method", "path", "fault", "arguments", "times", "after"}`` as an entry of the plan.

    ``arguments`` of the fault are an object, or a list when they have no names.

    :raises ValueError: for a fault that does not exist.
    """
    name = body["fault"]
    if name not in FAULTS:
        raise ValueError(f"no fault {name!r}; there are {FAULTS}")
    arguments = body.get("arguments", {})
    make = getattr(Fault, name)
    fault: Fault = make(*arguments) if isinstance(arguments, list) else make(**arguments)
    return Injection(body.get("method", "*"), body.get("path", "*"), fault, body.get("times", 1), body.get("after", 0))
