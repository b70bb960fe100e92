"""How a task ends: which errors fail at once, which are retried, and what counts as success."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from tests.airflow.conftest import RunDag

RETRIES = "retries=3, retry_delay=timedelta(0)"


# -- nothing to do ----------------------------------------------------------------------------------------------------

#: Operator and arguments, and whether the run must be archived so that there is nothing to do.
NOTHING_TO_DO = {
    "archive": ("TallyfyArchiveRunOperator", "", True),
    "activate": ("TallyfyActivateRunOperator", "", False),
    "update": ("TallyfyUpdateRunOperator", 'name="Onboarding"', False),
}


@pytest.mark.parametrize("what", NOTHING_TO_DO)
@pytest.mark.parametrize(("if_already", "state"), [("succeed", "success"), ("skip", "skipped"), ("fail", "failed")])
def test_if_already(what: str, if_already: str, state: str, run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    operator, arguments, archived = NOTHING_TO_DO[what]
    run_id = tallyfy_sandbox.add_run("Onboarding", archived=archived)
    before = tallyfy_sandbox.run(run_id)
    done = run_dag(f'{operator}(task_id="t", run_id="{run_id}", if_already="{if_already}", {RETRIES}, {arguments})')

    assert (done.task("t").state, done.task("t").tries) == (state, 1)
    assert tallyfy_sandbox.run(run_id) == before
    assert (done.task("t").xcom() is not None) == (state == "success")
    assert f"'Onboarding' ({run_id}): nothing to do" in done.log


@pytest.mark.parametrize("if_already", ["skip", "fail"])
def test_if_already_does_not_prevent_a_change(if_already: str, run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    done = run_dag(f'TallyfyArchiveRunOperator(task_id="t", run_id="{run_id}", if_already="{if_already}")')

    assert done.task("t").state == "success"
    assert [run["id"] for run in tallyfy_sandbox.runs(archived=True)] == [run_id]


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_error_that_a_retry_cannot_fix_fails_without_a_retry(
    status: int, run_dag: RunDag, tallyfy_sandbox: Sandbox
) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    tallyfy_sandbox.fail("PUT", "/runs/*", Fault.status(status, {"message": "Not like this."}), times=None)
    done = run_dag(f'TallyfyUpdateRunOperator(task_id="t", run_id="{run_id}", name="New", {RETRIES})')

    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert f"PUT /runs/{run_id} failed with {status}" in done.log
    assert "Not like this." in done.log
    assert (tallyfy_sandbox.run(run_id) or {})["name"] == "Onboarding"
    assert done.task("t").link.endswith(f"/processes/{run_id}")


def test_expired_token_fails_without_a_retry(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    tallyfy_sandbox.revoke(tallyfy_sandbox.token)
    done = run_dag(f'TallyfyArchiveRunOperator(task_id="t", run_id="{run_id}", {RETRIES})')

    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert "TallyfyAuthError" in done.log
    assert tallyfy_sandbox.calls == [f"DELETE /runs/{run_id}"]


def test_light_member_may_not_archive(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tallyfy_sandbox.token_for("light")
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy_sandbox.connection_json(password=token))
    run_id = tallyfy_sandbox.add_run("Onboarding")
    done = run_dag(f'TallyfyArchiveRunOperator(task_id="t", run_id="{run_id}", {RETRIES})')

    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert "TallyfyForbiddenError" in done.log
    assert token not in done.log
    assert tallyfy_sandbox.runs(archived=True) == []


def test_server_outage_is_retried_by_airflow(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the hook's retries, to see those of Airflow.
    connection = tallyfy_sandbox.connection_json(extra={"max_retries": 0})
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    run_id = tallyfy_sandbox.add_run("Onboarding")
    tallyfy_sandbox.fail("DELETE", "/runs/*", Fault.server_error(503), times=2)
    done = run_dag(f'TallyfyArchiveRunOperator(task_id="t", run_id="{run_id}", {RETRIES})')

    assert (done.task("t").state, done.task("t").tries) == ("success", 3)
    assert "TallyfyServerError" in done.log
    assert [run["id"] for run in tallyfy_sandbox.runs(archived=True)] == [run_id]


def test_hook_retries_before_airflow_does(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    tallyfy_sandbox.fail("DELETE", "/runs/*", Fault.rate_limited(retry_after="0"), times=2)
    done = run_dag(f'TallyfyArchiveRunOperator(task_id="t", run_id="{run_id}", {RETRIES})')

    assert (done.task("t").state, done.task("t").tries) == ("success", 1)
    assert tallyfy_sandbox.calls == [f"DELETE /runs/{run_id}"] * 3
    warnings = [line for line in done.messages if line.startswith("WARNING")]
    assert len(warnings) == 2
    assert "429" in warnings[0]


def test_archived_run_is_not_updated_and_the_log_says_what_to_do(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding", archived=True)
    done = run_dag(f'TallyfyUpdateRunOperator(task_id="t", run_id="{run_id}", name="New", {RETRIES})')

    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert "Activate it first" in done.log
    assert [record.method for record in tallyfy_sandbox.requests] == ["GET"]


def test_missing_connection_is_retried_because_an_outage_looks_the_same(run_dag: RunDag) -> None:
    done = run_dag(
        f'TallyfyArchiveRunOperator(task_id="t", run_id="{"a" * 32}", tallyfy_conn_id="not_there", {RETRIES})'
    )

    assert (done.task("t").state, done.task("t").tries) == ("failed", 4)
    assert "Airflow finds no connection 'not_there'" in done.log


# -- lost answers -----------------------------------------------------------------------------------------------------


def test_archive_with_a_lost_answer_succeeds_after_reading_the_run(run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    tallyfy_sandbox.fail("DELETE", f"/runs/{run_id}", Fault.drop_after())
    done = run_dag(f'TallyfyArchiveRunOperator(task_id="t", run_id="{run_id}")')

    assert done.task("t").state == "success"
    assert done.task("t").xcom()["archived_at"] == (tallyfy_sandbox.run(run_id) or {})["archived_at"]
    assert "a read shows that it is archived" in done.messages[-1]
    # The repeated request gets a 404, which could also mean that there is no such run.
    assert [f"{record.method} {record.status}" for record in tallyfy_sandbox.requests] == [
        "DELETE None",
        "DELETE 404",
        "GET 200",
    ]


# -- refused arguments ------------------------------------------------------------------------------------------------

ARCHIVE = 'TallyfyArchiveRunOperator(task_id="t", run_id={value!r}, ' + RETRIES + ")"
UPDATE = 'TallyfyUpdateRunOperator(task_id="t", run_id="' + "a" * 32 + '", {arguments}, ' + RETRIES + ")"
BAD_IDS = [
    "",
    "   ",
    "None",
    "{{ ti.xcom_pull(task_ids='nothing') }}",
    "a" * 256,
    f"{'a' * 32}/delete",
    "..",
    "a?b",
    "a#b",
    "a%2Fb",
    "a\\b",
    "a\nb",
]
BAD_UPDATES = {
    "owner_id='{{ none }}', summary=None": "owner_id='None' is not a Tallyfy user id",
    """name="{{ 'x' * 551 }}\"""": "name has 551 characters; Tallyfy allows 550",
    "name='{{ none }}'": "name='None'",
    """owner_id="{{ 'maya@example.com' }}\"""": "owner_id='maya@example.com' is not a Tallyfy user id",
    "folders='{{ [1] }}'": "folders='[1]' is not a list of ids",
    """folders=["{{ 'a/b' }}"]""": "folders[0]='a/b'",
    """prerun="{{ 'Business' }}\"""": "prerun='Business'",
    """starred="{{ 'maybe' }}\"""": "starred='maybe' is not true or false",
}


@pytest.mark.parametrize("value", BAD_IDS, ids=lambda value: repr(value)[:30])
def test_bad_id_is_not_sent(value: str, run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    """The id is bad after rendering. A bad literal id is refused when the DAG file is parsed."""
    done = run_dag(ARCHIVE.format(value=value if "{{" in value else f"{{{{ {value!r} }}}}"))

    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert tallyfy_sandbox.calls == []
    seen = repr("None" if "{{" in value else value)
    assert f"TallyfyArgumentError: run_id={seen[:60]}" in done.log
    # There is no run to open.
    assert not done.task("t").link


@pytest.mark.parametrize("arguments", BAD_UPDATES)
def test_bad_change_is_not_sent(arguments: str, run_dag: RunDag, tallyfy_sandbox: Sandbox) -> None:
    done = run_dag(UPDATE.format(arguments=arguments))

    assert (done.task("t").state, done.task("t").tries) == ("failed", 1)
    assert tallyfy_sandbox.calls == []
    assert f"TallyfyArgumentError: {BAD_UPDATES[arguments]}" in done.log


def test_error_for_a_missing_xcom_names_it_as_a_possible_cause(run_dag: RunDag) -> None:
    done = run_dag(ARCHIVE.format(value="{{ ti.xcom_pull(task_ids='nothing') }}"))

    assert "If it comes from XCom or a Jinja template, the upstream task returned nothing" in done.log


# -- which organization -----------------------------------------------------------------------------------------------


def test_connection_and_organization_are_templated(
    run_dag: RunDag, tallyfy_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox() as other:
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_OTHER", other.connection_json(login=None))
        run_id = other.add_run("Elsewhere")
        done = run_dag(
            """
            TallyfyArchiveRunOperator(
                task_id="t",
                run_id="{{ params.id }}",
                organization_id="{{ params.organization }}",
                tallyfy_conn_id="tallyfy_{{ params.which }}",
            )
            """,
            id=run_id,
            organization=other.organization_id,
            which="other",
        )
        assert done.task("t").state == "success"
        assert (other.run(run_id) or {})["is_archived"]
        assert done.task("t").link == f"{other.url}/{other.organization_id}/processes/{run_id}"
        assert other.token not in done.log
    assert tallyfy_sandbox.calls == []
