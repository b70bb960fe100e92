"""Runs the tests on every supported Airflow and Python: ``python dev/matrix.py [WORD ...]``.

Each combination of versions is a leg. One leg per Airflow release uses the dependencies of its release date, similar to
an installation with Airflow's constraints. The other legs use the newest versions, as pinned in ``dev/``, with one leg
per Python on this machine. Words select the legs whose names contain one of them: ``3.0``, ``py3.13``.

The legs test the built wheel in a copy of the checkout without the package. In an editable install, a module, a data
file or an entry point that is missing from the wheel would not be noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".matrix"
UV = ROOT / ".venv-uv" / "bin" / "uv"
PACKAGE = "airflow_provider_tallyfy"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TEST_TOOLS = ("pytest", "pytest-timeout", "hypothesis")
LEG_SECONDS = 1200
#: Legs that run every test: the oldest versions and the newest. The rules about Tallyfy's answers do not depend on
#: Airflow, so the other legs only run the tests that involve Airflow or a library.
WHOLE = ("airflow-2.11.0-of-its-day", "-py3.13")
#: Without tests/typing: the types are those of the newest Airflow, and the environments have no type checkers.
EVERY_TEST = ("tests/unit", "tests/contract", "tests/airflow")
AIRFLOW_TESTS = (
    "tests/airflow",
    "tests/contract/test_bulk_operators.py",
    "tests/contract/test_bulk_report_text.py",
    "tests/contract/test_bulk_reports.py",
    "tests/contract/test_bulk_undo.py",
    "tests/contract/test_engines.py",
    "tests/contract/test_hook_reads.py",
    "tests/contract/test_hook_transport.py",
    "tests/contract/test_hook_update.py",
    "tests/contract/test_list_runs_operator.py",
    "tests/contract/test_transport_rules.py",
    "tests/contract/test_transport_secrets.py",
    "tests/unit/test_bulk_arguments.py",
    "tests/unit/test_connection.py",
    "tests/unit/test_connection_lookup.py",
    "tests/unit/test_exceptions.py",
    "tests/unit/test_literals.py",
    "tests/unit/test_registration.py",
    "tests/unit/test_signatures.py",
)


@dataclass(frozen=True)
class Release:
    """An Airflow release.

    :param airflow: its version.
    :param as_of: the dependencies are the versions that the package index had before this day.
    :param pythons: Python versions for it; the first one on this machine is used.
    :param also: more packages to install.
    """

    airflow: str
    as_of: str
    pythons: tuple[str, ...] = ("3.11", "3.12", "3.10")
    also: tuple[str, ...] = ()


RELEASES = (
    Release("2.11.0", "2025-05-25", ("3.10", "3.11", "3.12")),  # the oldest Airflow on the oldest Python
    Release("2.11.2", "2026-03-20"),
    # Airflow 3.0 needs the FAB provider to show connection forms; its official image contains it.
    Release("3.0.6", "2025-09-01", also=("apache-airflow-providers-fab",)),
    Release("3.1.8", "2026-03-20"),
    Release("3.2.2", "2026-06-10"),
    Release("3.3.2", "2026-09-18"),
)


@dataclass(frozen=True)
class Leg:
    """One combination of versions.

    :param name: shown in the output; words on the command line select by it.
    :param requirements: arguments of ``uv pip install``, in addition to this package's own dependencies.
    :param inputs: files that the environment depends on.
    :param python: the interpreter, or ``None`` if this machine has no suitable one.
    :param lacking: in that case, what is missing.
    """

    name: str
    requirements: tuple[str, ...]
    inputs: tuple[Path, ...]
    python: Path | None
    lacking: str = ""


@dataclass
class Outcome:
    """The result of a leg."""

    leg: Leg
    verdict: str = "not run"
    airflow: str = ""
    http: str = ""
    python: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    closing_line: str = ""


def interpreters() -> dict[str, Path]:
    """Return a working CPython for each minor version.

    Checks pyenv's own folder first, because pyenv puts a command for each of its versions on PATH, but only the
    selected ones work.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # Sorted by number, so that the newest patch release comes first.
    kept = sorted((pyenv / "versions").glob("3.*/bin/python3"), key=lambda path: _numbers(path.parts[-3]), reverse=True)
    on_path = [Path(path) for minor in range(10, 20) if (path := shutil.which(f"python3.{minor}"))]
    found: dict[str, Path] = {}
    for candidate in [*kept, *on_path, Path(getattr(sys, "_base_executable", sys.executable))]:
        probe = (
            "import sys, ssl, sqlite3, venv; assert sys.implementation.name == 'cpython';"
            "print('%d.%d' % sys.version_info[:2], getattr(sys, '_base_executable', sys.executable))"
        )
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=True, timeout=30)
            minor_version, executable = answer.stdout.split(maxsplit=1)
            if _numbers(minor_version) >= (3, 10):
                found.setdefault(minor_version, Path(executable.strip()))
    return found


def legs(found: dict[str, Path]) -> list[Leg]:
    """Return all legs, including those that cannot run on this machine."""
    result = []
    for release in RELEASES:
        version = next((version for version in release.pythons if version in found), None)
        result.append(
            Leg(
                f"airflow-{release.airflow}-of-its-day",
                (f"apache-airflow=={release.airflow}", *release.also, "--exclude-newer", release.as_of),
                (),
                found[version] if version else None,
                f"this machine has no Python {' or '.join(release.pythons)}",
            )
        )
    for major, version in (("2", "3.12"), *(("3", version) for version in sorted({*PYTHONS, *found}, key=_numbers))):
        pins = ROOT / "dev" / f"constraints-airflow{major}.txt"
        airflow = next(line.split("==")[1] for line in _pinned(pins, "apache-airflow"))
        result.append(
            Leg(
                f"airflow-{airflow}-newest-py{version}",
                (f"apache-airflow=={airflow}", "--constraint", str(pins)),
                (pins,),
                found.get(version),
                f"this machine has no Python {version}",
            )
        )
    # The long legs first, so that none of them runs alone at the end.
    return sorted(result, key=_is_whole, reverse=True)


def run_leg(leg: Leg, wheel: Path, snapshot: Path) -> Outcome:
    """Install and test one leg, with all output in a separate log file."""
    outcome = Outcome(leg)
    if leg.python is None:
        return outcome
    started = time.monotonic()
    with (WORK / f"{leg.name}.log").open("w") as log:

        def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
            log.write(f"\n$ {' '.join(map(str, command))}\n")
            log.flush()
            subprocess.run(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=cwd, env=env, check=True,
                timeout=LEG_SECONDS,
            )  # fmt: skip

        try:
            environment = _environment(leg, leg.python, requirements_of(wheel), run)
            run(*_pip(environment), "--no-deps", "--reinstall", wheel)
            outcome.airflow, outcome.http, outcome.python = _versions(environment)
            _test(leg, environment, snapshot, run)
            outcome.verdict = "ok"
        except subprocess.TimeoutExpired:
            outcome.verdict = f"still running after {LEG_SECONDS} s"
        except subprocess.CalledProcessError:
            outcome.verdict = "FAILED"
    _read_report(outcome)
    outcome.seconds = time.monotonic() - started
    return outcome


def _environment(leg: Leg, python: Path, requirements: list[str], run: Callable[..., None]) -> Path:
    """Return the leg's virtual environment. It is created again if one of its inputs has changed."""
    folder = WORK / "venvs" / leg.name
    tools = [line for tool in TEST_TOOLS for line in _pinned(ROOT / "dev" / "constraints-airflow3.txt", tool)]
    files = [Path(__file__), *leg.inputs]
    inputs = [folder, python, *requirements, *leg.requirements, *tools, *(file.read_text() for file in files)]
    key = hashlib.sha256(json.dumps(inputs, default=str).encode()).hexdigest()
    stamp = folder / "complete"
    if stamp.exists() and stamp.read_text() == key:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    run(UV, "venv", "--no-project", "--python", python, folder)
    run(*_pip(folder), "--compile-bytecode", *requirements, *leg.requirements)
    # All legs use the newest test tools, so that the same tests run on all. Airflow's dependencies keep their versions.
    installed = folder / "installed.txt"
    frozen = subprocess.run(
        [UV, "pip", "freeze", "--python", folder / "bin" / "python"], capture_output=True, text=True, check=True
    )
    installed.write_text(frozen.stdout)
    run(*_pip(folder), "--compile-bytecode", "--constraint", installed, *tools)
    run(UV, "pip", "check", "--python", folder / "bin" / "python")
    stamp.write_text(key)
    return folder


def _pip(environment: Path) -> tuple[str | Path, ...]:
    return UV, "pip", "install", "--python", environment / "bin" / "python"


def _test(leg: Leg, environment: Path, snapshot: Path, run: Callable[..., None]) -> None:
    """Run the tests in a copy of the checkout without the package."""
    folder = WORK / "tests" / leg.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(snapshot, folder, ignore=shutil.ignore_patterns(PACKAGE))
    if (ROOT / ".venv-sdk").exists():
        (folder / ".venv-sdk").symlink_to(ROOT / ".venv-sdk")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_ADDOPTS", "PYTHON"))},
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(environment),
        "PYTEST_TIMEOUT": os.environ.get("PYTEST_TIMEOUT", "120"),
        # The copy is used for one run only, so compiled modules in it are useless.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    report = WORK / f"{leg.name}.xml"
    report.unlink(missing_ok=True)
    pytest = environment / "bin" / "pytest"
    tests = EVERY_TEST if _is_whole(leg) else AIRFLOW_TESTS
    run(pytest, "-p", "no:cacheprovider", "--color=no", f"--junitxml={report}", *tests, cwd=folder, env=env)


def _is_whole(leg: Leg) -> bool:
    return leg.name.startswith(WHOLE[0]) or leg.name.endswith(WHOLE[1])


def _versions(environment: Path) -> tuple[str, str, str]:
    script = (
        "import sys, importlib.metadata as m; print(m.version('apache-airflow'),"
        "m.version('apache-airflow-providers-http'), '.'.join(map(str, sys.version_info[:3])))"
    )
    command: list[str | Path] = [environment / "bin" / "python", "-c", script]
    airflow, http, python = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return airflow, http, python


def _read_report(outcome: Outcome) -> None:
    """Read the counts from pytest's report, if there is one."""
    log = (WORK / f"{outcome.leg.name}.log").read_text(errors="replace").splitlines()
    outcome.closing_line = next((line for line in reversed(log) if re.match(r"=+ .* in [\d.]+s", line)), "")
    with contextlib.suppress(FileNotFoundError, ElementTree.ParseError):
        suite = ElementTree.parse(WORK / f"{outcome.leg.name}.xml").getroot().find("testsuite")
        assert suite is not None
        total, failures, errors, skipped = (
            int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
        )
        outcome.failed, outcome.skipped = failures + errors, skipped
        outcome.passed = total - outcome.failed - skipped


def snapshot_of_checkout() -> Path:
    """Copy all files that git tracks or does not ignore, so that edits during the run have no effect."""
    folder = WORK / "snapshot"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def build_wheel(snapshot: Path) -> Path:
    """Build the wheel for all legs."""
    folder = WORK / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, snapshot], check=True)
    return next(folder.glob("*.whl"))


def requirements_of(wheel: Path) -> list[str]:
    """Return the requirements in the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return sorted(message_from_bytes(archive.read(metadata)).get_all("Requires-Dist", []))


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a table with one line per outcome."""
    head = ("leg", "verdict", "airflow", "http", "python", "passed", "failed", "skipped", "seconds")
    rows: list[tuple[str, ...]] = [head]
    for one in outcomes:
        if one.leg.python is None:
            rows.append((one.leg.name, f"not run: {one.leg.lacking}", *[""] * 7))
        else:
            counts = (str(one.passed), str(one.failed), str(one.skipped), f"{one.seconds:.0f}")
            rows.append((one.leg.name, one.verdict, one.airflow, one.http, one.python, *counts))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        # Text is aligned left, numbers right.
        lines.append(
            "  ".join(f"{cell:{'<' if column < 5 else '>'}{width}}" for column, (cell, width) in enumerate(cells))
        )
    return "\n".join(line.rstrip() for line in lines)


def _pinned(pins: Path, package: str) -> list[str]:
    """Return the lines for one package in a constraints file: one, or one per Python version."""
    return [line for line in pins.read_text().splitlines() if re.match(rf"{re.escape(package)}==", line)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other matrix runs in this checkout, because both would use the same environments."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Run the selected legs and print the results."""
    parser = argparse.ArgumentParser(description="Run the tests on every supported Airflow and Python.")
    parser.add_argument("words", nargs="*", help="run only the legs whose names contain one of these words")
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="how many legs run at the same time (default: %(default)s)",
    )
    parser.add_argument("--list", action="store_true", help="list the legs and stop")
    arguments = parser.parse_args()

    chosen = [
        leg for leg in legs(interpreters()) if not arguments.words or any(word in leg.name for word in arguments.words)
    ]
    if arguments.list:
        print("\n".join(leg.name if leg.python else f"{leg.name}  (cannot run: {leg.lacking})" for leg in chosen))
        return 0
    if not any(leg.python for leg in chosen):
        print("No leg with such a name can run on this machine. --list lists all legs.", file=sys.stderr)
        return 2

    with _alone():
        snapshot = snapshot_of_checkout()
        wheel = build_wheel(snapshot)
        outcomes = []
        with ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
            for outcome in pool.map(lambda leg: run_leg(leg, wheel, snapshot), chosen):
                outcomes.append(outcome)
                _report(outcome)

    print(f"\n{table(outcomes)}\n")
    failed = [outcome.leg.name for outcome in outcomes if outcome.leg.python and outcome.verdict != "ok"]
    print(f"{sum(one.passed for one in outcomes)} passed, {sum(one.failed for one in outcomes)} failed")
    if failed:
        print(f"Failed: {', '.join(failed)}. Their logs are in {WORK.name}/.")
    return 1 if failed else 0


def _report(outcome: Outcome) -> None:
    """Print the result of a leg, and the end of its log if it failed."""
    if outcome.leg.python is None:
        print(f"{outcome.leg.name}: not run, {outcome.leg.lacking}", flush=True)
        return
    print(f"{outcome.leg.name}: {outcome.verdict} {outcome.closing_line.strip('= ')}", flush=True)
    if outcome.verdict != "ok":
        log = (WORK / f"{outcome.leg.name}.log").read_text(errors="replace").splitlines()
        print("\n".join(f"    {line}" for line in log[-60:]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
