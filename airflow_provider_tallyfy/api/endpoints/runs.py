"""Runs ("processes" in Tallyfy's web app)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, csv, organization
from airflow_provider_tallyfy.api.protocol.arguments import (
    ArgumentError,
    check_choice,
    check_flag,
    check_id,
    check_ids,
    check_texts,
    check_user_ids,
    show,
)
from airflow_provider_tallyfy.api.protocol.messages import Param, Request


def get_run(org: str, run_id: str, include: Iterable[str] = ()) -> Request:
    """Read a run, with the relations in ``include``. An archived one may answer 404."""
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
    """Destroy an archived run for ever."""
    return Request("DELETE", organization(org, "runs", check_id("run_id", run_id), "delete"))


def update_run(org: str, run_id: str, body: Mapping[str, Any]) -> Request:
    """Write fields of a run. Never bare: members that the body leaves out are removed (see :mod:`.update`)."""
    path = organization(org, "runs", check_id("run_id", run_id))
    return Request("PUT", path, json=dict(body), expects="object", identity=run_id)


STATUSES = ("active", "complete", "problem", "issue", "improvement", "archived", "delayed", "starred")


def list_runs(
    org: str,
    *,
    q: str | None = None,
    status: str | None = None,
    archived: bool | str | None = None,
    owners: Iterable[int | str] | None = None,
    checklist_id: str | None = None,
    folder: str | None = None,
    tag: str | None = None,
    tag_ids: Iterable[str] | None = None,
    untagged: bool | None = None,
    starred: bool | None = None,
    groups: Iterable[str] | None = None,
    type: str | None = None,
    task_status: str | None = None,
    include: Iterable[str] | None = None,
    form_fields_values: bool | None = None,
    sort: str | None = None,
    per_page: int = PAGE_SIZE,
) -> Request:
    """List runs, without a page number: :class:`~.pages.Walk` adds it. ``None`` = the parameter is not sent."""
    if archived == "only" or status == "archived":  # status=archived is not reliable, archived=only is
        status = None if status == "archived" else status
        shown: str | None = "only"
    else:
        shown = "true" if _with_archived("archived", archived) else None
    pairs: list[tuple[str, Param | None]] = [
        ("q", q),
        ("status", None if status is None else check_choice("status", status, STATUSES)),
        ("archived", shown),
        ("owners", csv(check_user_ids("owners", owners)) if owners is not None else None),
        ("checklist_id", None if checklist_id is None else check_id("checklist_id", checklist_id)),
        ("folder", None if folder is None else check_id("folder", folder)),
        ("tag", tag),
        ("tag_ids", csv(check_ids("tag_ids", tag_ids)) if tag_ids is not None else None),
        ("untagged", None if untagged is None else check_flag("untagged", untagged)),
        ("starred", None if starred is None else check_flag("starred", starred)),
        ("groups", csv(check_ids("groups", groups)) if groups is not None else None),
        ("type", None if type is None else check_choice("type", type, ("procedure", "form", "document"))),
        (
            "task_status",
            None
            if task_status is None
            else check_choice("task_status", task_status, ("all", "in-progress", "completed")),
        ),
        ("with", csv(check_texts("include", include)) if include else None),
        ("form_fields_values", form_fields_values),
        ("sort", sort),
        ("per_page", per_page),
    ]
    return Request(
        "GET",
        organization(org, "runs"),
        tuple((name, value) for name, value in pairs if value is not None),
        expects="list",
    )


def _with_archived(argument: str, value: object) -> bool:
    if value is None:
        return False
    try:
        return check_flag(argument, value)
    except ArgumentError:
        pass
    raise ArgumentError(f"{argument}={show(value)}: use False (live runs), True (archived ones too) or 'only'.")
