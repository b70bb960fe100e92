"""Common to all tests: their own AIRFLOW_HOME, and no access to the internet.

The environment is set when this file is loaded, not in a fixture, because Airflow reads its home at the first import.
Without AIRFLOW_HOME that would be the home of the developer.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

# The fixture tallyfy_sandbox, loaded as the README tells users.
pytest_plugins = ["airflow_provider_tallyfy.sandbox.pytest_plugin"]

_HOME = Path(tempfile.mkdtemp(prefix="airflow-provider-tallyfy-tests-"))
_DAGS_FOLDER = _HOME / "dags"

#: Settings of the developer's shell that would change the tests, or let them act on a real account.
_UNWANTED = ("AIRFLOW", "TALLYFY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "PYTHONWARNINGS")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

_ENVIRONMENT = {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(_DAGS_FOLDER),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    # 2.11 would add about fifty example connections to the database.
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    # 3.x warns at each request if it is short or missing.
    "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-only-" + "0123456789abcdef" * 4,
}


def _set_environment() -> None:
    for name in list(os.environ):
        if name.startswith(_UNWANTED) or name.lower() in _PROXIES:
            del os.environ[name]
    os.environ.update(_ENVIRONMENT)
    _DAGS_FOLDER.mkdir()


_set_environment()

# Time limits per example measure the load of the machine more than the code.
hypothesis_settings.register_profile("tests", deadline=None)
hypothesis_settings.load_profile("tests")


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The AIRFLOW_HOME of this test session, with a migrated SQLite database."""
    # In a separate process, because Alembic resets the logging of its process.
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "airflow", "db", "migrate"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, f"airflow db migrate failed:\n{outcome.stdout}\n{outcome.stderr}"
    return _HOME


@pytest.fixture(scope="session")
def dags_folder(airflow_home: Path) -> Path:
    """The DAGs folder. Airflow 3 runs a DAG only if its file is there, also with ``dag.test()``."""
    return _DAGS_FOLDER


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Make a test fail if it tries to reach another machine."""
    patch = pytest.MonkeyPatch()
    for method in ("connect", "connect_ex"):
        patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
    yield
    patch.undo()


def _guarded(connect: Any) -> Any:
    def guarded_connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise RuntimeError(f"a test tried to reach {address[0]}; tests may use only loopback addresses")
        return connect(self, address)

    return guarded_connect


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
