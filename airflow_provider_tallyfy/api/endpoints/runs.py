"""Runs ("processes" in Tallyfy's web app)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, csv, organization
from airflow_provider_tallyfy.api.protocol.arguments import check_id, check_texts
from airflow_provider_tallyfy.api.protocol.messages import Param, Request


def get_run(org: str, run_id: str, include: Iterable[str] = (), *, form_fields_values: bool = False) -> Request:
    """Read a run, with the relations in ``include``. For an archived run, Tallyfy may answer 404.

    :param form_fields_values: also request the answers in the forms.
    """
    wanted = csv(check_texts("include", include))
    params: tuple[tuple[str, Param], ...] = (("with", wanted),) if wanted else ()
    params += (("form_fields_values", True),) if form_fields_values else ()
    path = organization(org, "runs", check_id("run_id", run_id))
    return Request("GET", path, params, expects="object", identity=run_id)


def get_form_fields(org: str, run_id: str) -> Request:
    """Read the forms of a run with their answers: ``ko_form_fields`` (kick-off form) and ``form_fields`` (tasks)."""
    return Request("GET", organization(org, "runs", check_id("run_id", run_id), "form-fields"))


def submit_kickoff(org: str, run_id: str) -> Request:
    """Submit a run's kick-off form, with its present answers."""
    path = organization(org, "runs", check_id("run_id", run_id), "complete-prerun")
    return Request("POST", path, expects="object", identity=run_id)


def reopen_kickoff(org: str, run_id: str) -> Request:
    """Reopen a run's kick-off form; the run becomes active again."""
    path = organization(org, "runs", check_id("run_id", run_id), "complete-prerun")
    return Request("DELETE", path, expects="object", identity=run_id)


def launch_run(org: str, body: Mapping[str, Any]) -> Request:
    """Launch a run.

    Tallyfy has no idempotency key: a second request launches a second run. See
    :mod:`airflow_provider_tallyfy.api.runs.launch`.
    """
    return Request("POST", organization(org, "runs"), json=dict(body), expects="object")


def archive_run(org: str, run_id: str) -> Request:
    """Archive a run (soft delete)."""
    return Request("DELETE", organization(org, "runs", check_id("run_id", run_id)), expects="object", identity=run_id)


def activate_run(org: str, run_id: str) -> Request:
    """Bring an archived run back."""
    path = organization(org, "runs", check_id("run_id", run_id), "activate")
    return Request("PUT", path, expects="object", identity=run_id)


def delete_run(org: str, run_id: str) -> Request:
    """Delete an archived run permanently."""
    return Request("DELETE", organization(org, "runs", check_id("run_id", run_id), "delete"))


def update_run(org: str, run_id: str, body: Mapping[str, Any]) -> Request:
    """Write fields of a run.

    Tallyfy removes the members that the body leaves out: :mod:`airflow_provider_tallyfy.api.runs.update` keeps them.
    """
    path = organization(org, "runs", check_id("run_id", run_id))
    return Request("PUT", path, json=dict(body), expects="object", identity=run_id)


def list_runs(
    org: str,
    *,
    include: Iterable[str] = (),
    form_fields_values: bool | None = None,
    sort: str | None = None,
    per_page: int = PAGE_SIZE,
    **filters: Param | None,
) -> Request:
    """List runs. :class:`~airflow_provider_tallyfy.api.protocol.pagination.Walk` adds the page number.

    :param include: relations to return with each run.
    :param filters: query parameters, sent as given (see :mod:`airflow_provider_tallyfy.api.runs.filters`);
        ``None`` = not sent. Tallyfy ignores parameters that it does not know.
    """
    pairs: dict[str, Param | None] = {
        **filters,
        "with": csv(check_texts("include", include)) or None,
        "form_fields_values": form_fields_values,
        "sort": sort,
        "per_page": per_page,
    }
    params = tuple((name, value) for name, value in pairs.items() if value is not None)
    return Request("GET", organization(org, "runs"), params, expects="list")
