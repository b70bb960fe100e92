"""Mistakes that each type checker reports, at this line and with the words in the comment."""

from __future__ import annotations

from datetime import timedelta

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

# A required argument is missing.
TallyfyArchiveRunOperator(task_id="t")  # error: "run_id"
TallyfyActivateRunOperator(task_id="t")  # error: "run_id"
TallyfyUpdateRunOperator(task_id="t", name="New")  # error: "run_id"
TallyfyDeleteRunOperator(task_id="t", confirm=True)  # error: "run_id"
TallyfyBulkReportOperator(task_id="t")  # error: "bulk_task_id"
TallyfyLaunchRunOperator(task_id="t", name="New")  # error: "template"
TallyfyGetRunOperator(task_id="t")  # error: "run_id"
TallyfyCompleteTaskOperator(task_id="t", run_id=RUN)  # error: "task"
TallyfyArchiveRunOperator(run_id=RUN)  # error: "task_id"

# There is no argument with this name.
TallyfyArchiveRunOperator(task_id="t", run_id=RUN, if_allready="skip")  # error: "if_allready"
TallyfyActivateRunOperator(task_id="t", run_id=RUN, retry=3)  # error: "retry"
TallyfyUpdateRunOperator(task_id="t", run_id=RUN, nmae="New")  # error: "nmae"
TallyfyUpdateRunOperator(task_id="t", run_id=RUN, changes={"name": "New"})  # error: "changes"
TallyfyDeleteRunOperator(task_id="t", run_id=RUN, comfirm=True)  # error: "comfirm"
TallyfyLaunchRunOperator(task_id="t", template="T", answer={"Name": "Ann"})  # error: "answer"
TallyfyListRunsOperator(task_id="t", stale_afer=timedelta(days=30))  # error: "stale_afer"
TallyfyBulkArchiveRunsOperator(task_id="t", run_ids=[RUN], only_report=True)  # error: "only_report"
TallyfyBulkActivateRunsOperator(task_id="t", run_ids=[RUN], restore=True)  # error: "restore"
TallyfyBulkUpdateRunsOperator(task_id="t", run_ids=[RUN], add_tag="Old")  # error: "add_tag"
TallyfyBulkReportOperator(task_id="t", bulk_task_id="b", conn_id="c")  # error: "conn_id"

# The value has a type that is never right.
TallyfyArchiveRunOperator(task_id="t", run_id=7)  # error: "run_id"
TallyfyArchiveRunOperator(task_id="t", run_id=None)  # error: "run_id"
TallyfyArchiveRunOperator(task_id="t", run_id=RUN, if_already="succed")  # error: "if_already"
TallyfyArchiveRunOperator(task_id="t", run_id=RUN, retries="3")  # error: "retries"
TallyfyUpdateRunOperator(task_id="t", run_id=RUN, tags=[1])  # error: int
TallyfyUpdateRunOperator(task_id="t", run_id=RUN, name=["New"])  # error: "name"
TallyfyUpdateRunOperator(task_id="t", run_id=RUN, prerun=7)  # error: "prerun"
TallyfyUpdateRunOperator(task_id="t", run_id=RUN, owner_id=7.5)  # error: "owner_id"
TallyfyLaunchRunOperator(task_id="t", template="T", deadlines={"Approve": 3})  # error: int
TallyfyCompleteTaskOperator(task_id="t", run_id=RUN, task="A", approve="yes")  # error: "approve"
TallyfyLaunchRunOperator(task_id="t", template="T", run_owner=["ann@example.com"])  # error: "run_owner"
TallyfyListRunsOperator(task_id="t", stale_after=30)  # error: "stale_after"
TallyfyListRunsOperator(task_id="t", limit=timedelta(days=1))  # error: "limit"
TallyfyBulkArchiveRunsOperator(task_id="t", run_ids=7)  # error: "run_ids"
TallyfyBulkArchiveRunsOperator(task_id="t", run_ids=[RUN], max_runs=["x"])  # error: "max_runs"
TallyfyBulkArchiveRunsOperator(task_id="t", run_ids=[RUN], concurrency="8")  # error: "concurrency"
TallyfyBulkUpdateRunsOperator(task_id="t", from_report="r", restore="yes")  # error: "restore"

# The same for the hook.
hook = TallyfyHook(connection="tallyfy_default")  # error: "connection"
hook.archive_run()  # error: "run_id"
hook.get_run(RUN, "tags")  # error: positional
hook.update_run(name="New")  # error: "run_id"
hook.update_run(RUN, nmae="x")  # error: "nmae"
hook.update_run(RUN, users=7)  # error: "users"
hook.update_run_outcome(RUN, changes={"name": "New"})  # error: "changes"
hook.find_runs(stale_afer=timedelta(days=30))  # error: "stale_afer"
hook.find_runs(stale_after=30)  # error: "stale_after"
hook.iter_runs(limit=5)  # error: "limit"
hook.delete_run(RUN)  # error: "confirm"
hook.bulk_change("destroy", [RUN])  # error: destroy
hook.archive_runs([RUN], dry_rnu=True)  # error: "dry_rnu"
hook.update_runs([RUN], {"name": "New"}, concurrency="8")  # error: "concurrency"
hook.bulk_change("archive", [RUN], max_run=5)  # error: "max_run"
hook.archive_runs([RUN]).nothing()  # error: "nothing"
