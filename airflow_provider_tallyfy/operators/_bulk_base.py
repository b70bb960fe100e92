"""The base of the operators that change many runs: where the runs come from, and what happens to the report."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_concurrency, check_id
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._literals import (
    Checks,
    check_flag_or_blank,
    check_literals,
    check_number,
    checked,
    literals,
)

if TYPE_CHECKING:
    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.api.runs.report import Entry, Report
    from airflow_provider_tallyfy.api.runs.saved_report import SavedReport
    from airflow_provider_tallyfy.client.bulk import BulkChange
    from airflow_provider_tallyfy.client.bulk_options import Doing
    from airflow_provider_tallyfy.operators._report_files import ReportFile

SUMMARY_KEY = "summary"

_CHECKS: Checks = {
    "max_runs": check_number,
    "dry_run": check_flag_or_blank,
    "max_failures": check_number,
    "skip_modified": check_flag_or_blank,
    "concurrency": check_concurrency,
}
#: For the log line "Archiving 7 runs of organization ...".
_VERBS: dict[Doing, str] = {
    "archive": "Archiving",
    "activate": "Activating",
    "update": "Updating",
    "restore": "Restoring",
}


class TallyfyBulkOperator(TallyfyBaseOperator):
    """Base of the bulk operators. Their docstrings describe the arguments."""

    template_fields: Sequence[str] = (
        *TallyfyBaseOperator.template_fields,
        "run_ids",
        "from_report",
        "max_runs",
        "dry_run",
        "max_failures",
        "skip_modified",
        "report_path",
    )
    #: Hides ``BaseOperator.dry_run()``, which only `airflow tasks test --dry-run` of 2.11 calls. A callable value could
    #: serve both, but Airflow 3 would show ``<callable ...>`` among the rendered fields.
    dry_run: Any

    def __init__(
        self,
        *,
        run_ids: Iterable[Any] | str | XComArg | None,
        from_report: str | XComArg | None,
        max_runs: int | str | XComArg | None,
        dry_run: bool | str | XComArg,
        max_failures: int | str | XComArg | None,
        skip_modified: bool | str | XComArg | None,
        report_path: str | XComArg | None,
        concurrency: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_ids = run_ids
        self.from_report = from_report
        self.max_runs = max_runs
        self.dry_run = dry_run
        self.max_failures = max_failures
        self.skip_modified = skip_modified
        self.report_path = report_path
        self.concurrency = concurrency
        self._change: BulkChange | None = None
        self._killed = False
        self._last_fault = ""
        check_literals(self, _CHECKS)
        self._check_source()

    def _check_source(self) -> None:
        """Check the literal arguments that say where the runs come from."""
        given = literals(self, ("run_ids", "from_report"))
        if "run_ids" in given and given["run_ids"] != "":
            from airflow_provider_tallyfy.api.runs.report import targets

            checked(targets, "run_ids", given["run_ids"])
            if given.get("from_report"):
                self._refuse_two_sources()
        if self.run_ids is None and self.from_report is None:
            self._refuse_no_source()
        if isinstance(self.from_report, str) and self.from_report == self.report_path:
            self._refuse_same_file()

    @property
    @abstractmethod
    def doing(self) -> Doing:
        """The kind of change."""

    def prepare(self, run_ids: Iterable[Any], **options: Any) -> BulkChange:
        """Check the arguments and prepare the change."""
        return self.hook.bulk_change(self.doing, run_ids, **options)

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the runs and return the summary; raise an error with it if a run failed or was not tried."""
        from airflow_provider_tallyfy.api.runs.report import runs

        ti = context["ti"]
        retry = ti.try_number > 1
        for name, check in _CHECKS.items():
            checked(check, name, getattr(self, name))
        source = self._source()
        file, before = self._report_file(ti, source)
        wanted, note = self._wanted(source)
        change = self._change = self.prepare(
            wanted,
            max_runs=checked(check_number, "max_runs", self.max_runs),
            max_failures=checked(check_number, "max_failures", self.max_failures),
            dry_run=self._is_dry_run(),
            skip_modified=checked(check_flag_or_blank, "skip_modified", self.skip_modified),
            concurrency=checked(check_concurrency, "concurrency", self.concurrency),
            look_first=retry,
            on_progress=self._save_so_far(file),
            on_note=self._note_in(file),
        )
        change.report.note = note
        if change.doing == "update" and before is not None:
            change.forget_when_seen(
                {run_id for run_id, row in before.rows.items() if row["result"] == "failed" or row.get("unclear")}
            )
        if self._killed:
            self.on_kill()
        # Written once now, so that a path that cannot be written fails before the first request to Tallyfy.
        if file is not None:
            file.write(change.report)
        count = runs(len(change.targets))
        dry_run = " (dry run)" if change.options.dry_run else ""
        self.log.info("%s %s of organization %s%s.", _VERBS[change.doing], count, self.hook.organization_id, dry_run)
        try:
            change.run()
        finally:
            self._publish(change.report, file, context)
        if not change.report.complete:
            self._fail(change.report)
        return change.report.summary()

    def on_kill(self) -> None:
        """Send no further requests. Requests in progress are finished and reported."""
        self._killed = True
        if self._change is not None:
            self._change.stop("the task was killed", at_once=True)

    # -- where the runs come from --------------------------------------------------------------------------------------

    def _source(self) -> SavedReport | None:
        """Return the report of ``from_report``, or ``None`` if the runs come from ``run_ids``."""
        from airflow_provider_tallyfy.operators import _report_files as files

        if not self.from_report:
            if self.run_ids is None or self.run_ids == "":
                self._refuse_no_source()
            return None
        if self.run_ids is not None and self.run_ids != "":
            self._refuse_two_sources()
        if self.report_path and files.same_place(str(self.from_report), str(self.report_path)):
            self._refuse_same_file()
        return files.load("from_report", str(self.from_report))

    def _wanted(self, source: SavedReport | None) -> tuple[Any, str]:
        """Return the runs, and a note that explains why there are none, if so."""
        if source is None:
            return self.run_ids, ""  # checked by the hook
        from airflow_provider_tallyfy.api.runs.report import runs
        from airflow_provider_tallyfy.api.runs.saved_report import take
        from airflow_provider_tallyfy.operators import _report_files as files

        try:
            taken, unclear, note = take(
                source, self.doing, self.hook.organization_id, include_unclear=self._takes_unclear()
            )
        except ArgumentError as error:
            files.refuse("from_report", str(self.from_report), str(error))
        if unclear:
            self.log.warning(
                "Skipped %s of the report, because it is unclear whether that task changed them: %s",
                *(runs(len(unclear)), " ".join(unclear)),
            )
        return taken, note

    def _takes_unclear(self) -> bool:
        return False

    def _is_dry_run(self) -> bool:
        return bool(checked(check_flag_or_blank, "dry_run", self.dry_run))

    def _refuse_two_sources(self) -> NoReturn:
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

        raise TallyfyArgumentError("run_ids and from_report are both given. Give only one of them.")

    def _refuse_no_source(self) -> NoReturn:
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

        try:
            checked(check_id, "run_ids", self.run_ids)
        except TallyfyArgumentError as error:
            raise TallyfyArgumentError(f"{error} Give either run_ids or from_report.") from None
        raise AssertionError("run_ids is given")

    def _refuse_same_file(self) -> NoReturn:
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError

        raise TallyfyArgumentError(
            f"from_report and report_path are the same file, {self.report_path!r}. A failed try would overwrite the "
            "list of the remaining runs. Use another report_path. Nothing was changed."
        )

    # -- the report ----------------------------------------------------------------------------------------------------

    def _report_file(self, ti: Any, source: SavedReport | None) -> tuple[ReportFile | None, SavedReport | None]:
        """Return the report file, if one is wanted, and the report that an earlier try of this task wrote into it."""
        if not self.report_path:
            return None, None
        from dataclasses import asdict

        from airflow_provider_tallyfy.api.runs.saved_report import Header
        from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
        from airflow_provider_tallyfy.operators import _report_files as files

        map_index = getattr(ti, "map_index", -1)
        header = Header(
            doing=self.doing,
            organization_id=self.hook.organization_id,
            dry_run=self._is_dry_run(),
            dag_id=getattr(ti, "dag_id", None),
            dag_run_id=getattr(ti, "run_id", None),
            task_id=getattr(ti, "task_id", None),
            map_index=-1 if map_index is None else map_index,
            try_number=ti.try_number,
            began=files.now(),
            source={**asdict(source.header), "source": None} if source is not None else None,
        )
        file = files.ReportFile(str(self.report_path), header)
        before = file.look(source.header if source is not None else None)
        if before is not None and source is not None:
            # All tries must work on the same report, or runs would be lost between two tries.
            first = before.header.source
            names = ("doing", "organization_id", "dag_id", "dag_run_id", "task_id", "map_index")
            if first is not None and any(first.get(name) != getattr(source.header, name) for name in names):
                raise TallyfyArgumentError(
                    f"from_report={self.from_report!r} is not the report that the first try of this task read: it was "
                    f"overwritten in the meantime ({source.header}). Nothing was changed."
                )
        return file, before

    def _note_in(self, file: ReportFile | None) -> Any:
        if file is None or not file.adds_lines or self._is_dry_run():
            return None

        def note(done: list[Entry], begun: list[str]) -> None:
            self._try_to(lambda: file.add(done, begun))

        return note

    def _save_so_far(self, file: ReportFile | None) -> Any:
        if file is None or file.adds_lines:
            return None
        return lambda report: self._try_to(lambda: file.write(report))

    def _try_to(self, save: Any) -> None:
        from airflow_provider_tallyfy.exceptions import TallyfyError

        try:
            save()
        except TallyfyError as fault:  # the change goes on, and the next write may succeed
            if str(fault) != self._last_fault:
                self.log.warning("%s", fault)
            self._last_fault = str(fault)

    def _publish(self, report: Report, file: ReportFile | None, context: Context) -> None:
        """Write the report file first, then the log and the XCom, so that a failure of Airflow cannot lose it."""
        from airflow_provider_tallyfy.operators import _report_files as files

        try:
            if file is not None:
                try:
                    file.write(report, ended=True)
                finally:
                    file.close()
        finally:
            try:
                files.log(self.log, report)
            finally:
                context["ti"].xcom_push(key=SUMMARY_KEY, value=report.summary())

    def _fail(self, report: Report) -> NoReturn:
        from airflow_provider_tallyfy.exceptions import TallyfyBulkError, TallyfyBulkRefusedError

        failed = [entry for entry in report.entries.values() if entry.result == "failed"]
        examples = "".join(f"\n  {entry.run_id}: {entry.reason}" for entry in failed[:5])
        more = f"\n  ... and {len(failed) - 5} more, all in the log" if len(failed) > 5 else ""
        hint = " A retry changes only the remaining runs." if report.retryable() else ""
        kind = TallyfyBulkError if report.retryable() else TallyfyBulkRefusedError
        raise kind(f"{report.sentence()}.{hint}{examples}{more}", report.summary())
