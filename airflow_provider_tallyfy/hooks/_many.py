"""Change many runs at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NoReturn

from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.api.runs import update
from airflow_provider_tallyfy.api.runs.report import Report, targets
from airflow_provider_tallyfy.client.bulk import BulkChange, BulkOptions
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError
from airflow_provider_tallyfy.hooks._find import FindRunsHook

MOST_WORKERS = 64


class ManyRunsHook(FindRunsHook):
    """The part of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` that is about many runs."""

    def archive_runs(self, run_ids: Iterable[Any], **options: Any) -> Report:
        """Archive many runs; see :meth:`bulk_change` for the options."""
        return self.bulk_change("archive", run_ids, **options).run()

    def activate_runs(self, run_ids: Iterable[Any], **options: Any) -> Report:
        """Bring many archived runs back; see :meth:`bulk_change` for the options."""
        return self.bulk_change("activate", run_ids, **options).run()

    def update_runs(self, run_ids: Iterable[Any], changes: Mapping[str, Any], **options: Any) -> Report:
        """Make the same changes to many runs.

        :param changes: the fields of :meth:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook.update_run_outcome`,
            ``extra_fields`` and ``create_missing_tags`` included.
        :param options: see :meth:`bulk_change`.
        """
        return self.bulk_change("update", run_ids, changes=changes, **options).run()

    def bulk_change(
        self,
        doing: Literal["archive", "activate", "update"],
        run_ids: Iterable[Any],
        *,
        changes: Mapping[str, Any] | None = None,
        max_runs: int | None = None,
        options: BulkOptions | None = None,
        **more: Any,
    ) -> BulkChange:
        """Prepare a change of many runs; request ``run()`` on what is returned.

        :param doing: ``archive``, ``activate`` or ``update``.
        :param run_ids: ids, or rows with ``id`` and ``last_updated`` as :meth:`find_runs` returns them. Repeated ids
            count once.
        :param changes: for ``update``: what to change.
        :param max_runs: refuse a longer list, before anything is sent.
        :param options: see :class:`~airflow_provider_tallyfy.client.bulk.BulkOptions`; its fields may also be given
            one by one.
        :raises TallyfyArgumentError: for bad arguments; nothing was sent.
        """
        chosen = options or BulkOptions(**more)
        for name, value, most in (
            ("concurrency", chosen.concurrency, MOST_WORKERS),
            ("max_failures", chosen.max_failures, None),
            ("max_runs", max_runs, None),
        ):
            if value is None and name != "concurrency":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most and value > most):
                self._refuse(
                    f"{name}={show(value)} is not a whole number from 1" + (f" to {most}." if most else " on.")
                )
        wanted = self._checked(targets, "run_ids", run_ids, max_runs)
        prepared: dict[str, Any] = {}
        if doing == "update":
            rest = dict(changes or {})
            extra = rest.pop("extra_fields", None)
            create = bool(rest.pop("create_missing_tags", False)) and not chosen.dry_run
            prepared = self._perform(update.prepare(self.organization_id, rest, extra, create_missing_tags=create))
        return BulkChange(self, doing, wanted, chosen, prepared)

    @staticmethod
    def _refuse(why: str) -> NoReturn:
        raise TallyfyArgumentError(why)
