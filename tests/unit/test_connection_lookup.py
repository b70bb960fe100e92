"""Airflow's own trouble never ends a task for good: whatever it raises instead of a connection is retried."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from airflow_provider_tallyfy import _compat
from airflow_provider_tallyfy.exceptions import TallyfyConnectionNotFoundError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Sandbox

DSN = "postgresql+psycopg2://airflow:{}@db.example:5432/airflow"
REFUSED = 'connection to server at "127.0.0.1", port 5432 failed: Connection refused'
_REQUEST = httpx.Request("GET", "http://airflow.example/execution/connections/x")


def _runtime_error(status: int) -> Exception:
    """What the supervisor of Airflow 3 tells a task of an error of the execution API; the nearest to it on 2.11."""
    try:
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import ErrorResponse
    except ImportError:
        return RuntimeError(f"API_SERVER_ERROR: {{'status_code': {status}}}")
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status}))


_FAULTS: list[tuple[Exception, str]] = [
    (OperationalError("SELECT 1", {}, Exception(REFUSED)), REFUSED),
    (_runtime_error(500), "500"),
    (_runtime_error(503), "503"),
    (httpx.ConnectError("[Errno 111] Connection refused", request=_REQUEST), "[Errno 111] Connection refused"),
    (httpx.ReadTimeout("timed out", request=_REQUEST), "timed out"),
    (_compat.AirflowException("Could not reach the secrets backend"), "Could not reach the secrets backend"),
    (_compat.AirflowFailException("The secrets backend has given up"), "The secrets backend has given up"),
    (PermissionError("Access denied for connection"), "Access denied for connection"),
    (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
    (RuntimeError(), "RuntimeError"),
    (KeyError("x" * 10_000), "KeyError"),
]

#: Spellings of a password in the errors of drivers and clients.
_TELLING: list[str] = [
    f"could not connect to {DSN}",
    "could not connect to redis://:{}@cache.example/0",
    'invalid dsn: "host=db.example user=airflow password={} dbname=airflow"',
    "invalid dsn: host=db.example password='{}' dbname=airflow",
    "bad config {{'user': 'airflow', 'password': '{}'}}",
    '{{"client_secret": "{}"}}',
    "Vault said no: token={}",
]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], TallyfyHook]:
    """Make a hook for which Airflow raises this instead of returning the connection."""

    def make(fault: Exception) -> TallyfyHook:
        def get_connection(conn_id: str) -> Any:
            raise fault

        monkeypatch.setattr(TallyfyHook, "get_connection", staticmethod(get_connection))
        return TallyfyHook("my_tallyfy", organization_id="a" * 32)

    return make


def refusal(hook: TallyfyHook) -> TallyfyConnectionNotFoundError:
    with pytest.raises(TallyfyConnectionNotFoundError) as caught:
        hook.archive_run("b" * 32)
    assert not isinstance(caught.value, _compat.AirflowFailException)
    return caught.value


def test_connection_that_does_not_exist_says_what_to_do_and_is_retried() -> None:
    text = str(refusal(TallyfyHook("no-where", organization_id="a" * 32)))
    assert text.startswith("Airflow finds no connection 'no-where'.")
    assert "Admin > Connections" in text
    assert "`airflow connections add no-where --conn-type tallyfy --conn-login <Organization ID>" in text
    assert "pass tallyfy_conn_id" in text
    assert "AIRFLOW_CONN_NO-WHERE" in text
    assert "outage" in text


@pytest.mark.parametrize(("fault", "told"), _FAULTS, ids=lambda value: type(value).__name__)
def test_fault_of_airflow_is_told_and_retried(
    raising: Callable[[Exception], TallyfyHook], fault: Exception, told: str
) -> None:
    error = refusal(raising(fault))
    assert str(error).startswith("Airflow could not look up the connection 'my_tallyfy': ")
    assert told in str(error)
    assert len(str(error)) < 1_000
    assert error.__cause__ is fault


@pytest.mark.parametrize("fault", [fault for fault, _ in _FAULTS], ids=lambda fault: type(fault).__name__)
def test_test_button_tells_a_fault_of_airflow_in_one_line(
    raising: Callable[[Exception], TallyfyHook], fault: Exception
) -> None:
    well, text = raising(fault).test_connection()
    assert not well
    assert text.startswith("Airflow could not look up the connection 'my_tallyfy': ")
    assert "\n" not in text


@pytest.mark.parametrize("password", ["s3cr3t", "p@ss/w:rd"])
@pytest.mark.parametrize("text", _TELLING)
def test_password_in_a_fault_of_airflow_reaches_neither_message_nor_traceback(
    raising: Callable[[Exception], TallyfyHook], text: str, password: str
) -> None:
    inner = ValueError(text.format(password))
    fault = OperationalError("SELECT 1", {}, inner)
    fault.__cause__ = inner
    error = refusal(raising(fault))
    printed = str(error) + "".join(traceback.format_exception(error))
    assert password not in printed
    assert "***" in printed
    assert "OperationalError" in str(error)


def test_same_hook_works_as_soon_as_airflow_does(monkeypatch: pytest.MonkeyPatch, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    hook = TallyfyHook()

    def get_connection(conn_id: str) -> Any:
        raise OperationalError("SELECT 1", {}, Exception(REFUSED))

    with monkeypatch.context() as patch:
        patch.setattr(TallyfyHook, "get_connection", staticmethod(get_connection))
        refusal(hook)
        assert tallyfy_sandbox.calls == []
    assert hook.archive_run(run_id)["archived_at"]


def test_interruption_during_the_look_up_is_no_fault_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    class TaskTimeout(BaseException):
        pass

    def get_connection(conn_id: str) -> Any:
        raise TaskTimeout

    monkeypatch.setattr(TallyfyHook, "get_connection", staticmethod(get_connection))
    with pytest.raises(TaskTimeout):
        _ = TallyfyHook().settings
