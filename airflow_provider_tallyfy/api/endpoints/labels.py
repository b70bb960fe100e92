"""Tags and folders, and their associations with runs."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, organization
from airflow_provider_tallyfy.api.protocol.arguments import check_choice, check_id
from airflow_provider_tallyfy.api.protocol.messages import Request


def attach_tag(org: str, run_id: str, tag_id: str, tag_type: str = "private") -> Request:
    """Attach a tag. ``tag_type`` must be the tag's own (``private`` or ``public``); Tallyfy looks only there."""
    body = {
        "subject_id": check_id("run_id", run_id),
        "subject_type": "Run",
        "tag_id": check_id("tag_id", tag_id),
        "tag_type": check_choice("tag_type", tag_type, ("private", "public")),
    }
    return Request("POST", organization(org, "checklists", "tags"), json=body, expects="object")


def detach_tag(org: str, association_id: int) -> Request:
    """Detach a tag by the *number* of its association.

    Tallyfy would cast a tag's id to a number, and detach another run's tag.
    """
    return Request("DELETE", organization(org, "checklists", "tags", str(int(association_id))), expects="object")


def add_to_folder(org: str, run_id: str, folder_id: str) -> Request:
    """Put a run into a folder."""
    body = {
        "folder_id": check_id("folder_id", folder_id),
        "subject_id": check_id("run_id", run_id),
        "subject_type": "Run",
    }
    return Request("POST", organization(org, "folders", "add-object"), json=body, expects="object")


def remove_from_folder(org: str, relation_id: int) -> Request:
    """Remove a run from a folder by the *number* of the association (a folder's id would silently do nothing)."""
    return Request("DELETE", organization(org, "folders-objects", str(int(relation_id))), expects="object")


def get_folder(org: str, folder_id: str) -> Request:
    """Read a folder and its contents."""
    path = organization(org, "folders", check_id("folder_id", folder_id))
    return Request("GET", path, expects="object", identity=folder_id)


def list_tags(org: str) -> Request:
    """List the organization's tags."""
    return Request("GET", organization(org, "tags"), (("per_page", PAGE_SIZE),), expects="list")


def list_all_tags(org: str) -> Request:
    """List the organization's tags, including those that Tallyfy created: a run may have them."""
    return Request("GET", organization(org, "tags"), (("all", True), ("per_page", PAGE_SIZE)), expects="list")


def list_folders(org: str) -> Request:
    """List the folders of runs with their subfolders (without ``folder_type``, Tallyfy lists those of templates)."""
    params = (("folder_type", "run"), ("with", "children"), ("per_page", PAGE_SIZE))
    return Request("GET", organization(org, "folders"), params, expects="list")


def create_tag(org: str, title: str, color: str) -> Request:
    """Create a tag. Its title must be new (422 otherwise); its colour is ``#`` and six hexadecimal digits."""
    return Request("POST", organization(org, "tags"), json={"title": title, "color": color}, expects="object")
