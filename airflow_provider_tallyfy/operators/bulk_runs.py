"""The operators that change many runs in one task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators.single_runs import UPDATE_FIELDS as CHANGES

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import Context
    from airflow_provider_tallyfy.api.runs.report import Report
    from airflow_provider_tallyfy.client.bulk import BulkChange

SUMMARY_KEY = "summary"


class TallyfyBulkOperator(TallyfyBaseOperator):
    """Base of the bulk operators.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator``; from XCom, a template or literal. Repeated ids count
        once. (templated, like all that follow but ``concurrency``)
    :param from_report: instead of ``run_ids``: path of the report of an earlier bulk task; takes the runs that it
        changed.
    :param max_runs: refuse a longer list before the first write.
    :param dry_run: write nothing, report what would happen.
    :param max_failures: stop when so many runs have failed; ``None`` = try all.
    :param skip_modified: leave runs alone that somebody changed after they were found; ``None`` = where the rows carry
        ``last_updated``.
    :param report_path: file or object-storage path (``s3://conn_id@bucket/key``) for the whole report, one JSON object
        per run.
    :param concurrency: requests under way at a time, 1 to 64.
    :param organization_id: 32-character id; ``None`` = the connection's.
    :param tallyfy_conn_id: the connection.
    """

    template_fields: Sequence[str] = (
        *TallyfyBaseOperator.template_fields,
        "run_ids",
        "from_report",
        "max_runs",
        "only_report",
        "max_failures",
        "skip_modified",
        "report_path",
    )

    def __init__(
        self,
        *,
        run_ids: Any = None,
        from_report: str | None = None,
        max_runs: int | str | None = None,
        dry_run: bool | str = False,
        max_failures: int | str | None = None,
        skip_modified: bool | str | None = None,
        report_path: str | None = None,
        concurrency: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_ids = run_ids
        self.from_report = from_report
        self.max_runs = max_runs
        self.only_report = dry_run  # BaseOperator has a method of the name dry_run
        self.max_failures = max_failures
        self.skip_modified = skip_modified
        self.report_path = report_path
        self.concurrency = concurrency
        self._change: BulkChange | None = None
        self._killed = False
        self._earlier: Mapping[str, Mapping[str, Any]] = {}

    @abstractmethod
    def prepare(self, run_ids: Iterable[Any], **options: Any) -> BulkChange:
        """Check the arguments and make the change that is to be run."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the runs; return the summary, or raise with it if any run failed or was not tried."""
        from airflow_provider_tallyfy.api.runs.report import runs
        from airflow_provider_tallyfy.operators import _report_files as reports

        retry = context["ti"].try_number > 1
        self._earlier = reports.load(self.report_path) if retry and self.report_path else {}
        change = self._change = self.prepare(
            self._wanted(),
            max_runs=reports.number("max_runs", self.max_runs),
            max_failures=reports.number("max_failures", self.max_failures),
            dry_run=reports.flag("dry_run", self.only_report) or False,
            skip_modified=reports.flag("skip_modified", self.skip_modified),
            concurrency=self.concurrency,
            look_first=retry,
            on_progress=self._save_so_far,
        )
        if change.doing == "update":
            change.forget_when_seen({run_id for run_id, row in self._earlier.items() if row.get("result") == "failed"})
        if self._killed:
            self.on_kill()
        # A path that can't be written is found out before the first write to Tallyfy, and what an earlier run of the
        # DAG left there is gone.
        self._save(change.report)
        only = ", as a dry run" if change.options.dry_run else ""
        where = self.hook.organization_id
        self.log.info("%s to %s in organization %s%s.", runs(len(change.targets)), change.doing, where, only)
        try:
            change.run()
        finally:
            change.report.merge_earlier(self._earlier)
            reports.log(self.log, change.report)
            context["ti"].xcom_push(key=SUMMARY_KEY, value=change.report.summary())
            self._save(change.report)
        if not change.report.complete:
            self._fail(change.report)
        return change.report.summary()

    def on_kill(self) -> None:
        """Begin nothing more; what is under way is finished and reported."""
        self._killed = True
        if self._change is not None:
            self._change.stop("the task was killed", at_once=True)

    def _wanted(self) -> Iterable[Any]:
        from airflow_provider_tallyfy.api.runs.report import runs
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
        from airflow_provider_tallyfy.operators import _report_files as reports

        if (self.run_ids is None) == (not self.from_report):
            raise TallyfyArgumentError("Give either run_ids or from_report.")
        if not self.from_report:
            wanted: Iterable[Any] = self.run_ids  # what it is is checked where the other ids are
            return wanted
        rows = reports.load(self.from_report, must_exist=True)
        unclear = [run_id for run_id, row in rows.items() if row.get("result") == "already" and row.get("reason")]
        if unclear:
            self.log.warning(
                "%s of the report may have been changed by a try that was killed, or by somebody; left alone: %s",
                *(runs(len(unclear)), " ".join(unclear)),
            )
        return [row for row in rows.values() if row.get("result") == "changed" and not row.get("dry_run")]

    def _save(self, report: Report) -> None:
        if self.report_path:
            from airflow_provider_tallyfy.operators import _report_files as reports

            report.merge_earlier(self._earlier)
            reports.save(self.report_path, report)

    def _save_so_far(self, report: Report) -> None:
        try:
            self._save(report)
        except OSError as fault:  # the next one may succeed; the work goes on
            self.log.warning("The report can't be written to %s for now: %s", self.report_path, fault)

    def _fail(self, report: Report) -> NoReturn:
        from airflow_provider_tallyfy.exceptions import TallyfyBulkError, TallyfyBulkRefusedError

        failed = [entry for entry in report.entries.values() if entry.result == "failed"]
        examples = "".join(f"\n  {entry.run_id}: {entry.reason}" for entry in failed[:5])
        more = f"\n  ... and {len(failed) - 5} more, all in the log" if len(failed) > 5 else ""
        hint = " A retry does only what is still to do." if report.mendable() else ""
        kind = TallyfyBulkError if report.mendable() else TallyfyBulkRefusedError
        raise kind(f"{report.sentence()}.{hint}{examples}{more}", report.summary())


class TallyfyBulkArchiveRunsOperator(TallyfyBulkOperator):
    """Archive many runs in one task: several at a time, at a pace that Tallyfy allows, each doubt settled.

    XCom ``return_value`` and ``summary``: counts of ``changed``, ``already``, ``modified``, ``failed`` and
    ``not_tried`` runs and some examples, small whatever the number; the whole report is in the log and, on request, at
    ``report_path``. All runs are tried; the task fails at the end if any failed, and a retry does only what is still to
    do. ``TallyfyBulkActivateRunsOperator(from_report=...)`` undoes it.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator``. (templated)
    :param from_report: instead of ``run_ids``: report of an earlier bulk task; takes what it changed. (templated)
    :param max_runs: refuse a longer list before the first write. (templated)
    :param dry_run: write nothing, report what would happen. (templated)
    :param max_failures: stop when so many runs have failed; ``None`` = try all. (templated)
    :param skip_modified: leave runs alone that somebody changed after they were found; ``None`` = where the rows carry
        ``last_updated``. (templated)
    :param report_path: file or object-storage path for the whole report. (templated)
    :param concurrency: requests under way at a time, 1 to 64.
    :param organization_id: 32-character id; ``None`` = the connection's. (templated)
    :param tallyfy_conn_id: the connection. (templated)
    :raises TallyfyBulkError: if a run failed or was not tried, and a retry may help; TallyfyBulkRefusedError if not.
    """

    def prepare(self, run_ids: Iterable[Any], **options: Any) -> BulkChange:
        """Check the arguments."""
        return self.hook.bulk_change("archive", run_ids, **options)


class TallyfyBulkActivateRunsOperator(TallyfyBulkOperator):
    """Bring many archived runs back in one task. Parameters and XComs as in :class:`TallyfyBulkArchiveRunsOperator`.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator(archived="only")``. (templated)
    :param from_report: instead of ``run_ids``: report of the bulk archive that is to be undone. (templated)
    :raises TallyfyBulkError: if a run failed or was not tried, and a retry may help; TallyfyBulkRefusedError if not.
    """

    def prepare(self, run_ids: Iterable[Any], **options: Any) -> BulkChange:
        """Check the arguments."""
        return self.hook.bulk_change("activate", run_ids, **options)


class TallyfyBulkUpdateRunsOperator(TallyfyBulkOperator):
    """Make the same changes to many live runs in one task.

    Each run is read, merged, written and checked as by ``TallyfyUpdateRunOperator``, whose fields this takes; the other
    parameters and the XComs are as in :class:`TallyfyBulkArchiveRunsOperator`. Titles of tags are looked up once.

    :param run_ids: ids, or rows of ``TallyfyListRunsOperator``. (templated)
    :param add_tags: ids or titles of tags to add. (templated)
    :param remove_tags: ids or titles of tags to take away. (templated)
    :param create_missing_tags: make tags that don't exist, instead of failing.
    :param changes: every other field of ``TallyfyUpdateRunOperator``, by keyword. (templated)
    :raises TallyfyBulkError: if a run failed or was not tried, and a retry may help; TallyfyBulkRefusedError if not.
    """

    template_fields: Sequence[str] = (*TallyfyBulkOperator.template_fields, *CHANGES)
    template_fields_renderers: ClassVar[dict[str, str]] = {"prerun": "json", "extra_fields": "json"}

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

    def prepare(self, run_ids: Iterable[Any], **options: Any) -> BulkChange:
        """Check the arguments, and look up the titles of tags."""
        changes = {field: getattr(self, field) for field in CHANGES}
        changes["create_missing_tags"] = self.create_missing_tags
        return self.hook.bulk_change("update", run_ids, changes=changes, **options)
