"""Operators for Tallyfy runs ("processes" in Tallyfy's web app).

Imported at every parse of a DAG file, so the hook, and requests with it, is imported only when a task runs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_tallyfy._compat import AirflowSkipException
from airflow_provider_tallyfy.links.tallyfy import RUN_URL_KEY, TallyfyRunLink
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._update_fields import CHANGES
from airflow_provider_tallyfy.operators.bulk_report import TallyfyBulkReportOperator
from airflow_provider_tallyfy.operators.bulk_runs import (
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkUpdateRunsOperator,
)
from airflow_provider_tallyfy.operators.list_runs import TallyfyListRunsOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import Context
    from airflow_provider_tallyfy.api.runs.archive import Outcome

__all__ = [
    "TallyfyActivateRunOperator",
    "TallyfyArchiveRunOperator",
    "TallyfyBulkActivateRunsOperator",
    "TallyfyBulkArchiveRunsOperator",
    "TallyfyBulkReportOperator",
    "TallyfyBulkUpdateRunsOperator",
    "TallyfyDeleteRunOperator",
    "TallyfyListRunsOperator",
    "TallyfyUpdateRunOperator",
]

IfAlready = Literal["succeed", "skip", "fail"]
_IF_ALREADY = ("succeed", "skip", "fail")


class _TallyfyRunOperator(TallyfyBaseOperator):
    """What the operators on one run have in common: arguments in, run out as XCom."""

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    #: What it does, for log lines: "Archiving", "archived".
    doing: ClassVar[str]
    done: ClassVar[str]

    def __init__(self, *, run_id: str, if_already: IfAlready = "succeed", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if if_already not in _IF_ALREADY:
            raise ValueError(f"if_already={if_already!r}: choose one of 'succeed', 'skip', 'fail'.")
        self.run_id = run_id
        self.if_already = if_already

    @abstractmethod
    def act(self, look_first: bool) -> Outcome:
        """Do it.

        :param look_first: the caller must know for certain whether the wanted state held before.
        """

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it once, safely, and return the run as Tallyfy returned it."""
        context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(self.run_id))
        self.log.info("%s run %s of organization %s.", self.doing, self.run_id, self.hook.organization_id)
        outcome = self.act(self.if_already != "succeed")
        name = f"{outcome.run.get('name')!r} ({self.run_id})"
        note = f" ({outcome.note})" if outcome.note else ""
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        if outcome.how != "already":
            self.log.info("Run %s is %s%s.", name, self.done, note)
        elif self.if_already == "skip":
            raise AirflowSkipException(f"Run {name}: nothing to do{note}.")
        elif self.if_already == "fail":
            from airflow_provider_tallyfy.exceptions import TallyfyAlreadyError

            raise TallyfyAlreadyError(f"Run {name}: nothing to do{note}, and if_already='fail'.")
        else:
            self.log.info("Run %s: nothing to do%s.", name, note)
        return outcome.run


class TallyfyArchiveRunOperator(_TallyfyRunOperator):
    """Archive a run. Tallyfy keeps it and its tasks; :class:`TallyfyActivateRunOperator` brings them back.

    XCom ``return_value``: the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry: a run that
    is archived already counts as done, and an answer that got lost is settled by reading the run.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Archive process")

    :param run_id: 32-character id of the run. (templated)
    :param if_already: what to do with a run that is archived already: ``succeed``, ``skip`` the task or ``fail`` it.
        For the latter two the run is read first (one request more), so that it is known for certain.
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    doing, done = "Archiving", "archived"

    def act(self, look_first: bool) -> Outcome:
        """Archive the run."""
        return self.hook.archive_run_outcome(self.run_id, look_first=look_first)


class TallyfyActivateRunOperator(_TallyfyRunOperator):
    """Bring an archived run back, with its tasks, in the state it had before.

    XCom ``return_value``: the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Activate process")

    :param run_id: 32-character id of the run. (templated)
    :param if_already: what to do with a run that is not archived: ``succeed``, ``skip`` the task or ``fail`` it.
        For the latter two the run is read first (one request more), so that it is known for certain.
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    doing, done = "Activating", "active"

    def act(self, look_first: bool) -> Outcome:
        """Activate the run."""
        return self.hook.activate_run_outcome(self.run_id, look_first=look_first)


class TallyfyUpdateRunOperator(_TallyfyRunOperator):
    """Change fields of a live run. What is not given stays as it is, members and groups included.

    ``None`` = not given; ``""`` and ``[]`` = cleared. Reads the run, merges, writes, and checks that every wanted
    value is there afterwards; a field that Tallyfy ignored is an error that names it. XCom ``return_value``: the run as
    Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Update process")

    :param run_id: 32-character id of the run. (templated)
    :param name: new name, at most 550 characters. (templated)
    :param summary: new summary. (templated)
    :param owner_id: user id of the new owner, a number or its digits. (templated)
    :param tags: ids or titles of tags; replaces the run's tags. (templated)
    :param add_tags: ids or titles of tags to add to those that the run has. (templated)
    :param remove_tags: ids or titles of tags to take away. (templated)
    :param create_missing_tags: make tags that don't exist, instead of failing.
    :param folders: folder ids; replaces the run's folders. (templated)
    :param prerun: kick-off answers, ``{field id: answer}`` or a list of such; answers not named stay. (templated)
    :param starred: starred or not. (templated)
    :param is_public: public or not. (templated)
    :param users: user ids; replaces the run's members. (templated)
    :param groups: group ids; replaces the run's groups. (templated)
    :param publicly_hidden_fields: what guests don't see, such as ``["comments"]``. (templated)
    :param extra_fields: further fields of the API, by name. (templated)
    :param if_already: what to do with a run that has every wanted value: ``succeed``, ``skip`` the task or ``fail`` it.
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection. (templated)
    :raises TallyfyArchivedError: if the run is archived; further errors in :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = (*_TallyfyRunOperator.template_fields, *CHANGES)
    template_fields_renderers: ClassVar[dict[str, str]] = {"prerun": "json", "extra_fields": "json"}
    doing, done = "Updating", "updated"

    def __init__(
        self,
        *,
        name: str | None = None,
        summary: str | None = None,
        owner_id: int | str | None = None,
        tags: Iterable[str] | None = None,
        add_tags: Iterable[str] | None = None,
        remove_tags: Iterable[str] | None = None,
        folders: Iterable[str] | None = None,
        prerun: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        starred: bool | str | None = None,
        is_public: bool | str | None = None,
        users: Iterable[int | str] | None = None,
        groups: Iterable[str] | None = None,
        publicly_hidden_fields: Iterable[str] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        create_missing_tags: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.summary = summary
        self.owner_id = owner_id
        self.tags = tags
        self.add_tags = add_tags
        self.remove_tags = remove_tags
        self.folders = folders
        self.prerun = prerun
        self.starred = starred
        self.is_public = is_public
        self.users = users
        self.groups = groups
        self.publicly_hidden_fields = publicly_hidden_fields
        self.extra_fields = extra_fields
        self.create_missing_tags = create_missing_tags

    def act(self, look_first: bool) -> Outcome:
        """Update the run. It is read first in any case."""
        changes = {field: getattr(self, field) for field in CHANGES}
        return self.hook.update_run_outcome(self.run_id, create_missing_tags=self.create_missing_tags, **changes)


class TallyfyDeleteRunOperator(TallyfyBaseOperator):
    """Destroy an archived run for ever, with its tasks and answers. There is no way back.

    XCom ``return_value``: the run as it was before.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Delete process")

    :param run_id: 32-character id of the run. (templated)
    :param confirm: must be ``True``, in the DAG file.
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection. (templated)
    :raises TallyfyValidationError: if the run is not archived; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)

    def __init__(self, *, run_id: str, confirm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if confirm is not True:
            raise ValueError(f"confirm={confirm!r}: deleting a run can't be undone; pass confirm=True.")
        self.run_id = run_id
        self.confirm = confirm

    def execute(self, context: Context) -> dict[str, Any]:
        """Destroy it; return the run as it was."""
        self.log.info("Deleting run %s of organization %s for ever.", self.run_id, self.hook.organization_id)
        run = self.hook.delete_run(self.run_id, confirm=self.confirm)
        self.log.info("Run %r (%s) is deleted for ever.", run.get("name"), self.run_id)
        return run
