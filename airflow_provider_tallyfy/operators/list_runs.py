"""The operator that finds runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_tallyfy._compat import Context

#: XCom with the ids alone, for templates. Airflow maps over no other XCom than ``return_value``, so
#: ``.expand(run_id=find.output.map(...))`` takes the ids from the rows.
RUN_IDS_KEY = "run_ids"


class TallyfyListRunsOperator(TallyfyBaseOperator):
    """Find runs, by Tallyfy's filters and by those that it lacks.

    XCom ``return_value``: small rows, oldest run first, with the chosen ``fields``; pass them to a bulk operator, which
    uses ``last_updated`` to leave runs alone that somebody modified meanwhile. XCom ``run_ids``: the ids alone. One
    request per 100 runs of the list. No run comes twice, and a list that comes up short is an error.

    Filters are checked again on the rows, as far as these show them. An empty string counts as "not given", so a DAG
    param can be left blank.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("List processes")

    :param q: part of the name, as Tallyfy searches. (templated, like all that follow)
    :param status: ``active``, ``complete``, ``problem`` (with ``issue``), ``issue``, ``improvement``, ``delayed``,
        ``starred``, or ``archived`` (the same as ``archived="only"``).
    :param archived: ``False`` = live runs, ``True`` = archived ones too, ``"only"`` = archived ones alone.
    :param owners: user ids; Tallyfy matches the run's owner *or* an assignee of one of its tasks.
    :param owner_id: the run's owner, exactly.
    :param template: id or title of the template; ``checklist_id`` takes the id alone.
    :param folder: folder id.
    :param tag: id or title of a tag; ``tag_ids`` takes several ids.
    :param untagged: runs without tags.
    :param starred: starred runs.
    :param groups: group ids.
    :param type: ``procedure``, ``form`` or ``document``.
    :param task_status: ``all``, ``in-progress`` or ``completed``.
    :param name_pattern: shell pattern for the whole name, letters in any case: ``"Onboarding*"``.
    :param stale_after: only runs left alone for longer: a ``timedelta``, seconds, or an ISO 8601 duration (``P30D``).
        Counted from now, not from the DAG run's date: a run is as stale as it is when the task looks.
    :param stale_by: the timestamp that says so: ``last_updated``, ``completed_at``, ``created_at`` or ``started_at``.
    :param limit: most rows.
    :param order: ``created_at``, ``name``, ``last_updated``, ``completed_at`` or ``started_at``; ``-`` before it for
        descending.
    :param fields: what a row holds, beside ``id``.
    :param organization_id: 32-character id; ``None`` = the connection's.
    :param tallyfy_conn_id: the connection.
    :raises TallyfyArgumentError: for a bad value, and for titles that nothing has.
    :raises TallyfyServerError: for a list that comes up short or can't be read.
    """

    FILTERS: ClassVar[tuple[str, ...]] = (
        "q",
        "status",
        "archived",
        "owners",
        "owner_id",
        "template",
        "checklist_id",
        "folder",
        "tag",
        "tag_ids",
        "untagged",
        "starred",
        "groups",
        "type",
        "task_status",
        "name_pattern",
        "stale_after",
        "stale_by",
        "limit",
        "order",
        "fields",
    )
    template_fields: Sequence[str] = (*TallyfyBaseOperator.template_fields, *FILTERS)

    def __init__(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        archived: bool | str | None = None,
        owners: Iterable[int | str] | None = None,
        owner_id: int | str | None = None,
        template: str | None = None,
        checklist_id: str | None = None,
        folder: str | None = None,
        tag: str | None = None,
        tag_ids: Iterable[str] | None = None,
        untagged: bool | str | None = None,
        starred: bool | str | None = None,
        groups: Iterable[str] | None = None,
        type: str | None = None,
        task_status: str | None = None,
        name_pattern: str | None = None,
        stale_after: timedelta | float | str | None = None,
        stale_by: str | None = None,
        limit: int | str | None = None,
        order: str | None = None,
        fields: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.q = q
        self.status = status
        self.archived = archived
        self.owners = owners
        self.owner_id = owner_id
        self.template = template
        self.checklist_id = checklist_id
        self.folder = folder
        self.tag = tag
        self.tag_ids = tag_ids
        self.untagged = untagged
        self.starred = starred
        self.groups = groups
        self.type = type
        self.task_status = task_status
        self.name_pattern = name_pattern
        self.stale_after = stale_after
        self.stale_by = stale_by
        self.limit = limit
        self.order = order
        self.fields = fields

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Walk the list once and return the rows."""
        given = {name: getattr(self, name) for name in self.FILTERS}
        given = {name: value for name, value in given.items() if value is not None and value != ""}
        wanted = ", ".join(f"{name}={value}" for name, value in given.items()) or "all live ones"
        self.log.info("Looking for runs (%s) in organization %s.", wanted, self.hook.organization_id)
        found = self.hook.find_runs(**given)
        self.log.info("Looked at %d runs, kept %d.", found.looked_at, len(found.rows))
        if found.non_matching:
            self.log.warning(
                "Left out %d runs that Tallyfy returned although they contradict a filter: it seems to ignore one.",
                found.non_matching,
            )
        if found.undated:
            self.log.warning("Left out %d runs without a readable %s.", found.undated, self.stale_by or "last_updated")
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        context["ti"].xcom_push(key=RUN_IDS_KEY, value=[row["id"] for row in found.rows])
        return found.rows
