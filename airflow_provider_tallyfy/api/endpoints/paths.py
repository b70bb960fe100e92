"""What all endpoints share: the path of an organization, the page size, and lists in a query."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_tallyfy.api.protocol.arguments import check_id

PAGE_SIZE = 100  # rows; Tallyfy returns no more


def organization(org: str, *rest: str) -> tuple[str, ...]:
    """Return the path segments of something in an organization."""
    return ("organizations", check_id("organization_id", org), *rest)


def csv(values: Iterable[object]) -> str:
    """Return a list as one comma-separated query value."""
    return ",".join(str(value) for value in values)
