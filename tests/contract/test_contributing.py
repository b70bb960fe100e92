"""CONTRIBUTING.md keeps its word: its walk-through is carried out on a copy of the package, and its commands exist."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import airflow_provider_tallyfy

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PACKAGE = Path(airflow_provider_tallyfy.__file__).parent
# Path in the checkout, and the code that goes there.
STEPS = [
    (path, code.rstrip() + "\n") for path, code in re.findall(r"```python\n# (\S+\.py)\n(.*?)```", TEXT, re.DOTALL)
]
ROUTES = "airflow_provider_tallyfy/sandbox/routes/runs.py"


def put(code: str, path: Path) -> None:
    """Do what a contributor would: imports to the imports, a method into the class, the rest to the end."""
    if not path.exists():
        path.write_text(code)
        return
    lines = path.read_text().splitlines(keepends=True)
    imports = [line for line in code.splitlines(keepends=True) if line.startswith(("from ", "import "))]
    rest = code.removeprefix("".join(imports)).strip("\n")
    classes = [node for node in ast.parse("".join(lines)).body if isinstance(node, ast.ClassDef)]
    at = (classes[-1].end_lineno or 0) if rest.startswith(" ") else len(lines)
    lines.insert(at, f"\n\n{rest}\n" if rest else "")
    first = lines.index("from __future__ import annotations\n")
    lines[first + 1 : first + 1] = imports
    path.write_text("".join(lines))


def test_the_walk_through_works_as_it_stands(tmp_path: Path) -> None:
    assert [Path(path).name for path, _ in STEPS] == [
        *("runs.py", "kickoff.py", "tallyfy.py", "single_runs.py", "tallyfy.py", "runs.py", "test_hook_kickoff.py")
    ]
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "contract").mkdir(parents=True)
    conftests = (ROOT / "tests" / "conftest.py", ROOT / "tests" / "contract" / "conftest.py")
    for file in (ROOT / "pyproject.toml", *conftests, *(ROOT / "tests" / "contract").glob("_*.py")):
        shutil.copy2(file, tmp_path / file.relative_to(ROOT))
    for path, code in STEPS:
        if path != ROUTES:
            put(code, tmp_path / path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", STEPS[-1][0]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    tests = len(re.findall(r"^def test_", STEPS[-1][1], re.MULTILINE))
    assert tests >= 5
    assert f"{tests} passed" in done.stdout, done.stdout + done.stderr


def test_the_route_is_shown_as_it_is() -> None:
    (shown,) = [code for path, code in STEPS if path == ROUTES]
    assert shown in (PACKAGE / ROUTES.removeprefix("airflow_provider_tallyfy/")).read_text()


def test_every_python_block_belongs_to_a_step() -> None:
    assert TEXT.count("```python") == len(STEPS)


def test_what_is_told_to_be_run_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for document in ("CONTRIBUTING.md", "RELEASING.md"):
        text = (ROOT / document).read_text()
        targets = set(re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"`+[^`]+`+", text))))
        assert targets
        for target in targets:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for link in re.findall(r"\]\((?!http|#)([^)]+)\)", text):
            assert (ROOT / link).exists(), link


def test_every_room_of_the_house_is_there() -> None:
    rooms = set(re.findall(r"`([\w.]+/?)`", " ".join(re.findall(r"^\| (`[^|]*) \|", TEXT, re.MULTILINE))))
    assert len(rooms) >= 8
    for room in rooms:
        assert (PACKAGE / room).exists(), room
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders == {room.rstrip("/") for room in rooms if room.endswith("/")}
