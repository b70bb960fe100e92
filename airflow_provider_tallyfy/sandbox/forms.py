"""Rules for what people write into forms and fields, in the words of the server's validators."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.sandbox.behaviour import Behaviour
from airflow_provider_tallyfy.sandbox.models import FormField
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.refusal import Refusal, invalid

MAX_NAME = 550


def fold_prerun(value: Any, behaviour: Behaviour) -> dict[str, Any]:
    """``prerun`` as an object by field id.

    Production addresses answers by field id, which a list cannot have: a non-empty list was refused in 13 of 13
    requests of 90 days. ``[]`` means no answers.
    """
    if value is None or value == []:
        return {}
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or behaviour.prerun_list == "422":
        raise invalid("prerun", "The prerun must be an object keyed by kick-off field id.")
    folded: dict[str, Any] = {}
    for entry in value:
        if not isinstance(entry, dict):
            raise invalid("prerun", "The prerun format is invalid.")
        key = entry.get("id") or entry.get("field_id")
        folded.update({key: entry.get("value")} if key else entry)
    return folded


def check_answers(organization: Organization, fields: Iterable[FormField], answers: Mapping[str, Any]) -> None:
    """Refuse answers that their field's type does not take."""
    for item in fields:
        value = answers.get(item.id)
        # Nothing clears a field. Only a table takes no empty text or list for that: its key has to be left out.
        if value is not None and (value not in ("", [], {}) or item.field_type == "table"):
            _check(organization, item, value)


def missing(fields: Iterable[FormField], answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Errors for required fields without an answer; they name the label, and nothing names ``prerun``."""
    return {
        item.id: [f"{item.label} is required"]
        for item in fields
        if item.required and answers.get(item.id) in (None, "", [], {})
    }


def _check(organization: Organization, item: FormField, value: Any) -> None:
    kind = item.field_type
    scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    if kind == "text" and not (scalar and len(str(value)) <= 200):
        raise invalid(item.id, f"{item.label} must be a text of at most 200 characters")
    if kind == "textarea" and not (isinstance(value, str) and len(value) <= 30000):
        raise invalid(item.id, f"{item.label} must be a string")
    # An e-mail is not validated at all: an object is stored as it is (measured by others).
    if kind == "date" and not _is_date(value):
        raise invalid(item.id, f"{item.label} is not a valid date")
    if kind == "radio" and item.options and value not in [option["text"] for option in item.options]:
        raise invalid(item.id, f"The selected {item.label} is invalid")
    if kind == "dropdown" and item.options and not _is_option(item, value):
        raise invalid(item.id, f"The selected {item.label} is invalid")
    if kind == "multiselect":
        if not isinstance(value, list):
            raise invalid(item.id, f"{item.label} must be an array")
        # "selected" is not looked at: without it the answer is stored, and shows as nothing.
        if item.options and not all(_is_option(item, entry) for entry in value):
            raise invalid(item.id, f"The selected {item.label} is invalid")
    if kind == "table":
        if value == "" or (isinstance(value, list) and "" in value):
            raise invalid(item.id, "Invalid table field")
        if not isinstance(value, list) or (item.columns and len(value) != len(item.columns)):
            raise invalid(item.id, "Number of columns does not match required columns")
    if kind == "assignees_form":
        _check_people(organization, item, value)
    if kind == "file":
        _check_files(organization, item, value)


def _is_option(item: FormField, value: Any) -> bool:
    """Whether it is ``{"id", "text"}`` of one of the field's options; the two must agree."""
    chosen = value if isinstance(value, dict) else {}
    return any(o["id"] == chosen.get("id") and o["text"] == chosen.get("text") for o in item.options)


def _check_people(organization: Organization, item: FormField, value: Any) -> None:
    if not isinstance(value, dict) or not value.keys() <= {"users", "guests", "groups"}:
        raise invalid(item.id, f"{item.label} must be an object of users, guests and groups")
    lists = {name: value.get(name, []) for name in ("users", "guests", "groups")}
    if not all(isinstance(entries, list) for entries in lists.values()):
        raise invalid(item.id, f"{item.label} must be an object of users, guests and groups")
    strangers = [user for user in lists["users"] if user not in organization.members]
    strangers += [group for group in lists["groups"] if group not in organization.groups]
    strangers += [guest for guest in lists["guests"] if not _is_address(guest)]
    if strangers:
        raise invalid(item.id, f"The selected {item.label} is invalid")


def _check_files(organization: Organization, item: FormField, value: Any) -> None:
    if not isinstance(value, list):
        if organization.behaviour.file_as_text == "500":
            # Not validated before 2026-07-23: the server tripped over it.
            raise Refusal(500, "Server Error")
        raise invalid(item.id, f"{item.label} must be an array of files")
    for entry in value:
        if not isinstance(entry, dict) or not {"id", "url", "full_url"} & entry.keys():
            raise invalid(item.id, f"{item.label} must be an array of files")
        if entry.get("source", "url") not in ("url", "local"):
            raise invalid(item.id, f"The source of {item.label} is invalid")


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value) is not None


def guests_of(organization: Organization, field: str, value: Any) -> list[str]:
    """Addresses of guests; a member's own address is none."""
    guests = a_list(field, value)
    members = {member.email.lower() for member in organization.members.values()}
    if not all(_is_address(guest) and guest.lower() not in members for guest in guests):
        raise invalid(field, f"The {field} must be valid guest email addresses.")
    return list(dict.fromkeys(guests))


def owners_of(organization: Organization, field: str, value: Any) -> dict[str, list[Any]]:
    """Assignees of a task by kind: ``users``, ``guests`` and ``groups``; those that are left out are none."""
    if not isinstance(value, dict):
        raise invalid(field, f"The {field} must be an object.")
    users = value.get("users") or value.get("assignees") or []
    return {
        "users": [member_of(organization, f"{field}.users", user) for user in a_list(f"{field}.users", users)],
        "guests": guests_of(organization, f"{field}.guests", value.get("guests") or []),
        "groups": ids_of(f"{field}.groups", value.get("groups") or [], organization.groups),
    }


def moment_of(field: str, value: Any) -> float:
    """A moment, UTC unless it says otherwise: ``2026-03-01 09:00:00`` or ISO 8601."""
    try:
        moment = datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise invalid(field, f"The {field} is not a valid date.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp()


def _is_date(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def name_of(value: Any) -> str:
    """A run's name: text of 1 to 550 characters."""
    if not isinstance(value, str) or not value.strip():
        raise invalid("name", "The name must be a string.")
    if len(value) > MAX_NAME:
        raise invalid("name", f"The name may not be greater than {MAX_NAME} characters.")
    return value


def member_of(organization: Organization, field: str, value: Any) -> int:
    """A member's id, as a number or as digits."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise invalid(field, f"The {field.replace('_', ' ')} must be an integer.")
    if number not in organization.members:
        raise invalid(field, f"The selected {field.replace('_', ' ')} is not a member of this organization.")
    return number


def members_of(organization: Organization, value: Any) -> list[int]:
    """Ids of members."""
    return list(dict.fromkeys(member_of(organization, "users", entry) for entry in a_list("users", value)))


def ids_of(field: str, value: Any, known: Iterable[str]) -> list[str]:
    """Ids that must exist."""
    entries, known = a_list(field, value), set(known)
    for number, entry in enumerate(entries):
        if not isinstance(entry, str) or entry not in known:
            raise invalid(f"{field}.{number}", f"The selected {field}.{number} is invalid.")
    return list(dict.fromkeys(entries))


def run_folders(organization: Organization) -> list[str]:
    """Ids of the folders that runs can be in."""
    return [folder.id for folder in organization.folders.values() if folder.folder_type == "run"]


def a_list(field: str, value: Any) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise invalid(field, f"The {field} must be an array.")
    return value


def a_bool(field: str, value: Any) -> bool:
    """What Laravel's ``boolean`` rule takes."""
    for truth, literals in ((True, (True, 1, "1")), (False, (False, 0, "0"))):
        if any(value is literal or (type(value) is type(literal) and value == literal) for literal in literals):
            return truth
    raise invalid(field, f"The {field.replace('_', ' ')} field must be true or false.")


def a_text(field: str, value: Any, limit: int | None = None) -> str:
    """Text, possibly of limited length; ``null`` is the empty text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(field, f"The {field} must be a string.")
    if limit is not None and len(value) > limit:
        raise invalid(field, f"The {field} may not be greater than {limit} characters.")
    return value
