"""Selects the runs that the overview shows: its filters and its pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.pages.fragments import state_of

PAGE_SIZE = 50


@dataclass(frozen=True)
class Filters:
    """The filters of the overview. An empty filter matches everything.

    :param state: a state, or ``live`` for all states except archived.
    :param template: id of a template.
    :param owner: id of a member.
    :param tag: id of a tag, or ``none``.
    :param text: part of a name or of an id; case does not matter.
    """

    state: str = ""
    template: str = ""
    owner: str = ""
    tag: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """Read the filters from a query string."""
        return cls(*(query.get(name, "").strip() for name in ("state", "template", "owner", "tag", "text")))

    def address(self, page: int = 1, **others: str) -> str:
        """Return the address of the overview with these filters, some of them replaced."""
        given = {name: value for name, value in {**vars(self), **others}.items() if value}
        if page > 1:
            given["page"] = str(page)
        return f"/?{urlencode(given)}" if given else "/"

    def keep(self) -> list[Callable[[Run], bool]]:
        """Return the conditions that a run must meet."""
        state, template, owner, tag, text = self.state, self.template, self.owner, self.tag, self.text.casefold()
        conditions: list[Callable[[Run], bool]] = []
        if state == "live":
            conditions.append(lambda run: run.archived_at is None)
        elif state:
            conditions.append(lambda run: state_of(run) == state)
        if template:
            conditions.append(lambda run: run.template.id == template)
        if owner:
            conditions.append(lambda run: str(run.owner_id) == owner)
        if tag == "none":
            conditions.append(lambda run: not run.tags)
        elif tag:
            conditions.append(lambda run: tag in run.tags)
        if text:
            conditions.append(lambda run: text in run.name.casefold() or text in run.id)
        return conditions


@dataclass(frozen=True)
class Selection:
    """One page of the overview.

    :param runs: the runs on this page, last modified first.
    :param total: number of runs that match the filters.
    :param page: number of this page, from 1.
    :param pages: number of pages.
    :param states: number of runs in each state, in the whole organization.
    """

    runs: list[Run]
    total: int
    page: int
    pages: int
    states: Counter[str]


class Selector:
    """Selects runs, and caches the last selection until the organization changes.

    :param organization: the organization to select from.
    """

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self._known: tuple[int, Filters] | None = None
        self._runs: list[Run] = []
        self._states: Counter[str] = Counter()

    def select(self, filters: Filters, page: int) -> Selection:
        """Return a page of the matching runs, or the last page if there are fewer pages."""
        organization = self.organization
        if self._known != (organization.version, filters):
            conditions = filters.keep()
            runs = [run for run in organization.runs.values() if all(condition(run) for condition in conditions)]
            runs.sort(key=lambda run: run.last_updated, reverse=True)
            self._runs = runs
            self._states = Counter(state_of(run) for run in organization.runs.values())
            self._known = organization.version, filters
        pages = max(1, -(-len(self._runs) // PAGE_SIZE))
        page = min(max(page, 1), pages)
        part = self._runs[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
        return Selection(part, len(self._runs), page, pages, self._states)
