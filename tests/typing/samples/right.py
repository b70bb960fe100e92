"""Correct code: no type checker reports an error here, and Airflow accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

from airflow.sdk import dag, task

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyBulkActivateRunsOperator,
    TallyfyBulkArchiveRunsOperator,
    TallyfyBulkReportOperator,
    TallyfyBulkUpdateRunsOperator,
    TallyfyCompleteTaskOperator,
    TallyfyDeleteRunOperator,
    TallyfyGetRunOperator,
    TallyfyLaunchRunOperator,
    TallyfyListRunsOperator,
    TallyfyUpdateRunOperator,
)

RUN = "a" * 32
ORGANIZATION = "b" * 32


@task
def ids() -> list[str]:
    return [RUN]


@task
def one() -> str:
    return RUN


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc))
def uses() -> None:
    find = TallyfyListRunsOperator(
        task_id="find",
        template="Customer onboarding",
        tags=["Old", "Paid"],
        owners=[7, "ann@example.com"],
        untagged=False,
        stale_after=timedelta(days=30),
        archived_after=date(2026, 1, 1),
        archived_before="{{ data_interval_start }}",
        limit="{{ params.limit }}",
        fields=("name", "last_updated"),
        params={"limit": 10},
    )
    TallyfyListRunsOperator(task_id="find_by_xcom", template=one(), tags=ids(), organization_id=one())

    archive = TallyfyBulkArchiveRunsOperator(
        task_id="archive", run_ids=find.output, max_runs=500, dry_run="{{ params.dry_run }}", report_path="/tmp/r.json",
        params={"dry_run": True},
    )  # fmt: skip
    TallyfyBulkArchiveRunsOperator(task_id="archive_listed", run_ids=[RUN], skip_modified=True, max_failures=None)
    TallyfyBulkActivateRunsOperator(task_id="undo", from_report="/tmp/r.json", include_unclear=True, concurrency=4)
    TallyfyBulkUpdateRunsOperator(task_id="tag", run_ids=ids(), add_tags=["Cleaned up"], create_missing_tags=True)
    TallyfyBulkUpdateRunsOperator(task_id="put_back", from_report="/tmp/u.jsonl", restore=True)
    archive.set_downstream(TallyfyBulkReportOperator(task_id="report", bulk_task_id="archive"))

    TallyfyArchiveRunOperator(task_id="literal", run_id=RUN, if_already="skip", tallyfy_conn_id="other")
    TallyfyArchiveRunOperator(task_id="taskflow", run_id=one(), retries=3, retry_delay=timedelta(minutes=1))
    TallyfyActivateRunOperator(task_id="template", run_id="{{ params.run }}", organization_id=ORGANIZATION, pool=None)
    TallyfyArchiveRunOperator.partial(task_id="mapped", if_already="succeed").expand(run_id=ids())
    TallyfyUpdateRunOperator(
        task_id="update",
        run_id=one(),
        name="Onboarding {{ ds }}",
        owner_id=7,
        add_tags={"Urgent"},
        folders=ids(),
        prerun={"field": "answer", "many": ["a", "b"]},
        starred=True,
        users=[7, "8"],
        extra_fields={"due_date": "2026-03-01"},
        on_failure_callback=tell,
        trigger_rule="all_done",
    )
    TallyfyUpdateRunOperator(task_id="text", run_id=RUN, prerun="{{ params.answers }}", tags="{{ params.tags }}")
    TallyfyUpdateRunOperator(task_id="listed", run_id=RUN, prerun=[{"id": "field", "value": 1}], groups=())
    TallyfyLaunchRunOperator(
        task_id="launch",
        template="Onboarding",
        name="Onboard {{ params.name }}",
        run_owner="maya@example.com",
        answers={"Company": one(), "Modules": ["SSO", "Audit"], "Start": date(2026, 12, 1)},
        assignees={"Approve": ["cfo@example.com", 7], "Set up": ids()},
        deadlines={"Approve": timedelta(days=3), "Set up": "2026-12-24"},
        tags=["VIP"],
        launch_key="{{ params.number }}",
        if_launched="fail",
        owner="data-team",
    )
    read = TallyfyGetRunOperator(task_id="read", run_id="{{ ti.xcom_pull('launch')['id'] }}")
    TallyfyCompleteTaskOperator(
        task_id="complete",
        run_id=read.output.map(lambda run: run["id"]),
        task="Approve",
        answers={"Amount": 7, "Paid on": one()},
        approve=True,
        comment="Approved by {{ dag.dag_id }}",
        if_already="skip",
    )
    TallyfyLaunchRunOperator.partial(task_id="mapped_launch", template="Onboarding").expand(answers=ids())
    TallyfyDeleteRunOperator(task_id="delete", run_id=find.output.map(lambda row: row["id"]), confirm=True)


def tell(context: Any) -> None:
    print(context["ti"])


class ArchiveQuietly(TallyfyArchiveRunOperator):
    """A user's own operator."""

    def __init__(self, *, why: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.why = why


def call(hook: TallyfyHook) -> Iterator[str]:
    run: dict[str, Any] = hook.get_run(RUN, include=["tags"])
    run = hook.update_run(RUN, name="New", tags=[], prerun={"field": "answer"}, create_missing_tags=True)
    run = hook.update_run_outcome(RUN, users=[7], extra_fields={"due_date": "2026-03-01"}).run
    run = hook.archive_run(run["id"])
    run = hook.activate_run(RUN)
    run = hook.delete_run(RUN, confirm=True)
    run = hook.add_tag_to_run(RUN, "c" * 32)
    for found in hook.iter_runs(archived="only", include=("tags",)):
        yield str(found["id"])
    rows = hook.find_runs(template="Customer onboarding", stale_after=timedelta(days=30), limit=5)
    hook.archive_runs(rows, dry_run=True, max_runs=5)
    hook.update_runs([RUN], {"add_tags": ["Old"]})
    yield from (row["id"] for row in rows)
    yield hook.run_url(RUN)


uses()
