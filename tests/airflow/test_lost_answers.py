"""Unusable answers in real DAG runs: a task settles them by reading, and does not take them for a refusal."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow.conftest import RunDag
from tests.contract._bulk import times
from tests.contract._example_organization import truth

#: A DAG that archives, activates and updates one run each, and archives and updates some in bulk.
ALL_WAYS = """
retried = {"retries": 2, "retry_delay": timedelta(0)}
ids = dag.params
TallyfyArchiveRunOperator(task_id="archive", run_id=ids["archive"], **retried)
TallyfyActivateRunOperator(task_id="activate", run_id=ids["activate"], **retried)
TallyfyUpdateRunOperator(task_id="update", run_id=ids["update"], name="New", **retried)
TallyfyBulkArchiveRunsOperator(task_id="bulk_archive", run_ids=ids["bulk_archive"], **retried)
TallyfyBulkUpdateRunsOperator(task_id="bulk_update", run_ids=ids["bulk_update"], name="New", **retried)
"""
SINGLE = {"archive": "DELETE", "activate": "PUT", "update": "PUT"}


class Runs:
    """The runs of :data:`ALL_WAYS`, and one that no task changes.

    :param fault: the fault that the first write of each run meets.
    :param times: number of writes of each run that meet it; ``None`` = all.
    """

    def __init__(self, sandbox: Sandbox, fault: Fault, times: int | None = 1) -> None:
        self.sandbox = sandbox
        self.member = sandbox.add_member("ann@example.com")
        self.single = {way: sandbox.add_run("Old", archived=way == "activate", users=[self.member]) for way in SINGLE}
        self.bulk = {
            way: [sandbox.add_run("Old", users=[self.member]) for _ in range(4)]
            for way in ("bulk_archive", "bulk_update")
        }
        self.bystander = sandbox.add_run("Old", users=[self.member])
        self.before = truth(sandbox, self.bystander)
        for run_id in self.all:
            for method in ("DELETE", "PUT"):
                sandbox.fail(method, f"/runs/{run_id}*", fault, times=times)

    @property
    def all(self) -> list[str]:
        return [*self.single.values(), *(run_id for run_ids in self.bulk.values() for run_id in run_ids)]

    @property
    def params(self) -> dict[str, object]:
        return {**self.single, **self.bulk}

    def check_done(self) -> None:
        """Check that each change was made once, and that nothing else was changed."""
        for run_id in (self.single["archive"], *self.bulk["bulk_archive"]):
            assert truth(self.sandbox, run_id)["is_archived"]
            assert times(self.sandbox, run_id, "archived") == 1
        assert not truth(self.sandbox, self.single["activate"])["is_archived"]
        for run_id in (self.single["update"], *self.bulk["bulk_update"]):
            assert truth(self.sandbox, run_id)["name"] == "New"
        assert all(truth(self.sandbox, run_id)["users"] == [self.member] for run_id in self.all)
        assert truth(self.sandbox, self.bystander) == self.before

    def sent(self, run_id: str) -> list[str]:
        """Return the requests for a run: the method, and whether it was carried out."""
        found = [record for record in self.sandbox.requests if run_id in record.route]
        return [f"{record.method}{'' if record.applied else ' not done'}" for record in found]


def test_answer_with_two_lengths_is_a_lost_answer(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    runs = Runs(tallyfy_sandbox, Fault.two_lengths())
    done = run_dag(ALL_WAYS, **runs.params)

    assert {state for states in done.states.values() for state in states} == {"success"}, done.log
    assert "TallyfyConfigurationError" not in done.log
    runs.check_done()
    for way in SINGLE:
        assert done.task(way).xcom()["id"] == runs.single[way]
        assert done.task(way).tries == 1
    archived = next(line for line in done.messages if f"({runs.single['archive']}) is archived" in line)
    assert "it is archived" in archived.partition("(")[2]
    assert "GET" in runs.sent(runs.single["archive"])


def test_write_answered_with_a_web_page_is_checked_and_sent_again(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    runs = Runs(tallyfy_sandbox, Fault.not_json(applies=False))
    done = run_dag(ALL_WAYS, **runs.params)

    assert {state for states in done.states.values() for state in states} == {"success"}, done.log
    runs.check_done()
    for way, method in SINGLE.items():
        assert done.task(way).tries == 1
        # A read between the two writes makes sure that nothing is done twice.
        [first, *_] = [n for n, sent in enumerate(runs.sent(runs.single[way])) if sent == f"{method} not done"]
        assert runs.sent(runs.single[way])[first : first + 3] == [f"{method} not done", "GET", method]
        warnings = [line for line in done.messages if line.startswith("WARNING") and runs.single[way] in line]
        assert len(warnings) == 1
        assert "retrying in" in warnings[0]
    # In bulk, the retry handles the runs that were found unchanged.
    assert {done.task(way).tries for way in runs.bulk} <= {1, 2}


def test_permanent_web_page_uses_all_tries_and_asks_about_the_host(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = tallyfy_sandbox.connection_json(extra={"max_retries": 0})
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    runs = Runs(tallyfy_sandbox, Fault.not_json(applies=False), times=None)
    before = {run_id: truth(tallyfy_sandbox, run_id) for run_id in runs.all}
    done = run_dag(ALL_WAYS, **runs.params)

    for way in (*SINGLE, *runs.bulk):
        assert (done.task(way).state, done.task(way).tries) == ("failed", 3), way
    for way, method in SINGLE.items():
        assert f"{method} /runs/{runs.single[way]}" in done.log
        assert [sent for sent in runs.sent(runs.single[way]) if sent != "GET"] == [f"{method} not done"] * 3
    assert done.log.count("Is the connection's host the API base URL") >= 3 * len(runs.params)
    assert {run_id: truth(tallyfy_sandbox, run_id) for run_id in runs.all} == before
    assert "TallyfyNotAppliedError" not in done.log
