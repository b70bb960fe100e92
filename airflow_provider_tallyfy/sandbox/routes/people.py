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
    """Members: all of them in one answer unless pages are asked for."""
    members = list(call.organization.members.values())
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
    """Groups of members."""
    return page(call, list(call.organization.groups.values()), call.serializer.group)


@routes.add("GET", f"{ORG}/groups/{{}}")
def group(call: Call) -> Answer:
    """One group."""
    if (found := call.organization.groups.get(call.ids[1])) is None:
        raise not_found()
    return Answer({"data": call.serializer.group(found)})
