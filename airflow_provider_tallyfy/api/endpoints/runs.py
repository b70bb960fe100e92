"""Runs ("processes" in Tallyfy's web app)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, csv, organization
from airflow_provider_tallyfy.api.protocol.arguments import check_id, check_texts
from airflow_provider_tallyfy.api.protocol.messages import Param, Request


def get_run(org: str, run_id: str, include: Iterable[str] = ()) -> Request:
    """Read a run, with the relations in ``include``. For an archived run, Tallyfy may answer 404."""
    wanted = csv(check_texts("include", include))
    return Request(
        "GET",
        organization(org, "runs", check_id("run_id", run_id)),
        (("with", wanted),) if wanted else (),
        expects="object",
        identity=run_id,
    )


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
