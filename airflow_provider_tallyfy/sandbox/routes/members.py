"""Who asks, where they belong, and who else is there."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.listing import page
from airflow_provider_tallyfy.sandbox.refusal import not_found
from airflow_provider_tallyfy.sandbox.routing import Answer, Call, Routes

routes = Routes()
ORG = "/organizations/{}"


@routes.add("GET", "/me")
def me(call: Call) -> Answer:
    """Whom the token belongs to, in no particular organization: no role."""
    item = call.serializer.member(call.member)
    del item["role"]
    return Answer({"data": item})


@routes.add("GET", "/me/organizations")
def my_organizations(call: Call) -> Answer:
    """The organizations of the token's member."""
    return page(call, [call.serializer.organization_item(call.member.role)], dict)


@routes.add("GET", ORG)
def organization(call: Call) -> Answer:
    """The organization."""
    return Answer({"data": call.serializer.organization_item(call.member.role)})


@routes.add("GET", f"{ORG}/me")
def me_here(call: Call) -> Answer:
    """The member with the role in this organization."""
    return Answer({"data": call.serializer.member(call.member)})


@routes.add("GET", f"{ORG}/users")
@routes.add("GET", f"{ORG}/users-list")
def users(call: Call) -> Answer:
    """Members, of whom ``q`` is in the name or the e-mail: all in one answer unless pages are asked for."""
    text = call.query.get("q", "").lower()
    everybody = call.organization.members.values()
    members = [one for one in everybody if text in one.full_name.lower() or text in one.email.lower()]
    if "page" in call.query or "per_page" in call.query:
        return page(call, members, call.serializer.member)
    return Answer({"data": [call.serializer.member(member) for member in members]})


@routes.add("GET", f"{ORG}/users/{{}}")
def user(call: Call) -> Answer:
    """One member by integer id."""
    for member in call.organization.members.values():
        if str(member.id) == call.ids[1]:
            return Answer({"data": call.serializer.member(member)})
    raise not_found()


@routes.add("GET", f"{ORG}/groups")
def groups(call: Call) -> Answer:
    """Groups of members, of which ``q`` is in the name."""
    text = call.query.get("q", "").lower()
    found = [group for group in call.organization.groups.values() if text in group.name.lower()]
    return page(call, found, call.serializer.group)


@routes.add("GET", f"{ORG}/groups/{{}}")
def group(call: Call) -> Answer:
    """One group."""
    if (found := call.organization.groups.get(call.ids[1])) is None:
        raise not_found()
    return Answer({"data": call.serializer.group(found)})
