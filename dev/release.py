"""Makes a release: ``make release VERSION=1.2.3``. What it does, and what is left to do, is in RELEASING.md.

Nothing is committed, tagged or uploaded before everything has passed; when anything fails, the checkout is as before.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INIT = ROOT / "airflow_provider_tallyfy" / "__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"


class Refused(Exception):
    """The release can't be made as things are."""


def git(*arguments: str) -> str:
    """What git says."""
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"git {arguments[0]} says: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def numbers(version: str) -> tuple[int, ...]:
    """A version to compare by.

    :raises Refused: if it is not of the form 1.2.3.
    """
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version, re.ASCII):
        raise Refused(f"VERSION={version!r} is not like 1.2.3")
    return tuple(map(int, version.split(".")))


def check_before(version: str) -> None:
    """Look at what must hold before anything is modified.

    :raises Refused: if it does not.
    """
    wanted = numbers(version)
    if (branch := git("branch", "--show-current")) != "main":
        raise Refused(f"releases are made on main, this is {branch or 'no branch'}")
    if changed := git("status", "--porcelain"):
        raise Refused(f"the checkout is not clean:\n{changed}")
    for tag in git("tag", "--list", "v*").split():
        if re.fullmatch(r"v\d+\.\d+\.\d+", tag) and numbers(tag[1:]) >= wanted:
            raise Refused(f"there is {tag} already")


def dated(changelog: str, version: str, today: datetime.date) -> str:
    """The changelog with its unreleased section turned into that of this version.

    :raises Refused: if there is no such section, or nothing in it.
    """
    heading = re.compile(rf"^## \[(?:Unreleased|{re.escape(version)})\](?: - Unreleased)?$", re.MULTILINE)
    found = heading.findall(changelog)
    if len(found) != 1:
        raise Refused(f"CHANGELOG.md needs one heading like '## [{version}] - Unreleased'; it has {len(found)}")
    section = re.split(r"^## ", changelog[changelog.index(found[0]) + 3 :], maxsplit=1, flags=re.MULTILINE)[0]
    if not re.search(r"^[-*] \S", section, re.MULTILINE):
        raise Refused(f"CHANGELOG.md says nothing about {version}")
    return heading.sub(f"## [{version}] - {today.isoformat()}", changelog)


def with_version(source: str, version: str) -> str:
    """The package's first file with this version."""
    changed, count = re.subn(r'^__version__ = "[^"]*"$', f'__version__ = "{version}"', source, flags=re.MULTILINE)
    if count != 1:
        raise Refused(f"{INIT.name} has {count} lines that set __version__")
    return changed


def release(version: str) -> list[Path]:
    """Set version and date, run all checks, build, commit, tag; return what is to be uploaded.

    :raises Refused: if something is in the way, with the checkout as it was.
    """
    check_before(version)
    before = {path: path.read_text() for path in (INIT, CHANGELOG)}
    after = {
        INIT: with_version(before[INIT], version),
        CHANGELOG: dated(before[CHANGELOG], version, datetime.datetime.now(datetime.timezone.utc).date()),
    }
    done = False
    try:
        for path, text in after.items():
            path.write_text(text)
        # All that CI runs, `make dist` and `make install-check` included: what it leaves in dist/ is what is released.
        if subprocess.run(["bash", str(ROOT / ".ci" / "run")], cwd=ROOT, check=False).returncode:
            raise Refused("the checks did not pass; nothing was changed")
        files = sorted((ROOT / "dist").iterdir())
        if len(files) != 2 or not all(f"-{version}" in path.name for path in files):
            raise Refused(f"dist/ holds {[path.name for path in files]}, not sdist and wheel of {version}")
        names = {str(path.relative_to(ROOT)) for path, text in after.items() if text != before[path]}
        changed = {line[3:] for line in git("status", "--porcelain").splitlines()}
        if changed != names:
            raise Refused(f"the checkout was changed meanwhile: {', '.join(sorted(changed - names))}")
        git("commit", "--quiet", "--message", f"Release {version}", "--", *sorted(names))
        done = True
        git("tag", "--annotate", f"v{version}", "--message", f"Release {version}")
    finally:
        if not done:
            for path, text in before.items():
                path.write_text(text)
    return files


def main() -> int:
    """Make the release and say what is left to do."""
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        files = release(version)
    except Refused as refused:
        print(f"release: {refused}", file=sys.stderr)
        return 1
    print(f"\nv{version} is committed and tagged here, and built:\n")
    for path in files:
        print(f"  {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}")
    names = " ".join(str(path.relative_to(ROOT)) for path in files)
    print(f"\nNobody else has it yet. When you are sure:\n\n  git push --atomic origin main v{version}")
    print(f"  .venv-release/bin/twine upload {names}\n")
    print(f"To take it back before that: git tag --delete v{version} && git reset --keep HEAD~1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
