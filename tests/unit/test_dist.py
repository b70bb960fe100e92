"""The check of sdist and wheel finds what is wrong with them."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import dist

Files = dict[str, bytes]
INFO = "airflow_provider_tallyfy-1.2.3.dist-info"
#: A file in each folder that the sdist holds; the package's are in WHEEL_NEEDS.
FOLDERS = [f"{folder}/one.py" for folder in dist.SDIST_FOLDERS if folder != dist.PACKAGE]
METADATA = "\n".join(
    [
        "Metadata-Version: 2.4",
        "Name: airflow-provider-tallyfy",
        "Version: 1.2.3",
        "License-Expression: Apache-2.0",
        "Classifier: Framework :: Apache Airflow :: Provider",
        "Requires-Python: >=3.10",
        *(
            f"Requires-Dist: {name}>=1"
            for name in ("apache-airflow", "apache-airflow-providers-http", "requests", "aiohttp")
        ),
        "Description-Content-Type: text/markdown",
        "",
        "See [the changelog](https://example.com/changelog) and [below](#below). " * 40,
    ]
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout that has everything."""
    root = tmp_path / "checkout"
    for name in [*dist.WHEEL_NEEDS, *dist.SDIST_NEEDS, *FOLDERS]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"This is {name}.\n")
    (root / dist.WHEEL_NEEDS[0]).write_text('__version__ = "1.2.3"\n')
    (root / ".gitignore").write_text("*.pyc\n")
    (root / "tests" / "left.pyc").write_text("compiled")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    monkeypatch.setattr(dist, "ROOT", root)
    return root


def wheel_files(root: Path) -> Files:
    files = {name: (root / name).read_bytes() for name in dist.WHEEL_NEEDS}
    files[f"{INFO}/METADATA"] = METADATA.encode()
    files[f"{INFO}/WHEEL"] = b"Wheel-Version: 1.0\n"
    files[f"{INFO}/licenses/LICENSE"] = (root / "LICENSE").read_bytes()
    entry = "provider_info = airflow_provider_tallyfy.get_provider_info:get_provider_info"
    files[f"{INFO}/entry_points.txt"] = f"[apache_airflow_provider]\n{entry}\n".encode()
    return files


def write_wheel(root: Path, files: Files, record: Files | None = None) -> Path:
    lines = [f"{INFO}/RECORD,,"]
    for name, data in (record or files).items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}")
    path = root.parent / "airflow_provider_tallyfy-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{INFO}/RECORD", "\n".join(lines))
    return path


def sdist_files(root: Path) -> Files:
    names = [*dist.WHEEL_NEEDS, *dist.SDIST_NEEDS, *FOLDERS, ".gitignore"]
    return {**{name: (root / name).read_bytes() for name in names}, "PKG-INFO": METADATA.encode()}


def write_sdist(root: Path, files: Files) -> Path:
    path = root.parent / "airflow_provider_tallyfy-1.2.3.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"airflow_provider_tallyfy-1.2.3/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_both_as_they_should_be(checkout: Path) -> None:
    files = wheel_files(checkout)
    assert dist.check_wheel(write_wheel(checkout, files)) == len(files) + 1
    assert dist.check_sdist(write_sdist(checkout, sdist_files(checkout))) == len(sdist_files(checkout))


def replaced(name: str, old: str, new: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old.encode() in files[name]
        files[name] = files[name].replace(old.encode(), new.encode())

    return change


def without(name: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        del files[name]

    return change


def added(name: str, data: bytes = b"x") -> Callable[[Files], None]:
    return lambda files: files.update({name: data})


WRONG_WHEELS = [
    (without("airflow_provider_tallyfy/py.typed"), "lacks airflow_provider_tallyfy/py.typed"),
    (without("airflow_provider_tallyfy/sandbox/pages/page.css"), "lacks .*page.css"),
    (without(f"{INFO}/licenses/LICENSE"), "lacks .*LICENSE"),
    (without(f"{INFO}/entry_points.txt"), "lacks .*entry_points"),
    (added("tests/one.py"), "nobody asked for: tests/one.py"),
    (added("airflow_provider_tallyfy/notes.txt"), "nobody asked for: .*notes.txt"),
    (added("airflow_provider_tallyfy/py.typed"), "py.typed is another"),
    (added(f"{INFO}/licenses/LICENSE"), "licence is another"),
    (replaced(f"{INFO}/entry_points.txt", "get_provider_info\n", "info\n"), "entry points are others"),
    (replaced(f"{INFO}/METADATA", "Version: 1.2.3", "Version: 1.2.4"), "Version is '1.2.4'"),
    (replaced(f"{INFO}/METADATA", ">=3.10", ">=3.9"), "Requires-Python"),
    (replaced(f"{INFO}/METADATA", "aiohttp>=1", "aiohttp>=1,<4"), "upper bound"),
    (replaced(f"{INFO}/METADATA", "apache-airflow>=1", "apache-airflow~=3.0"), "upper bound"),
    (
        replaced(f"{INFO}/METADATA", "https://example.com/changelog", "CHANGELOG.md"),
        "nowhere on the index: CHANGELOG.md",
    ),
    (replaced(f"{INFO}/METADATA", "Framework :: Apache Airflow :: Provider", "Topic :: Office"), "no provider"),
]


@pytest.mark.parametrize(("spoil", "words"), WRONG_WHEELS)
def test_a_wheel_that_is_wrong(checkout: Path, spoil: Callable[[Files], None], words: str) -> None:
    files = wheel_files(checkout)
    spoil(files)
    with pytest.raises(dist.Wrong, match=words):
        dist.check_wheel(write_wheel(checkout, files))


def test_a_record_that_is_wrong(checkout: Path) -> None:
    files = wheel_files(checkout)
    with pytest.raises(dist.Wrong, match=r"RECORD is wrong about .*/WHEEL"):
        dist.check_wheel(write_wheel(checkout, files, {**files, f"{INFO}/WHEEL": b"another"}))


def test_a_file_that_names_the_folder_it_was_built_in(checkout: Path) -> None:
    (checkout / "airflow_provider_tallyfy" / "py.typed").write_text(f"built in {checkout}")
    with pytest.raises(dist.Wrong, match="names the folder"):
        dist.check_wheel(write_wheel(checkout, wheel_files(checkout)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without("tests/one.py"), "lacks tests/one.py"),
        (without("CHANGELOG.md"), "lacks CHANGELOG.md"),
        (without("example_dags/one.py"), "lacks example_dags/one.py"),
        (added("tests/left.pyc"), "nobody asked for: tests/left.pyc"),
        (added(".venv/secret"), "nobody asked for: .venv/secret"),
        (added("README.md"), "README.md is another"),
        (replaced("PKG-INFO", "Name: airflow-provider-tallyfy", "Name: other"), "Name is 'other'"),
    ],
)
def test_an_sdist_that_is_wrong(checkout: Path, spoil: Callable[[Files], None], words: str) -> None:
    files = sdist_files(checkout)
    spoil(files)
    with pytest.raises(dist.Wrong, match=words):
        dist.check_sdist(write_sdist(checkout, files))


def test_a_wheel_of_another_version(checkout: Path) -> None:
    wheel = write_wheel(checkout, wheel_files(checkout))
    (checkout / dist.WHEEL_NEEDS[0]).write_text('__version__ = "1.2.4"\n')
    with pytest.raises(dist.Wrong, match="the wheel is called"):
        dist.check_wheel(wheel)
