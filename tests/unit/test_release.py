"""``make release`` does all or nothing: tried in a small repository whose checks are told how to end."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import release

ROOT = Path(__file__).parents[2]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n* Something new.\n\n## [0.1.0] - 2026-01-31\n\n* The first.\n"
DAY = datetime.date(2027, 3, 4)
# What CI leaves behind: sdist and wheel of the version that is set.
CHECKS = """
version=$(sed -n 's/__version__ = "\\(.*\\)"/\\1/p' airflow_provider_tallyfy/__init__.py)
mkdir -p dist
touch "dist/airflow_provider_tallyfy-$version.tar.gz" "dist/airflow_provider_tallyfy-$version-py3-none-any.whl"
"""


class Checkout:
    """A repository with a released 0.1.0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = {
            "airflow_provider_tallyfy/__init__.py": '"""Doc."""\n\n__version__ = "0.1.0"\n',
            "CHANGELOG.md": CHANGELOG,
            ".gitignore": "dist/\n",
            ".ci/run": CHECKS,
        }
        for name, text in files.items():
            self.write(name, text)
        (folder / "dev").mkdir()
        shutil.copy2(ROOT / "dev" / "release.py", folder / "dev")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()
        self.git("tag", "v0.1.0")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "As it is")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self.folder / "dev" / "release.py"), version]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def env(self) -> dict[str, str]:
        who = {f"GIT_{role}_{what}": "a@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        # Neither the developer's own settings, nor those that a git hook hands on.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return {**inherited, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_release(checkout: Checkout) -> None:
    done = checkout.release("0.2.0")
    assert done.returncode == 0, done.stderr
    assert '__version__ = "0.2.0"' in checkout.read("airflow_provider_tallyfy/__init__.py")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    heading = f"## [0.2.0] - {today.isoformat()}\n\n* Something new.\n\n## [0.1.0] - 2026-01-31"
    assert heading in checkout.read("CHANGELOG.md")
    assert checkout.git("status", "--porcelain") == ""
    assert checkout.git("log", "-1", "--format=%s") == "Release 0.2.0"
    assert checkout.git("rev-parse", "v0.2.0^{commit}") == checkout.git("rev-parse", "HEAD")
    assert checkout.git("cat-file", "-t", "v0.2.0") == "tag"
    shown = checkout.git("show", "--stat", "--format=", "HEAD")
    assert [line.split()[0] for line in shown.splitlines()[:-1]] == [
        "CHANGELOG.md",
        "airflow_provider_tallyfy/__init__.py",
    ]
    assert "git push --atomic origin main v0.2.0" in done.stdout
    files = "dist/airflow_provider_tallyfy-0.2.0-py3-none-any.whl dist/airflow_provider_tallyfy-0.2.0.tar.gz"
    assert f"twine upload {files}" in done.stdout


@pytest.mark.parametrize(
    ("version", "spoil", "words"),
    [
        ("", "", "is not like 1.2.3"),
        ("0.2", "", "is not like 1.2.3"),
        ("v0.2.0", "", "is not like 1.2.3"),
        ("0.2.0rc1", "", "is not like 1.2.3"),
        ("0.02.0", "", "is not like 1.2.3"),
        ("0.1.0", "", "there is v0.1.0 already"),
        ("0.0.9", "", "there is v0.1.0 already"),
        ("0.2.0", "git tag v0.10.0", "there is v0.10.0 already"),
        ("0.2.0", "git checkout --quiet -b other", "made on main, this is other"),
        ("0.2.0", "touch new.txt", "not clean:\n?? new.txt"),
        ("0.2.0", "echo >> CHANGELOG.md", "not clean"),
        ("0.2.0", "sed -i.bak s/Unreleased/Later/ CHANGELOG.md; rm *.bak; git commit -qam x", "needs one heading"),
        ("0.2.0", "sed -i.bak '/new/d' CHANGELOG.md; rm *.bak; git commit -qam x", "says nothing about 0.2.0"),
        ("0.2.0", "echo 'exit 1' >> .ci/run; git commit -qam x", "the checks did not pass"),
        ("0.2.0", "echo 'touch dist/old.whl' >> .ci/run; git commit -qam x", "not sdist and wheel of 0.2.0"),
        ("0.2.0", "echo 'touch meanwhile' >> .ci/run; git commit -qam x", "changed meanwhile: meanwhile"),
    ],
)
def test_what_stands_in_the_way_is_said_and_nothing_is_changed(
    checkout: Checkout, version: str, spoil: str, words: str
) -> None:
    subprocess.run(["bash", "-c", spoil], cwd=checkout.folder, env=checkout.env, check=True)
    head, tags = checkout.git("rev-parse", "HEAD"), checkout.git("tag")
    before = {name: checkout.read(name) for name in ("CHANGELOG.md", "airflow_provider_tallyfy/__init__.py")}
    done = checkout.release(version)
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    assert (checkout.git("rev-parse", "HEAD"), checkout.git("tag")) == (head, tags)
    assert {name: checkout.read(name) for name in before} == before


def test_the_heading_that_names_the_version_is_dated_too() -> None:
    text = CHANGELOG.replace("[Unreleased]", "[0.2.0] - Unreleased")
    assert release.dated(text, "0.2.0", DAY) == release.dated(CHANGELOG, "0.2.0", DAY)
    with pytest.raises(release.Refused, match="needs one heading"):
        release.dated(text, "0.3.0", DAY)


def test_our_own_changelog_can_be_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    heading = next(line for line in text.splitlines() if line.startswith("## ["))
    version = heading[heading.index("[") + 1 : heading.index("]")]
    if "Unreleased" in heading:
        assert "2027-03-04" in release.dated(text, "99.0.0" if version == "Unreleased" else version, DAY)
    else:
        assert datetime.date.fromisoformat(heading.split(" - ")[1])
