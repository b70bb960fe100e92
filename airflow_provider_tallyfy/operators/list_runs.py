"""The operator that finds runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_tallyfy.api.protocol.arguments import check_id, show
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._literals import checked, is_literal, literals

if TYPE_CHECKING:
    from datetime import date, timedelta

    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.api.runs.filters import Asked
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments

#: XCom with only the ids, for templates. Airflow can map only over ``return_value``, so
#: ``.expand(run_id=find.output.map(...))`` takes the ids from the rows.
RUN_IDS_KEY = "run_ids"

# Only the names: the tables with the rules are imported when an operator is created, so that other DAG files do not
# pay for them. A test compares the names with the tables.
_FILTERS = (
    "q",
    "status",
    "archived",
    "owners",
    "owner_id",
    "template",
    "checklist_id",
    "folder",
    "tags",
    "tag",
    "tag_ids",
    "exclude_tags",
    "untagged",
    "starred",
    "groups",
    "type",
    "task_status",
    "name_pattern",
    "stale_after",
    "stale_by",
    "archived_after",
    "archived_before",
)
_OPTIONS = ("limit", "order", "fields")


class TallyfyListRunsOperator(TallyfyBaseOperator):
    """Find runs by the filters of Tallyfy and by additional ones.

    XCom ``return_value``: small rows with the chosen ``fields``, oldest run first. Pass them to a bulk operator, which
    uses ``last_updated`` to skip runs that somebody modified since. XCom ``run_ids``: only the ids.

    Every filter is checked again on the returned rows, because Tallyfy ignores parameters that it does not know. A row
    that lacks the field of a filter does not match. Only ``owners``, ``groups`` and ``task_status`` cannot be checked,
    because rows do not hold the values that Tallyfy compares.

    Titles, names and e-mail addresses are looked up. One that does not exist fails the task, with the nearest existing
    ones in the message; so does an id that no run shows and no list contains. Sends one request per 100 runs of the
    list, and one for each list in which something is looked up. No run is returned twice, and an incomplete list is an
    error.

    An empty string counts as "not given", also inside a list, so a DAG param can be left blank. Literal values are
    checked when the DAG file is parsed, templates and XComs when the task runs.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("List processes")

    :param q: words of the run's name; Tallyfy does the search. (templated)
    :param status: ``active``, ``complete``, ``problem`` (with ``issue``), ``issue``, ``improvement``, ``delayed``,
        ``starred``, or ``archived`` (the same as ``archived="only"``). (templated)
    :param archived: ``False`` (default) = live runs, ``True`` = live and archived runs, ``"only"`` = archived runs.
        (templated)
    :param owners: ids or e-mail addresses of members; matches the run's owner *or* an assignee of one of its tasks.
        (templated)
    :param owner_id: id or e-mail address of the run's owner. (templated)
    :param template: title or id of the template. (templated)
    :param checklist_id: another name of ``template``, the one that Tallyfy's API uses. (templated)
    :param folder: name or id of a folder. (templated)
    :param tags: titles or ids of tags; finds runs that have any of them. (templated)
    :param tag: title or id of one tag. (templated)
    :param tag_ids: another name of ``tags``, the one that Tallyfy's API uses. (templated)
    :param exclude_tags: titles or ids of tags; finds runs that have none of them. (templated)
    :param untagged: ``True`` = runs without tags, ``False`` = runs with tags. (templated)
    :param starred: ``True`` = starred runs, ``False`` = runs without a star. (templated)
    :param groups: names or ids of groups. (templated)
    :param type: ``procedure``, ``form`` or ``document``. (templated)
    :param task_status: ``all``, ``in-progress`` or ``completed``. (templated)
    :param name_pattern: shell pattern for the whole name, such as ``"Onboarding*"``; case does not matter. (templated)
    :param stale_after: finds runs that did not change for longer than this: a ``timedelta`` or an ISO 8601 duration
        (``"P30D"``). A plain number is refused. The time counts back from the moment when the task runs, not from the
        date of the DAG run. (templated)
    :param stale_by: the timestamp that ``stale_after`` looks at: ``last_updated`` (default), ``completed_at``,
        ``created_at`` or ``started_at``. (templated)
    :param archived_after: finds runs archived at or after this time: a ``datetime``, a ``date`` (its midnight) or
        ISO 8601 text such as ``"{{ data_interval_start }}"``; UTC if it has no time zone. Implies ``archived="only"``.
        (templated)
    :param archived_before: finds runs archived before this time; otherwise like ``archived_after``. (templated)
    :param limit: maximum number of rows. (templated)
    :param order: ``created_at`` (default), ``name``, ``last_updated``, ``completed_at`` or ``started_at``; descending
        with a ``-`` before it. (templated)
    :param fields: the fields of a row besides ``id``; ``None`` = ``name``, ``status``, ``last_updated``. ``tags`` is a
        list of titles, and adds the list of their ids as ``tag_ids``; ``folders`` adds ``folder_ids`` in the same way.
        Rows have no tags and no folders unless you ask for them. Keep ``last_updated`` if you pass the rows to a bulk
        operator, which uses it to find the runs that were modified since. (templated)
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyArgumentError: for a bad value, and for a title or id that does not exist.
    :raises TallyfyServerError: if a list is incomplete or cannot be read, and if rows lack the tags or folders that
        were requested with them.
    """

    template_fields: Sequence[str] = (*TallyfyBaseOperator.template_fields, *_FILTERS, *_OPTIONS)

    def __init__(
        self,
        *,
        q: str | XComArg | None = None,
        status: str | XComArg | None = None,
        archived: bool | str | XComArg | None = None,
        owners: Iterable[int | str] | XComArg | None = None,
        owner_id: int | str | XComArg | None = None,
        template: str | XComArg | None = None,
        checklist_id: str | XComArg | None = None,
        folder: str | XComArg | None = None,
        tags: Iterable[str] | XComArg | None = None,
        tag: str | XComArg | None = None,
        tag_ids: Iterable[str] | XComArg | None = None,
        exclude_tags: Iterable[str] | XComArg | None = None,
        untagged: bool | str | XComArg | None = None,
        starred: bool | str | XComArg | None = None,
        groups: Iterable[str] | XComArg | None = None,
        type: str | XComArg | None = None,
        task_status: str | XComArg | None = None,
        name_pattern: str | XComArg | None = None,
        stale_after: timedelta | str | XComArg | None = None,
        stale_by: str | XComArg | None = None,
        archived_after: datetime | date | str | XComArg | None = None,
        archived_before: datetime | date | str | XComArg | None = None,
        limit: int | str | XComArg | None = None,
        order: str | XComArg | None = None,
        fields: Iterable[str] | XComArg | None = None,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        self.q = q
        self.status = status
        self.archived = archived
        self.owners = owners
        self.owner_id = owner_id
        self.template = template
        self.checklist_id = checklist_id
        self.folder = folder
        self.tags = tags
        self.tag = tag
        self.tag_ids = tag_ids
        self.exclude_tags = exclude_tags
        self.untagged = untagged
        self.starred = starred
        self.groups = groups
        self.type = type
        self.task_status = task_status
        self.name_pattern = name_pattern
        self.stale_after = stale_after
        self.stale_by = stale_by
        self.archived_after = archived_after
        self.archived_before = archived_before
        self.limit = limit
        self.order = order
        self.fields = fields
        _check(_without_blanks(literals(self, (*_FILTERS, *_OPTIONS))))
        # An upstream task that returned None must not count as "not given": that would find more runs than meant.
        self._from_upstream = [
            name
            for name in (*_FILTERS, *_OPTIONS)
            if not isinstance(value := getattr(self, name), str) and not is_literal(value)
        ]

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Search the runs and return the rows."""
        values = {name: getattr(self, name) for name in (*_FILTERS, *_OPTIONS)}
        for name in self._from_upstream:
            if values[name] is None:
                checked(check_id, name, None)
        given = _without_blanks(values)
        asked = _check(given)
        options = [f"{name}={show(given[name])}" for name in _OPTIONS if name in given]
        self.log.info(
            "Looking for runs (%s) in organization %s.", ", ".join([str(asked), *options]), self.hook.organization_id
        )
        found = self.hook.find_runs(**given)
        self.log.info("Looked at %d runs, kept %d.", found.looked_at, len(found))
        if found.reasons:
            counts = ", ".join(f"{name}: {count}" for name, count in found.reasons.most_common())
            self.log.info("Runs that did not match, by the first filter that excluded them: %s.", counts)
        if found.non_matching:
            self.log.warning(
                "Skipped %d non-matching runs that Tallyfy returned: it seems to ignore a filter.", found.non_matching
            )
        if found.undated:
            self.log.warning(
                "Skipped %d runs without a readable timestamp (%s).", found.undated, self.stale_by or "last_updated"
            )
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        context["ti"].xcom_push(key=RUN_IDS_KEY, value=[row["id"] for row in found])
        return found.rows


def _without_blanks(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out blank values, also inside lists, so that a blank DAG param counts as "not given"."""
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    return {
        name: [entry for entry in value if entry != ""] if isinstance(value, (list, tuple)) else value
        for name, value in given.items()
    }


def _check(given: dict[str, Any]) -> Asked:
    """Check the values that are known so far, each by itself and the filters against each other.

    :raises TallyfyArgumentError: for a bad value, and for filters that exclude each other.
    """
    from airflow_provider_tallyfy.api.runs.filters import FILTERS, Asked
    from airflow_provider_tallyfy.api.runs.search import OPTIONS

    for name in OPTIONS.keys() & given.keys():
        checked(OPTIONS[name], name, given[name])
    filters = {name: value for name, value in given.items() if name in FILTERS}
    return cast(Asked, checked(Asked.of, filters, datetime.now(timezone.utc)))
