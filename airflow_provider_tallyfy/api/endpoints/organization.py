"""The organization, its members and groups, and the owner of the token."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, organization
from airflow_provider_tallyfy.api.protocol.messages import Request


def get_me() -> Request:
    """Read the token's user, which proves that the token is valid."""
    return Request("GET", ("me",), expects="object")


def get_organization(org: str) -> Request:
    """Read the organization."""
    return Request("GET", organization(org), expects="object", identity=org)


def get_member(org: str) -> Request:
    """Read the token's user as a member of the organization, which proves token, organization and role at once."""
    return Request("GET", organization(org, "me"), expects="object")


def list_members(org: str) -> Request:
    """List the organization's members ("users" in the API)."""
    return Request("GET", organization(org, "users"), (("per_page", PAGE_SIZE),), expects="list")


def list_groups(org: str) -> Request:
    """List the organization's groups of members."""
    return Request("GET", organization(org, "groups"), (("per_page", PAGE_SIZE),), expects="list")
