"""The hook raises only ``TallyfyError``, for all arguments and all responses.

``make soak`` makes many more calls.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.contract._fuzzing import Fuzz
from tests.contract._public_surface import connection_cases, hook_cases, hook_members


@pytest.fixture
def fuzz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fuzz:
    return Fuzz.below(tmp_path, monkeypatch)


def test_members_are_found() -> None:
    found = {member.name: member for member in hook_members()}
    assert found.keys() >= {
        "archive_run",
        "update_run",
        "bulk_change",
        "iter_runs",
        "request",
        "run",
        "organization_id",
    }
    assert found["organization_id"].is_property
    assert "nmae" in found["update_run"].keywords
    assert not [name for name in found if not hasattr(TallyfyHook, name)]


def test_methods_raise_only_tallyfy_errors(fuzz: Fuzz) -> None:
    fuzz.run(hook_cases(hook_members()), 1200)
    assert fuzz.calls >= 1200


def test_bad_connections_raise_only_tallyfy_errors(fuzz: Fuzz) -> None:
    fuzz.run(connection_cases(hook_members()), 300)
    assert fuzz.calls >= 300
