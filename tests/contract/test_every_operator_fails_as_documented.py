"""An operator raises only ``TallyfyError`` or a skip, for all arguments and all responses.

``make soak`` makes many more calls.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract._fuzzing import Fuzz
from tests.contract._public_surface import operator_cases, operator_members


@pytest.fixture
def fuzz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fuzz:
    return Fuzz.below(tmp_path, monkeypatch)


def test_operators_are_found_with_their_arguments() -> None:
    found = {member.name: member for member in operator_members()}
    assert "run_id" in found["TallyfyArchiveRunOperator"].required
    assert {"name", "add_tags", "if_already"} <= set(found["TallyfyUpdateRunOperator"].optional)
    assert {"run_ids", "from_report", "concurrency"} <= set(found["TallyfyBulkUpdateRunsOperator"].optional)


def test_operators_raise_only_tallyfy_errors_and_skips(fuzz: Fuzz) -> None:
    fuzz.run(operator_cases(operator_members()), 700)
    assert fuzz.calls >= 700
