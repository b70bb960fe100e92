"""What mypy and pyright, and therefore editors, report about DAG files that use this provider.

``samples/right.py`` contains correct code, ``samples/wrong.py`` mistakes, each with a word of the expected error. Not
part of the matrix, because the types are those of the newest Airflow.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_tallyfy.operators import tallyfy as operators

REPOSITORY = Path(__file__).parents[2]
SAMPLES = Path(__file__).with_name("samples")
RIGHT, WRONG = SAMPLES / "right.py", SAMPLES / "wrong.py"

#: File, line, message (for pyright, its first line). Both write "error" after the position.
_COMPLAINT = re.compile(r"^\s*(\S+\.py):(\d+):.*?\berror: (.*)$", re.MULTILINE)


def _mypy(folder: Path) -> list[str | Path]:
    # With a separate cache, because `make lint` has other settings and would invalidate it.
    cache = REPOSITORY / ".mypy_cache" / "of_users"
    settings = ("--config-file=", "--strict", "--python-version=3.10", "--no-pretty", f"--cache-dir={cache}")
    return [sys.executable, "-m", "mypy", *settings, RIGHT, WRONG]


def _pyright(folder: Path) -> list[str | Path]:
    program = REPOSITORY / ".venv-types" / "bin" / "basedpyright"
    if not program.exists():
        pytest.fail(f"{program} is not there. Run `make test`, which installs it.")
    # The default of editors; basedpyright's own default is stricter.
    settings = {"include": [str(SAMPLES)], "typeCheckingMode": "standard", "pythonVersion": "3.10"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return [program, "--project", folder, "--pythonpath", sys.executable]


@pytest.mark.parametrize("checker", [_mypy, _pyright])
def test_right_uses_pass_and_each_mistake_is_reported_at_its_line(
    checker: Callable[[Path], list[str | Path]], tmp_path: Path
) -> None:
    # Outside the repository, so that the package is found as an installed, typed package.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MYPY"))}
    done = subprocess.run(
        checker(tmp_path), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    told = {
        (Path(file).name, int(line)): message for file, line, message in _COMPLAINT.findall(done.stdout + done.stderr)
    }
    expected = {
        (WRONG.name, number): mistake[1]
        for number, line in enumerate(WRONG.read_text().splitlines(), 1)
        if (mistake := re.search(r"# error: (.+)$", line))
    }
    assert expected
    assert set(told) == set(expected), done.stdout + done.stderr
    assert {place: words for place, words in expected.items() if words not in told[place]} == {}, done.stdout


def test_right_uses_are_a_dag_file_that_airflow_takes() -> None:
    runpy.run_path(str(RIGHT))


@pytest.mark.parametrize("sample", [RIGHT, WRONG], ids=lambda path: path.name)
def test_every_operator_is_among_the_samples(sample: Path) -> None:
    used = set(re.findall(r"\b(Tallyfy\w+Operator)\b[.(]", sample.read_text()))
    assert used == set(operators.__all__)
