"""CONTRIBUTING.md is correct: its example works on a copy of the package, and the files and commands it names exist."""

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
OPERATORS = "airflow_provider_tallyfy/operators/tallyfy.py"


def put(code: str, path: Path) -> None:
    """Put imports with the imports, a method at the end of the class, and everything else at the end of the file."""
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


def name_operator(path: Path, operator: str, module: str, neighbour: str) -> None:
    """Name an operator and its module wherever the file names its neighbour, which is in ``delete_run.py``."""
    lines = path.read_text().splitlines(keepends=True)
    assert any(neighbour in line for line in lines)
    new = [line.replace(neighbour, operator).replace("delete_run", module) for line in lines]
    path.write_text("".join(line if line == copy else line + copy for line, copy in zip(lines, new, strict=True)))


def test_the_example_works_as_it_is_written(tmp_path: Path) -> None:
    assert [Path(path).name for path, _ in STEPS] == [
        *("runs.py", "tallyfy.py", "report_issue.py", "runs.py", "test_report_issue.py")
    ]
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("contract", "unit"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
    conftests = (ROOT / "tests" / "conftest.py", ROOT / "tests" / "contract" / "conftest.py")
    # This one checks the signature and the docstring of every operator and of every hook method.
    signatures = ROOT / "tests" / "unit" / "test_signatures.py"
    helpers = (ROOT / "tests" / "contract").glob("_*.py")
    for file in (ROOT / "pyproject.toml", *conftests, signatures, *helpers):
        shutil.copy2(file, tmp_path / file.relative_to(ROOT))
    for path, code in STEPS:
        if path != ROUTES:
            put(code, tmp_path / path)
    ((operator, neighbour),) = re.findall(
        r"^class (\w+Operator)\b.*?wherever that file names\s`(\w+)`", TEXT, re.M | re.S
    )
    name_operator(tmp_path / OPERATORS, operator, Path(STEPS[2][0]).stem, neighbour)
    command = [sys.executable, "-m", "pytest", "-rp", "-p", "no:cacheprovider", "--color=no", STEPS[-1][0]]
    command.append(str(signatures.relative_to(ROOT)))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = re.findall(r"^def (test_\w+)", STEPS[-1][1], re.MULTILINE)
    assert len(tests) >= 3
    assert [name for name in tests if f"::{name}" not in done.stdout] == []


def test_the_route_is_shown_as_it_is() -> None:
    (shown,) = [code for path, code in STEPS if path == ROUTES]
    assert shown in (PACKAGE / ROUTES.removeprefix("airflow_provider_tallyfy/")).read_text()


def test_every_python_block_belongs_to_a_step() -> None:
    assert TEXT.count("```python") == len(STEPS)


def test_commands_and_links_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for document in ("CONTRIBUTING.md", "RELEASING.md"):
        text = (ROOT / document).read_text()
        targets = set(re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"`+[^`]+`+", text))))
        assert targets
        for target in targets:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for link in re.findall(r"\]\((?!http|#)([^)]+)\)", text):
            assert (ROOT / link).exists(), link


def test_every_named_file_exists() -> None:
    files = set(re.findall(r"`((?:api|client|operators)/[\w/]+\.py)`", TEXT))
    assert len(files) >= 15
    assert [file for file in sorted(files) if not (PACKAGE / file).exists()] == []


def test_the_table_of_folders_is_complete() -> None:
    rooms = set(re.findall(r"`([\w.]+/?)`", " ".join(re.findall(r"^\| (`[^|]*) \|", TEXT, re.MULTILINE))))
    assert len(rooms) >= 8
    for room in rooms:
        assert (PACKAGE / room).exists(), room
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders == {room.rstrip("/") for room in rooms if room.endswith("/")}
