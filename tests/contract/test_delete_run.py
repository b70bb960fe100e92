"""Deleting a run permanently: only an archived run, only with confirmation, and never by accident."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyApiError,
    TallyfyArgumentError,
    TallyfyForbiddenError,
    TallyfyNotFoundError,
    TallyfyServerError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyDeleteRunOperator
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._example_organization import UNKNOWN, methods

Connect = Callable[..., TallyfyHook]


@pytest.fixture(params=["200", "404"])
def get_archived(request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
    """Whether an archived run can be read by its id."""
    sandbox.behaviour = Behaviour(get_archived=request.param)
    position: str = request.param
    return position


@pytest.mark.usefixtures("get_archived")
class TestDeleted:
    def test_archived_run(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run("Old", archived=True)
        other = sandbox.add_run("Other", archived=True)
        run = hook.delete_run(run_id, confirm=True)
        assert (run["id"], run["name"]) == (run_id, "Old")
        assert sandbox.run(run_id) is None
        assert sandbox.run(other) is not None
        assert sandbox.calls[-1] == f"DELETE /runs/{run_id}/delete"

    @pytest.mark.parametrize(
        "fault",
        [Fault.drop_after(), Fault.error_after(502), Fault.truncated(), Fault.drop_before(), Fault.server_error(503)],
        ids=lambda fault: fault.name,
    )
    def test_lost_answer_is_settled_by_reading(self, fault: Fault, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run("Old", archived=True)
        sandbox.fail("DELETE", "/runs/*", fault)
        assert hook.delete_run(run_id, confirm=True)["name"] == "Old"
        assert sandbox.run(run_id) is None

    def test_run_that_is_still_there_is_an_error(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run(archived=True)
        sandbox.fail("DELETE", "/runs/*", Fault.server_error(503), times=None)
        with pytest.raises(TallyfyServerError):
            hook.delete_run(run_id, confirm=True)
        assert sandbox.run(run_id) is not None

    def test_404_for_an_existing_run_is_an_error(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run(archived=True)
        sandbox.fail("DELETE", "/runs/*", Fault.status(404))
        with pytest.raises(TallyfyNotFoundError):
            hook.delete_run(run_id, confirm=True)
        assert sandbox.run(run_id) is not None


@pytest.mark.parametrize("delete_live", Behaviour.positions()["delete_live"])
class TestRefused:
    def test_live_run(self, delete_live: Any, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.behaviour = Behaviour(delete_live=delete_live)
        run_id = sandbox.add_run("In use")
        with pytest.raises(TallyfyValidationError, match=r"'In use' .* is not archived") as caught:
            hook.delete_run(run_id, confirm=True)
        assert isinstance(caught.value, AirflowFailException)
        assert methods(sandbox) == ["GET"], "refused here, not by chance there"

    def test_run_that_was_activated_at_the_last_moment(
        self, delete_live: Any, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        sandbox.behaviour = Behaviour(delete_live=delete_live)
        run_id = sandbox.add_run(archived=True)
        sandbox.when("DELETE", "/runs/*", lambda: sandbox.activate(run_id))
        with pytest.raises(TallyfyApiError):
            hook.delete_run(run_id, confirm=True)
        assert sandbox.run(run_id) is not None


class TestNotAllowed:
    def test_unknown_run(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyNotFoundError):
            hook.delete_run(UNKNOWN, confirm=True)
        assert "DELETE" not in methods(sandbox)

    @pytest.mark.parametrize("role", ["standard", "light"])
    def test_member_who_is_not_an_administrator(self, role: str, sandbox: Sandbox, connect: Connect) -> None:
        run_id = sandbox.add_run(archived=True)
        with pytest.raises(TallyfyForbiddenError):
            connect(sandbox, password=sandbox.token_for(role)).delete_run(run_id, confirm=True)
        assert sandbox.run(run_id) is not None

    @pytest.mark.parametrize("confirm", [False, None, "True", 1, "yes"])
    def test_without_confirmation(self, confirm: Any, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError, match="can't be undone"):
            hook.delete_run(sandbox.add_run(archived=True), confirm=confirm)
        assert sandbox.requests == []

    @pytest.mark.parametrize("run_id", ["", " ", "None", "a/b", "..", "a?b", "a#b", None, 7.5, ["a" * 32], "x/delete"])
    def test_value_that_is_not_an_id(self, run_id: Any, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError):
            hook.delete_run(run_id, confirm=True)
        assert sandbox.requests == []

    def test_archive_with_an_id_that_ends_in_delete(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run(archived=True)
        for wrong in (f"{run_id}/delete", f"{run_id}%2Fdelete", f"{run_id}\\delete"):
            with pytest.raises((TallyfyArgumentError, TallyfyNotFoundError)):
                hook.archive_run(wrong)
        assert sandbox.run(run_id) is not None


class TestOperator:
    def execute(self, hook: TallyfyHook, run_id: str) -> dict[str, Any]:
        operator = TallyfyDeleteRunOperator(
            task_id="delete", run_id=run_id, confirm=True, tallyfy_conn_id=hook.tallyfy_conn_id
        )
        context: Any = {"ti": SimpleNamespace(try_number=1, xcom_push=lambda key, value: None)}
        return operator.execute(context)

    def test_returns_the_run_as_it_was_before(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run("Old", archived=True)
        assert self.execute(hook, run_id)["name"] == "Old"
        assert sandbox.run(run_id) is None

    def test_live_run(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run()
        with pytest.raises(TallyfyValidationError):
            self.execute(hook, run_id)
        assert sandbox.run(run_id) is not None

    @pytest.mark.parametrize("confirm", [False, None, "True", "{{ params.sure }}", 1])
    def test_missing_confirmation_is_an_error_of_the_dag_file(self, confirm: Any) -> None:
        with pytest.raises(ValueError, match="can't be undone"):
            TallyfyDeleteRunOperator(task_id="delete", run_id="a" * 32, confirm=confirm)

    def test_confirm_is_not_a_template_field(self) -> None:
        assert "confirm" not in TallyfyDeleteRunOperator.template_fields
