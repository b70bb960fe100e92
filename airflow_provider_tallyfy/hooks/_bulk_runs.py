"""Methods of the hook that change many runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args

from airflow_provider_tallyfy.api.protocol.arguments import (
    ArgumentError,
    check_choice,
    check_concurrency,
    check_count,
    check_flag,
    show,
)
from airflow_provider_tallyfy.api.runs import update
from airflow_provider_tallyfy.api.runs.report import Report, targets
from airflow_provider_tallyfy.client.bulk import BulkChange
from airflow_provider_tallyfy.client.bulk_options import BulkOptions, Doing
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.hooks._base import TallyfyBaseHook

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy.client.bulk_options import BulkArguments, BulkOptionsByName

_FIELDS = tuple(field.name for field in fields(BulkOptions))


class BulkRunsHook(TallyfyBaseHook):
    """Methods of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` that change many runs."""

    def archive_runs(self, run_ids: Iterable[Any], **options: Unpack[BulkArguments]) -> Report:
        """Archive many runs.

        :param run_ids: ids, or rows; see :meth:`bulk_change`.
        :param options: see :meth:`bulk_change`.
        :return: the result for each run.
        """
        return self._change("archive", run_ids, options)

    def activate_runs(self, run_ids: Iterable[Any], **options: Unpack[BulkArguments]) -> Report:
        """Bring many archived runs back to life.

        :param run_ids: ids, or rows; see :meth:`bulk_change`.
        :param options: see :meth:`bulk_change`.
        :return: the result for each run.
        """
        return self._change("activate", run_ids, options)

    def update_runs(
        self, run_ids: Iterable[Any], changes: Mapping[str, Any], **options: Unpack[BulkArguments]
    ) -> Report:
        """Make the same changes to many runs.

        :param run_ids: ids, or rows; see :meth:`bulk_change`.
        :param changes: the fields of :meth:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook.update_run_outcome`,
            ``extra_fields`` and ``create_missing_tags`` included.
        :param options: see :meth:`bulk_change`.
        :return: the result for each run.
        """
        return self._change("update", run_ids, options, changes=changes)

    def restore_runs(self, updated: Report | Iterable[Any], **options: Unpack[BulkArguments]) -> Report:
        """Put back the values that an update of many runs replaced. Runs modified since then are skipped.

        :param updated: the report of :meth:`update_runs`, or rows with ``run_id``, ``last_updated`` and ``before``.
        :param options: see :meth:`bulk_change`.
        :return: the result for each run.
        """
        rows: Any = updated
        if isinstance(updated, Report):
            rows = [entry.as_row() for entry in updated.entries.values() if entry.result == "changed"]
        return self._change("restore", rows, options)

    def _change(self, doing: Doing, run_ids: Iterable[Any], options: BulkArguments, **changes: Any) -> Report:
        # Checked before the call: an option with the name of another argument of bulk_change() would be a TypeError.
        self._checked(_check_names, options, (*_FIELDS, "max_runs", "options"))
        return self.bulk_change(doing, run_ids, **changes, **options).run()

    def bulk_change(
        self,
        doing: Doing,
        run_ids: Iterable[Any],
        *,
        changes: Mapping[str, Any] | None = None,
        max_runs: int | None = None,
        options: BulkOptions | None = None,
        **more: Unpack[BulkOptionsByName],
    ) -> BulkChange:
        """Prepare a change of many runs. Nothing is changed until you call ``run()`` on the result.

        :param doing: ``archive``, ``activate``, ``update``, or ``restore`` (put back what an update replaced).
        :param run_ids: ids, or rows with ``id`` and ``last_updated`` as
            :meth:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook.find_runs` returns them. Repeated ids count once.
        :param changes: for ``update``: the fields to change and their new values.
        :param max_runs: refuse a longer list before anything is sent.
        :param options: see :class:`~airflow_provider_tallyfy.client.bulk_options.BulkOptions`.
        :param more: single fields of ``options``; they take precedence over ``options``.
        :return: the prepared change.
        :raises TallyfyArgumentError: for bad arguments. Nothing was sent.
        """
        self._checked(check_choice, "doing", doing, get_args(Doing))
        chosen = self._checked(_options, options, more)
        if max_runs is not None:
            self._checked(check_count, "max_runs", max_runs)
        wanted = self._checked(targets, "run_ids", run_ids, max_runs)
        prepared: dict[str, Any] = {}
        if doing == "update":
            if changes is not None and not isinstance(changes, Mapping):
                raise TallyfyArgumentError(f"changes={show(changes)} is not an object of field names and values.")
            rest = dict(changes or {})
            extra = rest.pop("extra_fields", None)
            create = bool(rest.pop("create_missing_tags", False)) and not chosen.dry_run
            prepared = self._perform(update.prepare(self.organization_id, rest, extra, create_missing_tags=create))
        return BulkChange(
            organization_id=self.organization_id,
            doing=doing,
            targets=wanted,
            options=chosen,
            new_transport=self.new_worker_transport,
            max_retries=self.max_retries,
            log=self.log,
            clock=self.clock,
            prepared=prepared,
        )


def _options(options: BulkOptions | None, more: Mapping[str, Any]) -> BulkOptions:
    _check_names(more, _FIELDS)
    if options is not None and not isinstance(options, BulkOptions):
        raise ArgumentError(f"options={show(options)} is not a BulkOptions.")
    chosen = replace(options or BulkOptions(), **more)
    check_concurrency("concurrency", chosen.concurrency)
    if chosen.max_failures is not None:
        check_count("max_failures", chosen.max_failures)
    for name in ("look_first", "dry_run", "skip_modified"):
        if (value := getattr(chosen, name)) is not None:
            setattr(chosen, name, check_flag(name, value))
    if isinstance(chosen.progress_every, bool) or not isinstance(chosen.progress_every, (int, float)):
        raise ArgumentError(f"progress_every={show(chosen.progress_every)} is not a number of seconds.")
    return chosen


def _check_names(given: Iterable[str], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise ArgumentError(f"{unknown[0]!r} is not an option of a bulk change. The options are {', '.join(known)}.")
