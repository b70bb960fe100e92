"""The organization's activity feed: who did what, and when. The API has no other record of changes."""

from __future__ import annotations

from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE, organization
from airflow_provider_tallyfy.api.protocol.messages import Param, Request


def list_activity(org: str, *, per_page: int = PAGE_SIZE, **filters: Param | None) -> Request:
    """List activities, newest first, without a page number.

    :param filters: query parameters, sent as given, such as ``verb`` or ``created_after`` (a day); ``None`` = not sent.
        Without ``entity_type`` and ``entity_id``, Tallyfy returns the feed of the whole organization.
    """
    pairs: dict[str, Param | None] = {**filters, "sort": "-created_at", "per_page": per_page}
    params = tuple((name, value) for name, value in pairs.items() if value is not None)
    return Request("GET", organization(org, "activity-feeds"), params, expects="list")
