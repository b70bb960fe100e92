"""What all endpoints share: the path below an organization, the size of a page, lists in a query."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_tallyfy.api.protocol.arguments import check_id

PAGE_SIZE = 100  # rows; the most that Tallyfy gives


def organization(org: str, *rest: str) -> tuple[str, ...]:
    """Path segments below an organization."""
    return ("organizations", check_id("organization_id", org), *rest)


def csv(values: Iterable[object]) -> str:
    """Return a list as one query value."""
    return ",".join(str(value) for value in values)
