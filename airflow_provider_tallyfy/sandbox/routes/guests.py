"""Guests: people from outside, known by their address."""

from __future__ import annotations

import hashlib
from typing import Any

from airflow_provider_tallyfy.sandbox import forms
from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.refusal import invalid, not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
ORG = "/organizations/{}"


@routes.add("GET", f"{ORG}/guests")
def guests(call: Call) -> Answer:
    """``GET /guests``: everybody from outside who has, or had, a task."""
    text = call.query.get("q", "").lower()
    return page(call, [one for one in call.organization.guests if text in one], lambda one: _guest(call, one))


@routes.add("GET", f"{ORG}/guests/{{}}")
def guest(call: Call) -> Answer:
    """``GET /guests/{email}``."""
    return Answer({"data": _guest(call, find_guest(call, call.ids[1]))})


@routes.add("POST", f"{ORG}/guests")
def create_guest(call: Call) -> Answer:
    """``POST /guests``: 201; a member's address is refused."""
    (email,) = forms.guests_of(call.organization, "email", [call.json.get("email")])
    if email.lower() in call.organization.guests:
        raise invalid("email", "The email has already been taken.")
    call.organization.note_guests([email])
    return Answer({"data": _guest(call, email.lower())}, 201)


def find_guest(call: Call, wanted: str) -> str:
    """The address of a guest who is named by address or by the id in their link."""
    for email in call.organization.guests:
        if wanted.lower() == email or wanted == _guest_id(email):
            return email
    raise not_found()


def _guest(call: Call, email: str) -> dict[str, Any]:
    created = call.serializer.stamp(call.organization.guests[email])
    link = f"https://go.tallyfy.com/guest/{_guest_id(email)}/tasks"
    names = {"first_name": None, "last_name": None}
    return {"email": email, **names, "link": link, "created_at": created, "deleted_at": None, "disabled_at": None}


def _guest_id(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()[:32]
