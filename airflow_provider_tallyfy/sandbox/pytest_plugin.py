"""A pytest fixture for tests of your own DAGs.

Load it with ``pytest_plugins = ["airflow_provider_tallyfy.sandbox.pytest_plugin"]``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_tallyfy.sandbox.sandbox import Sandbox


@pytest.fixture
def tallyfy_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """An empty organization, which the connection ``tallyfy_default`` reaches while the test runs.

    Add runs of the age that your DAG looks for, and let requests fail to see how your DAG handles it::

        def test_stale_runs_are_archived(tallyfy_sandbox):
            run_id = tallyfy_sandbox.add_run(completed_at=timedelta(days=45))
            tallyfy_sandbox.fail("DELETE", "/runs/*", Fault.drop_after())

    Where your DAG waits for people, have them act::

        def test_an_approved_vendor_is_paid(tallyfy_sandbox):
            tallyfy_sandbox.add_template("Vendor", ["Collect", {"title": "Approve", "task_type": "approval"}], ["Name"])
            tallyfy_sandbox.people.always("approve", task="Approve", template="Vendor", after=2.0)
    """
    with Sandbox() as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", sandbox.connection_json())
        yield sandbox
