"""Failures of Airflow itself are retried: none of the errors in a connection look-up fails the task for good."""

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
    """The error that a task of Airflow 3 gets if the execution API fails, or its nearest equivalent on 2.11."""
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
    """Return a hook for which the connection look-up of Airflow raises an error."""

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


def test_error_for_a_missing_connection_says_what_to_do_and_is_retried() -> None:
    text = str(refusal(TallyfyHook("no-where", organization_id="a" * 32)))
    assert text.startswith("Airflow finds no connection 'no-where'.")
    assert "Admin > Connections" in text
    assert "`airflow connections add no-where --conn-type tallyfy --conn-login <Organization ID>" in text
    assert "pass tallyfy_conn_id" in text
    assert "AIRFLOW_CONN_NO-WHERE" in text
    assert "outage" in text


@pytest.mark.parametrize(("fault", "words"), _FAULTS, ids=lambda value: type(value).__name__)
def test_failed_look_up_is_reported_and_retried(
    raising: Callable[[Exception], TallyfyHook], fault: Exception, words: str
) -> None:
    error = refusal(raising(fault))
    assert str(error).startswith("Airflow could not look up the connection 'my_tallyfy': ")
    assert words in str(error)
    assert len(str(error)) < 1_000
    assert error.__cause__ is fault


@pytest.mark.parametrize("fault", [fault for fault, _ in _FAULTS], ids=lambda fault: type(fault).__name__)
def test_test_button_shows_a_failed_look_up_in_one_line(
    raising: Callable[[Exception], TallyfyHook], fault: Exception
) -> None:
    well, text = raising(fault).test_connection()
    assert not well
    assert text.startswith("Airflow could not look up the connection 'my_tallyfy': ")
    assert "\n" not in text


@pytest.mark.parametrize("password", ["s3cr3t", "p@ss/w:rd"])
@pytest.mark.parametrize("text", _TELLING)
def test_password_in_an_airflow_error_is_in_neither_message_nor_traceback(
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


def test_the_same_hook_works_after_airflow_recovers(monkeypatch: pytest.MonkeyPatch, tallyfy_sandbox: Sandbox) -> None:
    run_id = tallyfy_sandbox.add_run("Onboarding")
    hook = TallyfyHook()

    def get_connection(conn_id: str) -> Any:
        raise OperationalError("SELECT 1", {}, Exception(REFUSED))

    with monkeypatch.context() as patch:
        patch.setattr(TallyfyHook, "get_connection", staticmethod(get_connection))
        refusal(hook)
        assert tallyfy_sandbox.calls == []
    assert hook.archive_run(run_id)["archived_at"]


def test_interruption_of_the_look_up_is_raised_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    class TaskTimeout(BaseException):
        pass

    def get_connection(conn_id: str) -> Any:
        raise TaskTimeout

    monkeypatch.setattr(TallyfyHook, "get_connection", staticmethod(get_connection))
    with pytest.raises(TaskTimeout):
        _ = TallyfyHook().settings
