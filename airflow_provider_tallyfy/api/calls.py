"""One small function per endpoint of the Tallyfy API: arguments in, :class:`~.wire.Call` out. Nothing else.

Ids are checked here, so none reaches the wire unchecked. Paths are those of Tallyfy's public API pages
(https://tallyfy.com/products/pro/integrations/open-api/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
from airflow_provider_tallyfy.api.protocol.messages import Call, Param

PAGE_SIZE = 100  # rows; the most that Tallyfy gives


def organization(org: str, *rest: str) -> tuple[str, ...]:
    """Path segments below an organization."""
    return ("organizations", check_id("organization_id", org), *rest)


def raw(method: str, path: str, params: Mapping[str, Param | None] | None = None, json: Any = None) -> Call:
    """A call to any path below the base URL, taken literally segment by segment.

    :param params: query parameters; ``None`` = not sent.
    :raises ArgumentError: for a path that could turn into another one on its way (``..``, ``//``, ``?``, ``%``).
    """
    if not isinstance(path, str) or not path.strip("/"):
        raise ArgumentError(f"path={show(path)} is empty; it must be a path such as '/organizations/<id>/users'.")
    segments = tuple(path.strip("/").split("/"))
    for segment in segments:
        if segment in {"", ".", ".."} or any(char in "?#%\\" or not char.isprintable() for char in segment):
            raise ArgumentError(
                f"path={show(path)} is not a plain path: no '.', '..', empty part, '?', '#', '%' or backslash. "
                "Query parameters go into params=."
            )
    given = {name: value for name, value in (params or {}).items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, (str, int, float)):
            raise ArgumentError(
                f"params[{name!r}]={show(value)} is of type {type(value).__name__}; "
                "it must be a string, a number or a bool. Lists are joined with commas."
            )
    return Call(check_choice("method", method.upper(), METHODS), segments, tuple(given.items()), json)


METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")


# -- who is asking, and where ----------------------------------------------------------------------------------------


def get_me() -> Call:
    """Read the token's user: proves the token."""
    return Call("GET", ("me",))


def get_organization(org: str) -> Call:
    """Read the organization."""
    return Call("GET", organization(org))


def get_member(org: str) -> Call:
    """The token's user as a member of the organization, with the role: proves token, organization and role at once."""
    return Call("GET", organization(org, "me"))


# -- runs ------------------------------------------------------------------------------------------------------------


def get_run(org: str, run_id: str, include: Iterable[str] = ()) -> Call:
    """Read a run, with the relations in ``include``. An archived one may answer 404."""
    wanted = _csv(check_texts("include", include))
    return Call("GET", organization(org, "runs", check_id("run_id", run_id)), (("with", wanted),) if wanted else ())


def archive_run(org: str, run_id: str) -> Call:
    """Archive a run (soft delete)."""
    return Call("DELETE", organization(org, "runs", check_id("run_id", run_id)))


def activate_run(org: str, run_id: str) -> Call:
    """Bring an archived run back."""
    return Call("PUT", organization(org, "runs", check_id("run_id", run_id), "activate"))


def delete_run(org: str, run_id: str) -> Call:
    """Destroy an archived run for ever."""
    return Call("DELETE", organization(org, "runs", check_id("run_id", run_id), "delete"))


def update_run(org: str, run_id: str, body: Mapping[str, Any]) -> Call:
    """Write fields of a run. Never bare: members that the body leaves out are removed (see :mod:`.update`)."""
    return Call("PUT", organization(org, "runs", check_id("run_id", run_id)), json=dict(body))


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
) -> Call:
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
        ("owners", _csv(check_user_ids("owners", owners)) if owners is not None else None),
        ("checklist_id", None if checklist_id is None else check_id("checklist_id", checklist_id)),
        ("folder", None if folder is None else check_id("folder", folder)),
        ("tag", tag),
        ("tag_ids", _csv(check_ids("tag_ids", tag_ids)) if tag_ids is not None else None),
        ("untagged", None if untagged is None else check_flag("untagged", untagged)),
        ("starred", None if starred is None else check_flag("starred", starred)),
        ("groups", _csv(check_ids("groups", groups)) if groups is not None else None),
        ("type", None if type is None else check_choice("type", type, ("procedure", "form", "document"))),
        (
            "task_status",
            None
            if task_status is None
            else check_choice("task_status", task_status, ("all", "in-progress", "completed")),
        ),
        ("with", _csv(check_texts("include", include)) if include else None),
        ("form_fields_values", form_fields_values),
        ("sort", sort),
        ("per_page", per_page),
    ]
    return Call("GET", organization(org, "runs"), tuple((name, value) for name, value in pairs if value is not None))


def _with_archived(argument: str, value: object) -> bool:
    if value is None:
        return False
    try:
        return check_flag(argument, value)
    except ArgumentError:
        pass
    raise ArgumentError(f"{argument}={show(value)}: use False (live runs), True (archived ones too) or 'only'.")


def _csv(values: Iterable[object]) -> str:
    return ",".join(str(value) for value in values)


# -- tags and folders of a run ---------------------------------------------------------------------------------------


def attach_tag(org: str, run_id: str, tag_id: str, tag_type: str = "private") -> Call:
    """Attach a tag. ``tag_type`` (``private`` or ``public``) must be the tag's own: it selects where Tallyfy looks."""
    body = {
        "subject_id": check_id("run_id", run_id),
        "subject_type": "Run",
        "tag_id": check_id("tag_id", tag_id),
        "tag_type": check_choice("tag_type", tag_type, ("private", "public")),
    }
    return Call("POST", organization(org, "checklists", "tags"), json=body)


def detach_tag(org: str, association_id: int) -> Call:
    """Detach by the *number* of the association: a tag's id would be cast to a number, and detach somebody else's."""
    return Call("DELETE", organization(org, "checklists", "tags", str(int(association_id))))


def add_to_folder(org: str, run_id: str, folder_id: str) -> Call:
    """Put a run into a folder."""
    body = {
        "folder_id": check_id("folder_id", folder_id),
        "subject_id": check_id("run_id", run_id),
        "subject_type": "Run",
    }
    return Call("POST", organization(org, "folders", "add-object"), json=body)


def remove_from_folder(org: str, relation_id: int) -> Call:
    """Take out of a folder by the *number* of the relation (a folder's id would silently do nothing)."""
    return Call("DELETE", organization(org, "folders-objects", str(int(relation_id))))


def get_folder(org: str, folder_id: str) -> Call:
    """Read a folder, with what is in it."""
    return Call("GET", organization(org, "folders", check_id("folder_id", folder_id)))


def list_tags(org: str) -> Call:
    """List the organization's tags."""
    return Call("GET", organization(org, "tags"), (("per_page", PAGE_SIZE),))


def create_tag(org: str, title: str, color: str) -> Call:
    """Make a tag. Its title must be new (422 otherwise), its colour is ``#`` and six hexadecimal digits."""
    return Call("POST", organization(org, "tags"), json={"title": title, "color": color})


def list_templates(org: str) -> Call:
    """List the organization's templates (``checklists`` in the API)."""
    return Call("GET", organization(org, "checklists"), (("per_page", PAGE_SIZE),))
