"""Tags and folders, and what they are attached to."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_tallyfy.sandbox import forms
from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.models import Folder, Run, Tag, Template
from airflow_provider_tallyfy.sandbox.refusal import forbidden, invalid, not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
ORG = "/organizations/{}"


@routes.add("GET", f"{ORG}/tags")
def list_tags(call: Call) -> Answer:
    """``GET /tags``."""
    text = call.query.get("q", "").lower()
    tags = [tag for tag in call.organization.tags.values() if text in tag.title.lower()]
    return page(call, tags, lambda tag: _tag(call, tag))


@routes.add("GET", f"{ORG}/tags/{{}}")
def get_tag(call: Call) -> Answer:
    """``GET /tags/{tag}``."""
    return Answer({"data": _tag(call, _find_tag(call))})


@routes.add("POST", f"{ORG}/tags")
def create_tag(call: Call) -> Answer:
    """``POST /tags``: 201."""
    title = _title(call, None)
    color = _color(call.json.get("color")) or "#2ecc71"
    return Answer({"data": call.serializer.tag(call.organization.add_tag(title, color))}, 201)


@routes.add("PUT", f"{ORG}/tags/{{}}")
def update_tag(call: Call) -> Answer:
    """``PUT /tags/{tag}``: the title is required."""
    tag = _find_tag(call)
    tag.title = _title(call, tag)
    tag.color = _color(call.json.get("color")) or tag.color
    return Answer({"data": call.serializer.tag(tag)})


@routes.add("DELETE", f"{ORG}/tags/{{}}")
def delete_tag(call: Call) -> Answer:
    """``DELETE /tags/{tag}``: 204, also when there is none."""
    organization = call.organization
    if organization.tags.pop(call.ids[1], None) is not None:
        for link, (_, tag_id) in list(organization.tag_links.items()):
            if tag_id == call.ids[1]:
                organization.unlink_tag(link)
        organization.version += 1
    return Answer(status=204)


@routes.add("POST", f"{ORG}/checklists/tags")
def attach_tag(call: Call) -> Answer:
    """Attach a tag to a run or a template; ``tag_type`` chooses the table that ``tag_id`` is looked up in."""
    organization, body = call.organization, call.json
    if body.get("tag_type") not in ("private", "public"):
        raise invalid("tag_type", "The selected tag type is invalid.")
    tag = organization.tags.get(_text(body.get("tag_id")))
    if tag is None or tag.tag_type != body["tag_type"]:
        raise invalid("tag_id", "The selected tag id is invalid.")
    subject = _subject(call, {"Run": organization.runs, "Checklist": organization.templates})
    if isinstance(subject, Run):
        organization.write(subject)
        # Attaching again makes no second association, but the event fires again.
        organization.log("linked", call.member, subject, "run", subject.id, f"Tag {tag.title} added")
    link = organization.link_tag(subject, tag.id)
    row = next(row for row in call.serializer.tag_links(subject) if row["id"] == link)
    return Answer({"data": row}, 201)


@routes.add("DELETE", f"{ORG}/checklists/tags/{{}}")
def detach_tag(call: Call) -> Answer:
    """Remove an association by its integer id; 204 whether or not there was one."""
    organization = call.organization
    link = _int_cast(call.ids[1])
    subject, tag_id = organization.tag_links.get(link, (None, ""))
    if isinstance(subject, Run):
        organization.write(subject)
        title = organization.tags[tag_id].title
        organization.log("unlinked", call.member, subject, "run", subject.id, f"Tag {title} removed")
    organization.unlink_tag(link)
    return Answer(status=204)


@routes.add("GET", f"{ORG}/folders")
def list_folders(call: Call) -> Answer:
    """``GET /folders``: of templates unless ``folder_type=run``; ``pagination=false`` gives all."""
    kind, text = call.query.get("folder_type") or "checklist", call.query.get("q", "").lower()
    folders = [f for f in call.organization.folders.values() if f.folder_type == kind and text in f.name.lower()]
    if call.flag("pagination") is False:
        return Answer({"data": [_folder(call, folder) for folder in folders]})
    return page(call, folders, lambda folder: _folder(call, folder))


@routes.add("GET", f"{ORG}/folders/{{}}")
def get_folder(call: Call) -> Answer:
    """``GET /folders/{folder}`` with the objects in it."""
    folder = _find_folder(call, call.ids[1])
    rows = [
        call.serializer.folder_link(run, folder_id, link)
        for link, (run, folder_id) in call.organization.folder_links.items()
        if folder_id == folder.id
    ]
    return Answer({"data": {**_folder(call, folder), "objects": {"data": rows}}})


@routes.add("POST", f"{ORG}/folders")
def create_folder(call: Call) -> Answer:
    """``POST /folders``: 201; the type is fixed then and is ``checklist`` unless given."""
    _not_light(call)
    body = call.json
    name = _folder_name(body)
    kind = body.get("folder_type", "checklist")
    if kind not in ("run", "checklist"):
        raise invalid("folder_type", "The selected folder type is invalid.")
    parent = body.get("parent_id")
    if parent is not None:
        _find_folder(call, _text(parent))
    return Answer({"data": call.serializer.folder(call.organization.add_folder(name, kind, parent))}, 201)


@routes.add("PUT", f"{ORG}/folders/{{}}")
def update_folder(call: Call) -> Answer:
    """``PUT /folders/{folder}``: the name is required."""
    _not_light(call)
    folder = _find_folder(call, call.ids[1])
    folder.name = _folder_name(call.json)
    return Answer({"data": call.serializer.folder(folder)})


@routes.add("DELETE", f"{ORG}/folders/{{}}")
def delete_folder(call: Call) -> Answer:
    """``DELETE /folders/{folder}``: what was in it stays, outside."""
    _not_light(call)
    organization, folder = call.organization, _find_folder(call, call.ids[1])
    for link, (_, folder_id) in list(organization.folder_links.items()):
        if folder_id == folder.id:
            organization.unlink_folder(link)
    del organization.folders[folder.id]
    organization.version += 1
    return Answer(status=204)


@routes.add("POST", f"{ORG}/folders/add-object")
def add_to_folder(call: Call) -> Answer:
    """Put a run into a folder: the relation with its integer id."""
    _not_light(call)
    organization, body = call.organization, call.json
    folder = organization.folders.get(_text(body.get("folder_id")))
    if folder is None or folder.folder_type != "run":
        raise invalid("folder_id", "No such a folder exists in Processes.")
    run = _subject(call, {"Run": organization.runs, "Task": {}})
    assert isinstance(run, Run)
    organization.write(run)
    link = organization.link_folder(run, folder.id)
    organization.log("linked", call.member, run, "run", run.id, f"Moved to folder {folder.name}")
    return Answer({"data": call.serializer.folder_link(run, folder.id, link)}, 201)


@routes.add("DELETE", f"{ORG}/folders-objects/{{}}")
def remove_from_folder(call: Call) -> Answer:
    """Take a run out of a folder by the relation's integer id; 204 whether or not there was one."""
    _not_light(call)
    organization, link = call.organization, _int_cast(call.ids[1])
    run, _ = organization.folder_links.get(link, (None, ""))
    if run is not None:
        organization.write(run)
    organization.unlink_folder(link)
    return Answer(status=204)


def _int_cast(text: str) -> int:
    """PHP's ``intval``: leading digits, else 0. A hex id becomes 0, or the number of somebody else's row."""
    digits = re.match(r"\d*", text.strip(), re.ASCII)
    return int(digits.group() or 0) if digits else 0


def _subject(call: Call, tables: dict[str, Any]) -> Run | Template:
    kind = call.json.get("subject_type")
    if kind not in tables:
        raise invalid("subject_type", "The selected subject type is invalid.")
    subject: Run | Template | None = tables[kind].get(_text(call.json.get("subject_id")))
    if subject is None or subject.archived_at is not None:
        # The look-up misses soft-deleted rows: archived and unknown read the same.
        raise invalid("subject_id", "Subject not found")
    return subject


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _find_tag(call: Call) -> Tag:
    tag = call.organization.tags.get(call.ids[1])
    if tag is None:
        raise not_found()
    return tag


def _tag(call: Call, tag: Tag) -> dict[str, Any]:
    item = call.serializer.tag(tag)
    if "statistics" in call.with_:
        kinds = [type(subject) for subject, tag_id in call.organization.tag_links.values() if tag_id == tag.id]
        item["statistics"] = {"data": {"runs": kinds.count(Run), "checklists": kinds.count(Template)}}
    return item


def _title(call: Call, own: Tag | None) -> str:
    title = forms.a_text("title", call.json.get("title"), 30)
    if not title:
        raise invalid("title", "The title field is required.")
    if any(tag.title.lower() == title.lower() and tag is not own for tag in call.organization.tags.values()):
        raise invalid("title", "The title has already been taken.")
    return title


def _color(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise invalid("color", "The color must be 7 characters.")
    return value


def _folder_name(body: dict[str, Any]) -> str:
    name = forms.a_text("name", body.get("name"), 32)
    if not name:
        raise invalid("name", "The name field is required.")
    return name


def _find_folder(call: Call, folder_id: str) -> Folder:
    folder = call.organization.folders.get(folder_id)
    if folder is None:
        raise not_found()
    return folder


def _folder(call: Call, folder: Folder) -> dict[str, Any]:
    item = call.serializer.folder(folder)
    if "children" in call.with_:
        children = [f for f in call.organization.folders.values() if f.parent_id == folder.id]
        item["children"] = {"data": [call.serializer.folder(child) for child in children]}
    return item


def _not_light(call: Call) -> None:
    if call.member.role == "light":
        raise forbidden("Light members cannot manage folders.")
