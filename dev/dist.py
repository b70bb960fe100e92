"""Builds sdist and wheel into ``dist/``, and checks their contents: ``python dev/dist.py``.

The wheel is built from the sdist, which shows that the sdist is complete. Both must contain exactly the package's files
in the checkout. Otherwise, a missing data file or a temporary file of the demo would only be found by users.
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

#: Files that users need. The comparison with the checkout does not find a file that is missing from both.
WHEEL_NEEDS = (
    f"{PACKAGE}/__init__.py",
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/get_provider_info.py",
    f"{PACKAGE}/sandbox/pages/page.css",
    f"{PACKAGE}/sandbox/pages/page.js",
)
SDIST_NEEDS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "LICENSE", "Makefile", "pyproject.toml")
#: Folders that are complete in the sdist, so that distributors can run the tests.
SDIST_FOLDERS = (PACKAGE, ".ci", "benchmarks", "dev", "docs", "example_dags", "tests")
INFO_FILES = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


class Wrong(Exception):
    """Something is wrong with a build."""


def check(holds: object, message: str) -> None:
    """Raise :class:`Wrong` with the message, unless ``holds`` is true."""
    if not holds:
        raise Wrong(message)


def version() -> str:
    """The version in the checkout."""
    found = re.search(r'^__version__ = "([^"]+)"$', (ROOT / PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise Wrong(f"{PACKAGE}/__init__.py has no __version__")
    return found[1]


def checkout_files(*folders: str) -> set[str]:
    """The files in these folders that git tracks or does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def same(kind: str, found: set[str], wanted: set[str]) -> None:
    """Raise unless the two sets of file names are equal."""
    check(not wanted - found, f"the {kind} lacks {', '.join(sorted(wanted - found))}")
    check(not found - wanted, f"the {kind} has unexpected files: {', '.join(sorted(found - wanted))}")


def check_wheel(wheel: Path) -> int:
    """Check a wheel, and return the number of its files."""
    check(wheel.name == f"{PACKAGE}-{version()}-py3-none-any.whl", f"the wheel is called {wheel.name}")
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    check(len(files) == len(zipfile.ZipFile(wheel).namelist()), "the wheel has two files with the same name")
    info = f"{PACKAGE}-{version()}.dist-info"
    same("wheel", set(files), checkout_files(PACKAGE) | {f"{info}/{name}" for name in INFO_FILES})
    same_content("wheel", {name: data for name, data in files.items() if name.startswith(f"{PACKAGE}/")})
    check(not set(WHEEL_NEEDS) - set(files), f"the wheel lacks {', '.join(sorted(set(WHEEL_NEEDS) - set(files)))}")
    check(
        files[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes(),
        "the license in the wheel differs from LICENSE",
    )

    entries = configparser.ConfigParser()
    entries.read_string(files[f"{info}/entry_points.txt"].decode())
    wanted = {"apache_airflow_provider": {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"}}
    check({name: dict(entries[name]) for name in entries.sections()} == wanted, "the wheel has wrong entry points")

    for path, digest, size in csv.reader(files[f"{info}/RECORD"].decode().splitlines()):
        if path != f"{info}/RECORD":
            actual = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=").decode()
            check((digest, size) == (f"sha256={actual}", str(len(files[path]))), f"RECORD has a wrong entry for {path}")
    check_metadata(message_from_bytes(files[f"{info}/METADATA"]))
    return len(files)


def check_metadata(metadata: Message) -> None:
    """Check the metadata that the package index shows and that installers use."""
    for key, value in (
        ("Name", NAME),
        ("Version", version()),
        ("Requires-Python", ">=3.10"),
        ("License-Expression", "Apache-2.0"),
        ("Description-Content-Type", "text/markdown"),
    ):
        check(metadata[key] == value, f"METADATA: {key} is {metadata[key]!r}, not {value!r}")
    needs = metadata.get_all("Requires-Dist", [])
    check(len(needs) >= 4, f"METADATA: too few requirements: {needs}")
    # With an upper bound, users could not install the provider beside the Airflow version of their choice.
    check(not re.search(r"<|~=|==", " ".join(needs)), f"METADATA: a requirement has an upper bound: {needs}")
    check(
        "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", []),
        "METADATA: the classifier of Airflow providers is missing",
    )
    description = str(metadata.get_payload())
    check(len(description) > 2000, "METADATA: the description is shorter than the README")
    # The index has only the description, so relative links would be broken there.
    relative = re.findall(r"\]\((?!https?://|#)([^)]+)\)", description)
    check(
        not relative,
        f"METADATA: the description has relative links, which are broken on the index: {', '.join(relative)}",
    )


def check_sdist(sdist: Path) -> int:
    """Check an sdist, and return the number of its files."""
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
    # The build adds PKG-INFO, and .gitignore, which it uses to exclude files.
    wanted = checkout_files(*SDIST_FOLDERS, *SDIST_NEEDS)
    same("sdist", set(files) - {"PKG-INFO", ".gitignore"}, wanted)
    for folder in SDIST_FOLDERS:
        check(any(name.startswith(f"{folder}/") for name in files), f"the sdist has no files from {folder}/")
    same_content("sdist", {name: files[name] for name in wanted})
    check_metadata(message_from_bytes(files["PKG-INFO"]))
    return len(files)


def same_content(kind: str, files: dict[str, bytes]) -> None:
    """Raise if a file differs from the checkout, or contains the path of the checkout."""
    for name, data in files.items():
        check(data == (ROOT / name).read_bytes(), f"{name} in the {kind} differs from the checkout")
        check(str(ROOT).encode() not in data, f"{name} in the {kind} contains the path of the checkout")


def build() -> tuple[Path, Path]:
    """Build both, and return the sdist and the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(DIST), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise Wrong(f"the build failed:\n{built.stdout}{built.stderr}")
    names = sorted(path.name for path in DIST.iterdir())
    check(len(names) == 2, f"dist/ contains {names}, not one sdist and one wheel")
    return next(DIST.glob("*.tar.gz")), next(DIST.glob("*.whl"))


def main() -> int:
    """Build and check both, and print their sizes."""
    started = time.monotonic()
    try:
        sdist, wheel = build()
        counts = {sdist: check_sdist(sdist), wheel: check_wheel(wheel)}
        twine = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
        checked = subprocess.run(twine, capture_output=True, text=True, check=False)
        check(checked.returncode == 0, f"twine check failed:\n{checked.stdout}{checked.stderr}")
    except Wrong as wrong:
        print(f"dist: {wrong}", file=sys.stderr)
        return 1
    for path, count in counts.items():
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} kB, {count} files")
    print(f"Built and checked in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
