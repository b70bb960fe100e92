"""Builds sdist and wheel into ``dist/``, and checks what is in them: ``python dev/dist.py``.

The wheel is built from the sdist, so the sdist is known to be whole. Whatever is in them must be in the checkout, and
what the package has in the checkout must be in them: a data file that a build leaves out, and a demo's leftover that
it takes in, both pass unseen until somebody installs.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
NAME, PACKAGE = "airflow-provider-tallyfy", "airflow_provider_tallyfy"

#: What users would miss, by name: the comparison with the checkout says nothing about a file that is in neither.
WHEEL_NEEDS = (
    f"{PACKAGE}/__init__.py",
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/get_provider_info.py",
    f"{PACKAGE}/sandbox/pages/page.css",
    f"{PACKAGE}/sandbox/pages/page.js",
)
SDIST_NEEDS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "LICENSE", "Makefile", "pyproject.toml")
#: Folders that the sdist holds whole, so that whoever packages it further can run the tests.
SDIST_FOLDERS = (PACKAGE, ".ci", "benchmarks", "dev", "docs", "example_dags", "tests")
INFO_FILES = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


class Wrong(Exception):
    """Something about a build is not as it should be."""


def check(holds: object, message: str) -> None:
    """Stop unless it holds."""
    if not holds:
        raise Wrong(message)


def version() -> str:
    """The version that the checkout says it has."""
    found = re.search(r'^__version__ = "([^"]+)"$', (ROOT / PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise Wrong(f"{PACKAGE}/__init__.py names no __version__")
    return found[1]


def checkout_files(*folders: str) -> set[str]:
    """The files that git has, or would have, below folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def same(kind: str, found: set[str], wanted: set[str]) -> None:
    """Stop unless two sets of files are the same."""
    check(not wanted - found, f"the {kind} lacks {', '.join(sorted(wanted - found))}")
    check(not found - wanted, f"the {kind} has what nobody asked for: {', '.join(sorted(found - wanted))}")


def check_wheel(wheel: Path) -> int:
    """Check a wheel; return how many files it has."""
    check(wheel.name == f"{PACKAGE}-{version()}-py3-none-any.whl", f"the wheel is called {wheel.name}")
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    check(len(files) == len(zipfile.ZipFile(wheel).namelist()), "a name is twice in the wheel")
    info = f"{PACKAGE}-{version()}.dist-info"
    same("wheel", set(files), checkout_files(PACKAGE) | {f"{info}/{name}" for name in INFO_FILES})
    same_content("wheel", {name: data for name, data in files.items() if name.startswith(f"{PACKAGE}/")})
    check(not set(WHEEL_NEEDS) - set(files), f"the wheel lacks {', '.join(sorted(set(WHEEL_NEEDS) - set(files)))}")
    check(files[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes(), "the wheel's licence is another one")

    entries = configparser.ConfigParser()
    entries.read_string(files[f"{info}/entry_points.txt"].decode())
    wanted = {"apache_airflow_provider": {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"}}
    check({name: dict(entries[name]) for name in entries.sections()} == wanted, "the wheel's entry points are others")

    for path, digest, size in csv.reader(files[f"{info}/RECORD"].decode().splitlines()):
        if path != f"{info}/RECORD":
            actual = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=").decode()
            check((digest, size) == (f"sha256={actual}", str(len(files[path]))), f"RECORD is wrong about {path}")
    check_metadata(message_from_bytes(files[f"{info}/METADATA"]))
    return len(files)


def check_metadata(metadata: Message) -> None:
    """Check what the index shows about the package, and what installers do with it."""
    for key, value in (
        ("Name", NAME),
        ("Version", version()),
        ("Requires-Python", ">=3.10"),
        ("License-Expression", "Apache-2.0"),
        ("Description-Content-Type", "text/markdown"),
    ):
        check(metadata[key] == value, f"METADATA: {key} is {metadata[key]!r}, not {value!r}")
    needs = metadata.get_all("Requires-Dist", [])
    check(len(needs) >= 4, f"METADATA: needs only {needs}")
    # An upper bound in a provider makes an Airflow that its user has chosen uninstallable.
    check(not re.search(r"<|~=|==", " ".join(needs)), f"METADATA: there is an upper bound in {needs}")
    check("Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", []), "METADATA: no provider")
    description = str(metadata.get_payload())
    check(len(description) > 2000, "METADATA: the description is too short to be the README")
    # The index has no files beside the description: what leads somewhere in a checkout leads nowhere there.
    relative = re.findall(r"\]\((?!https?://|#)([^)]+)\)", description)
    check(not relative, f"METADATA: links of the description lead nowhere on the index: {', '.join(relative)}")


def check_sdist(sdist: Path) -> int:
    """Check an sdist; return how many files it has."""
    top = f"{PACKAGE}-{version()}"
    check(sdist.name == f"{top}.tar.gz", f"the sdist is called {sdist.name}")
    files: dict[str, bytes] = {}
    with tarfile.open(sdist) as archive:
        for member in archive:
            check(member.isfile() and member.name.startswith(f"{top}/"), f"the sdist has {member.name}")
            content = archive.extractfile(member)
            assert content is not None
            files[member.name.removeprefix(f"{top}/")] = content.read()
    check(not set(SDIST_NEEDS) - set(files), f"the sdist lacks {', '.join(sorted(set(SDIST_NEEDS) - set(files)))}")
    # The build adds PKG-INFO, and .gitignore, by which it knows what not to take.
    wanted = checkout_files(*SDIST_FOLDERS, *SDIST_NEEDS)
    same("sdist", set(files) - {"PKG-INFO", ".gitignore"}, wanted)
    for folder in SDIST_FOLDERS:
        check(any(name.startswith(f"{folder}/") for name in files), f"the sdist has nothing of {folder}/")
    same_content("sdist", {name: files[name] for name in wanted})
    check_metadata(message_from_bytes(files["PKG-INFO"]))
    return len(files)


def same_content(kind: str, files: dict[str, bytes]) -> None:
    """Stop unless files are what they are in the checkout, and hold nothing of the place where they were built."""
    for name, data in files.items():
        check(data == (ROOT / name).read_bytes(), f"{name} is another in the {kind} than in the checkout")
        check(str(ROOT).encode() not in data, f"{name} in the {kind} names the folder that it was built in")


def build() -> tuple[Path, Path]:
    """Build both; return sdist and wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise Wrong(f"the build failed:\n{built.stdout}{built.stderr}")
    names = sorted(path.name for path in DIST.iterdir())
    check(len(names) == 2, f"dist/ holds {names}")
    return next(DIST.glob("*.tar.gz")), next(DIST.glob("*.whl"))


def main() -> int:
    """Build, check, and say what there is."""
    started = time.monotonic()
    try:
        sdist, wheel = build()
        counts = {sdist: check_sdist(sdist), wheel: check_wheel(wheel)}
        twine = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
        checked = subprocess.run(twine, capture_output=True, text=True, check=False)
        check(checked.returncode == 0, f"twine check says:\n{checked.stdout}{checked.stderr}")
    except Wrong as wrong:
        print(f"dist: {wrong}", file=sys.stderr)
        return 1
    for path, count in counts.items():
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} kB, {count} files")
    print(f"Built and checked in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
