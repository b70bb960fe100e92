"""The operators that change many runs in one task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.operators._bulk_base import SUMMARY_KEY, TallyfyBulkOperator
from airflow_provider_tallyfy.operators._literals import check_flag_or_blank, check_literals, checked
from airflow_provider_tallyfy.operators._update_fields import UPDATE_FIELDS, check_update_literals

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import XComArg
    from airflow_provider_tallyfy.client.bulk import BulkChange
    from airflow_provider_tallyfy.client.bulk_options import Doing
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments

__all__ = [
    "SUMMARY_KEY",
    "TallyfyBulkActivateRunsOperator",
    "TallyfyBulkArchiveRunsOperator",
    "TallyfyBulkOperator",
    "TallyfyBulkUpdateRunsOperator",
]


class TallyfyBulkArchiveRunsOperator(TallyfyBulkOperator):
    """Archive many runs in one task: several at a time, and as fast as Tallyfy's rate limit allows.

    XCom ``return_value`` and ``summary``: the numbers of ``changed``, ``already``, ``modified``, ``failed`` and
    ``not_tried`` runs, and some examples; small for any number of runs. The whole report is in the log, and at
    ``report_path`` if given. If a response is lost, the run is read to find out its state. The task tries all runs and
    fails at the end if one failed; a retry changes only the remaining runs.
    ``TallyfyBulkActivateRunsOperator(from_report=...)`` undoes it.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator``; from XCom, a template or a literal. Repeated ids
        count once. (templated)
    :param from_report: instead of ``run_ids``: path of the report of a bulk activation. Archives the runs that it
        activated. (templated)
    :param max_runs: fail before the first change if there are more runs. (templated)
    :param dry_run: change nothing, and report what would be changed. (templated)
    :param max_failures: stop when this number of runs has failed; ``None`` = try all. (templated)
    :param skip_modified: skip runs that somebody modified after they were found; ``None`` = if the rows have
        ``last_updated``. (templated)
    :param report_path: file or object-storage path (``s3://conn_id@bucket/key``) for the whole report, one JSON object
        per line. Each task needs its own path. (templated)
    :param concurrency: maximum number of requests in progress at a time, 1 to 64.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyBulkError: if runs failed or were not tried, and a retry may help.
    :raises TallyfyBulkRefusedError: if runs failed, and a retry cannot help.
    """

    doing: ClassVar[Doing] = "archive"

    def __init__(
        self,
        *,
        run_ids: Iterable[Any] | str | XComArg | None = None,
        from_report: str | XComArg | None = None,
        max_runs: int | str | XComArg | None = None,
        dry_run: bool | str | XComArg = False,
        max_failures: int | str | XComArg | None = None,
        skip_modified: bool | str | XComArg | None = None,
        report_path: str | XComArg | None = None,
        concurrency: int = 8,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_ids=run_ids,
            from_report=from_report,
            max_runs=max_runs,
            dry_run=dry_run,
            max_failures=max_failures,
            skip_modified=skip_modified,
            report_path=report_path,
            concurrency=concurrency,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )


class TallyfyBulkActivateRunsOperator(TallyfyBulkOperator):
    """Bring many archived runs back to life in one task. XComs, failures and retries work as in the bulk archive.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator(archived="only")``; from XCom, a template or a literal.
        Repeated ids count once. (templated)
    :param from_report: instead of ``run_ids``: path of the report of the bulk archive to undo. Activates the runs that
        it archived. (templated)
    :param include_unclear: with ``from_report``: also activate runs that the bulk archive may have archived without
        recording it (its process was killed, or a response was lost), if they were archived after it began. (templated)
    :param max_runs: fail before the first change if there are more runs. (templated)
    :param dry_run: change nothing, and report what would be changed. (templated)
    :param max_failures: stop when this number of runs has failed; ``None`` = try all. (templated)
    :param skip_modified: skip runs that somebody modified after they were found or archived; ``None`` = if the rows
        have ``last_updated``. (templated)
    :param report_path: file or object-storage path (``s3://conn_id@bucket/key``) for the whole report, one JSON object
        per line. Each task needs its own path, different from ``from_report``. (templated)
    :param concurrency: maximum number of requests in progress at a time, 1 to 64.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyBulkError: if runs failed or were not tried, and a retry may help.
    :raises TallyfyBulkRefusedError: if runs failed, and a retry cannot help.
    """

    doing: ClassVar[Doing] = "activate"
    template_fields: Sequence[str] = (*TallyfyBulkOperator.template_fields, "include_unclear")

    def __init__(
        self,
        *,
        run_ids: Iterable[Any] | str | XComArg | None = None,
        from_report: str | XComArg | None = None,
        include_unclear: bool | str | XComArg = False,
        max_runs: int | str | XComArg | None = None,
        dry_run: bool | str | XComArg = False,
        max_failures: int | str | XComArg | None = None,
        skip_modified: bool | str | XComArg | None = None,
        report_path: str | XComArg | None = None,
        concurrency: int = 8,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_ids=run_ids,
            from_report=from_report,
            max_runs=max_runs,
            dry_run=dry_run,
            max_failures=max_failures,
            skip_modified=skip_modified,
            report_path=report_path,
            concurrency=concurrency,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.include_unclear = include_unclear
        check_literals(self, {"include_unclear": check_flag_or_blank})

    def _takes_unclear(self) -> bool:
        return bool(checked(check_flag_or_blank, "include_unclear", self.include_unclear))


class TallyfyBulkUpdateRunsOperator(TallyfyBulkOperator):
    """Make the same changes to many live runs in one task, or put back what such a task replaced.

    Each run is updated as by ``TallyfyUpdateRunOperator``. ``None`` means "not given"; ``""`` and ``[]`` clear a field.
    Titles of tags are looked up once. The report contains the old values, so that
    ``TallyfyBulkUpdateRunsOperator(from_report=..., restore=True)`` can put them back. XComs, failures and retries work
    as in the bulk archive.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator``; from XCom, a template or a literal. Repeated ids
        count once. (templated)
    :param from_report: instead of ``run_ids``: path of the report of a bulk update or activation. Updates the runs that
        it changed. (templated)
    :param restore: with the ``from_report`` of a bulk update: put back the values that it replaced. Runs that somebody
        modified since then are skipped.
    :param name: new name, at most 550 characters. (templated)
    :param summary: new summary. (templated)
    :param owner_id: user id of the new owner, a number or its digits. (templated)
    :param tags: ids or titles of tags; replaces all tags. (templated)
    :param add_tags: ids or titles of tags to add. (templated)
    :param remove_tags: ids or titles of tags to take away. (templated)
    :param create_missing_tags: create tags that do not exist, instead of failing.
    :param folders: folder ids; replaces all folders. (templated)
    :param prerun: kick-off answers, ``{field id: answer}`` or a list of such; answers not named stay. (templated)
    :param starred: starred or not. (templated)
    :param is_public: public or not. (templated)
    :param users: user ids; replaces all members. (templated)
    :param groups: group ids; replaces all groups. (templated)
    :param publicly_hidden_fields: what guests don't see, such as ``["comments"]``. (templated)
    :param extra_fields: further fields of the API, by name. (templated)
    :param max_runs: fail before the first change if there are more runs. (templated)
    :param dry_run: change nothing, and report what would be changed. (templated)
    :param max_failures: stop when this number of runs has failed; ``None`` = try all. (templated)
    :param skip_modified: skip runs that somebody modified after they were found; ``None`` = if the rows have
        ``last_updated``. (templated)
    :param report_path: file or object-storage path (``s3://conn_id@bucket/key``) for the whole report, one JSON object
        per line. Each task needs its own path, different from ``from_report``. (templated)
    :param concurrency: maximum number of requests in progress at a time, 1 to 64.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyBulkError: if runs failed or were not tried, and a retry may help.
    :raises TallyfyBulkRefusedError: if runs failed, and a retry cannot help.
    """

    template_fields: Sequence[str] = (*TallyfyBulkOperator.template_fields, *UPDATE_FIELDS)
    template_fields_renderers: ClassVar[dict[str, str]] = {"prerun": "json", "extra_fields": "json"}

    def __init__(
        self,
        *,
        run_ids: Iterable[Any] | str | XComArg | None = None,
        from_report: str | XComArg | None = None,
        restore: bool = False,
        name: str | XComArg | None = None,
        summary: str | XComArg | None = None,
        owner_id: int | str | XComArg | None = None,
        tags: Iterable[str] | XComArg | None = None,
        add_tags: Iterable[str] | XComArg | None = None,
        remove_tags: Iterable[str] | XComArg | None = None,
        create_missing_tags: bool = False,
        folders: Iterable[str] | XComArg | None = None,
        prerun: Mapping[str, Any] | Iterable[Mapping[str, Any]] | str | XComArg | None = None,
        starred: bool | str | XComArg | None = None,
        is_public: bool | str | XComArg | None = None,
        users: Iterable[int | str] | XComArg | None = None,
        groups: Iterable[str] | XComArg | None = None,
        publicly_hidden_fields: Iterable[str] | XComArg | None = None,
        extra_fields: Mapping[str, Any] | str | XComArg | None = None,
        max_runs: int | str | XComArg | None = None,
        dry_run: bool | str | XComArg = False,
        max_failures: int | str | XComArg | None = None,
        skip_modified: bool | str | XComArg | None = None,
        report_path: str | XComArg | None = None,
        concurrency: int = 8,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_ids=run_ids,
            from_report=from_report,
            max_runs=max_runs,
            dry_run=dry_run,
            max_failures=max_failures,
            skip_modified=skip_modified,
            report_path=report_path,
            concurrency=concurrency,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.restore = restore
        self.name = name
        self.summary = summary
        self.owner_id = owner_id
        self.tags = tags
        self.add_tags = add_tags
        self.remove_tags = remove_tags
        self.create_missing_tags = create_missing_tags
        self.folders = folders
        self.prerun = prerun
        self.starred = starred
        self.is_public = is_public
        self.users = users
        self.groups = groups
        self.publicly_hidden_fields = publicly_hidden_fields
        self.extra_fields = extra_fields
        self._check_changes()

    def _check_changes(self) -> None:
        """Check the literal update fields, and that ``restore`` fits the other arguments."""
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

        given = {name: value for name in UPDATE_FIELDS if (value := getattr(self, name)) is not None}
        if not isinstance(self.restore, bool):
            raise TallyfyArgumentError(f"restore={self.restore!r} is not True or False.")
        if self.restore and given:
            raise TallyfyArgumentError(
                f"restore=True puts the old values back, so {', '.join(given)} can't be given as well."
            )
        if self.restore and self.from_report is None:
            raise TallyfyArgumentError("restore=True needs from_report, the report of the bulk update to undo.")
        if not self.restore:
            check_update_literals(self)

    @property
    def doing(self) -> Doing:
        """The kind of change."""
        return "restore" if self.restore else "update"

    def prepare(self, run_ids: Iterable[Any], **options: Any) -> BulkChange:
        """Check the arguments, look up the titles of tags, and prepare the change."""
        if self.restore:
            return super().prepare(run_ids, **options)
        changes = {field: getattr(self, field) for field in UPDATE_FIELDS}
        changes["create_missing_tags"] = self.create_missing_tags
        return super().prepare(run_ids, changes=changes, **options)
