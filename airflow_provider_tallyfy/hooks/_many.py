"""Many runs at a time: walk and find."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, NoReturn

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE
from airflow_provider_tallyfy.api.protocol.arguments import check_texts, show
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page
from airflow_provider_tallyfy.api.runs import search as find
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.runs.search import Criteria, FoundRuns
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.hooks._bulk import BulkRunsHook


class ManyRunsHook(BulkRunsHook):
    """The part of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` that is about many runs."""

    def iter_runs(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        archived: bool | str = False,
        owners: Iterable[int | str] | None = None,
        checklist_id: str | None = None,
        folder: str | None = None,
        tag: str | None = None,
        tag_ids: Iterable[str] | None = None,
        untagged: bool | None = None,
        starred: bool | None = None,
        groups: Iterable[str] | None = None,
        type: str | None = None,
        task_status: str | None = None,
        include: Iterable[str] | None = None,
        form_fields_values: bool | None = None,
        sort: str = "created_at",
        per_page: int = PAGE_SIZE,
    ) -> Iterator[Run]:
        """Yield runs, page by page, to the end of the list.

        One request per 100 runs. No run comes twice, and a list that comes up short of what Tallyfy counts is an
        error. The filters are those of Tallyfy's page on listing processes.

        :param q: part of the name.
        :param status: ``active``, ``complete``, ``problem`` (with ``issue``), ``issue``, ``improvement``, ``delayed``,
            ``starred``, or ``archived`` (the same as ``archived="only"``).
        :param archived: ``False`` = live runs, ``True`` = archived ones too, ``"only"`` = archived ones alone.
        :param owners: user ids; Tallyfy matches the run's owner *or* an assignee of one of its tasks.
        :param checklist_id: the template.
        :param folder: folder id.
        :param tag: a tag, :param tag_ids: several tag ids, :param untagged: runs without tags.
        :param starred: starred runs.
        :param groups: group ids.
        :param type: ``procedure``, ``form`` or ``document``.
        :param task_status: ``all``, ``in-progress`` or ``completed``.
        :param include: relations to return with each run (``tags``, ``folders``, ``tasks``, ``checklist`` ...).
        :param form_fields_values: return form values too.
        :param sort: ``created_at``, ``-created_at`` or ``name``; the default keeps pages stable while runs are added.
        :param per_page: rows per request, 1 to 100.
        """
        walk = Walk(
            self._checked(
                run_endpoints.list_runs,
                self.organization_id,
                q=q,
                status=status,
                archived=archived,
                owners=owners,
                checklist_id=checklist_id,
                folder=folder,
                tag=tag,
                tag_ids=tag_ids,
                untagged=untagged,
                starred=starred,
                groups=groups,
                type=type,
                task_status=task_status,
                include=include,
                form_fields_values=form_fields_values,
                sort=sort,
                per_page=per_page,
            )
        )

        return self._sifted(walk, FoundRuns(), Criteria())

    def _sifted(self, walk: Walk, found: FoundRuns, criteria: Criteria) -> Iterator[Run]:
        while (request := walk.next_request) is not None:
            yield from found.sift(self._perform(read_page(walk)), request, criteria)

    def find_runs(
        self,
        *,
        stale_after: timedelta | float | str | None = None,
        stale_by: str = "last_updated",
        name_pattern: str | None = None,
        owner_id: int | str | None = None,
        template: str | None = None,
        tag: str | None = None,
        limit: int | str | None = None,
        order: str = "created_at",
        fields: Iterable[str] = find.FIELDS,
        **filters: Any,
    ) -> FoundRuns:
        """Find runs by Tallyfy's filters and by those that it lacks, page by page, keeping only the chosen fields.

        Every filter is checked again on the rows, as far as they show it: Tallyfy ignores parameters that it does not
        know, and a clean-up must not rely on that.

        :param stale_after: keep runs left alone for longer: a ``timedelta``, seconds, or ISO 8601 (``P30D``).
        :param stale_by: which timestamp says so: ``last_updated``, ``completed_at``, ``created_at``, ``started_at``.
        :param name_pattern: shell pattern for the whole name, letters in any case: ``"Onboarding*"``.
        :param owner_id: the run's owner, exactly (``owners`` matches assignees of its tasks too).
        :param template: id or title of the template.
        :param tag: id or title of a tag.
        :param limit: most rows to return; the walk ends there if the order is Tallyfy's.
        :param order: ``created_at``, ``name``, ``last_updated``, ``completed_at`` or ``started_at``, with ``-`` before
            it for descending.
        :param fields: what a row keeps.
        :param filters: the filters of :meth:`iter_runs`, but ``sort`` and ``per_page``.
        :return: the rows, how many runs were looked at, and why others were left out.
        :raises TallyfyArgumentError: for a bad value, and for titles that nothing has (naming the nearest).
        """
        org = self.organization_id
        most = int(limit) if isinstance(limit, str) and limit.isascii() and limit.isdigit() else limit
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            self._refuse(f"limit={show(limit)} is not a whole number above 0.")
        if template is not None and filters.get("checklist_id") is not None:
            self._refuse("template and checklist_id are both given: they are the same filter.")
        if tag is not None and filters.get("tag_ids") is not None:
            self._refuse("tag and tag_ids are both given: they are the same filter.")
        unknown = sorted(set(filters) - set(_FILTERS))
        if unknown:
            self._refuse(f"no such filter: {', '.join(unknown)}. There are {', '.join(_FILTERS)}.")
        keep = list(dict.fromkeys(["id", *self._checked(check_texts, "fields", fields)]))
        criteria = self._checked(
            Criteria.of,
            find.utc_now_from(time.time()),
            stale_after=stale_after,
            stale_by=stale_by,
            name_pattern=name_pattern,
            owner_id=owner_id,
        )
        if filters.get("archived") is None:
            filters["archived"] = False
        # All arguments are checked before a title is looked up.
        make = {**filters, "sort": self._checked(find.sort_for, order)}
        self._checked(run_endpoints.list_runs, org, **make)
        if template is not None:
            make["checklist_id"] = self._perform(titles.template_id(org, "template", template))
        if tag is not None:
            ids = self._perform(titles.tag_ids(org, "tag", self._checked(titles.check_titles, "tag", [tag])))
            make["tag_ids"] = ids
        make["include"] = list(dict.fromkeys([*(make.get("include") or ()), *find.include_for(make)]))
        walk = Walk(self._checked(run_endpoints.list_runs, org, **make))
        found = FoundRuns()
        kept = list(dict.fromkeys([*keep, order.lstrip("-")]))
        # Tallyfy's order is believed as long as the rows show it: else the first rows would not be the ones asked for.
        by_server = order in find.SERVER_ORDERS
        last: list[Run] = []
        while (request := walk.next_request) is not None:
            page = self._perform(read_page(walk))
            by_server, last = by_server and find.in_order([*last, *page], order), page[-1:]
            found.rows += [find.row_of(run, kept) for run in found.sift(page, request, criteria)]
            if by_server and most is not None and len(found.rows) >= most:
                break
        rows = found.rows if by_server else find.arranged(found.rows, order)
        found.rows = [find.row_of(row, keep) for row in rows[:most]]
        return found

    @staticmethod
    def _refuse(why: str) -> NoReturn:
        raise TallyfyArgumentError(why)


_FILTERS = (
    "q",
    "status",
    "archived",
    "owners",
    "checklist_id",
    "folder",
    "tag_ids",
    "untagged",
    "starred",
    "groups",
    "type",
    "task_status",
    "include",
    "form_fields_values",
)
