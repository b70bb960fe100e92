"""Makes a release: ``make release VERSION=1.2.3``. RELEASING.md describes the steps, and those that remain.

It commits and tags only if all checks pass, and uploads nothing. If a step fails, it restores the checkout.
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
    """The release is not possible. The message has the reason."""


def git(*arguments: str) -> str:
    """Run git, and return its output.

    :raises Refused: with git's error message.
    """
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparison.

    :raises Refused: if the version does not have the form 1.2.3.
    """
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version, re.ASCII):
        raise Refused(f"VERSION={version!r} does not have the form 1.2.3")
    return tuple(map(int, version.split(".")))


def check_before(version: str) -> None:
    """Check branch, checkout and version, before anything is modified.

    :raises Refused: if one of them is wrong.
    """
    wanted = numbers(version)
    if (branch := git("branch", "--show-current")) != "main":
        raise Refused(f"a release needs the branch main, but this is {branch or 'no branch'}")
    if changed := git("status", "--porcelain"):
        raise Refused(f"the checkout has uncommitted changes:\n{changed}")
    for tag in git("tag", "--list", "v*").split():
        if re.fullmatch(r"v\d+\.\d+\.\d+", tag) and numbers(tag[1:]) >= wanted:
            raise Refused(f"the tag {tag} already exists")


def dated(changelog: str, version: str, today: datetime.date) -> str:
    """The changelog with the version and the date in the heading of the unreleased section.

    :raises Refused: if there is no such section, or if it is empty.
    """
    heading = re.compile(rf"^## \[(?:Unreleased|{re.escape(version)})\](?: - Unreleased)?$", re.MULTILINE)
    found = heading.findall(changelog)
    if len(found) != 1:
        raise Refused(f"CHANGELOG.md needs one heading '## [{version}] - Unreleased', but has {len(found)}")
    section = re.split(r"^## ", changelog[changelog.index(found[0]) + 3 :], maxsplit=1, flags=re.MULTILINE)[0]
    if not re.search(r"^[-*] \S", section, re.MULTILINE):
        raise Refused(f"CHANGELOG.md has no entries for {version}")
    return heading.sub(f"## [{version}] - {today.isoformat()}", changelog)


def with_version(source: str, version: str) -> str:
    """The text of ``__init__.py`` with this version."""
    changed, count = re.subn(r'^__version__ = "[^"]*"$', f'__version__ = "{version}"', source, flags=re.MULTILINE)
    if count != 1:
        raise Refused(f"{INIT.name} has {count} lines that set __version__")
    return changed


def release(version: str) -> list[Path]:
    """Set version and date, run all checks, build, commit, tag; return the files to upload.

    :raises Refused: if a step fails; the checkout is then restored.
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
        # This includes `make dist`, which builds the files to release, and `make install-check`.
        if subprocess.run(["bash", str(ROOT / ".ci" / "run")], cwd=ROOT, check=False).returncode:
            raise Refused("a check failed; the checkout is restored")
        files = sorted((ROOT / "dist").iterdir())
        if len(files) != 2 or not all(f"-{version}" in path.name for path in files):
            raise Refused(f"dist/ contains {[path.name for path in files]}, not sdist and wheel of {version}")
        names = {str(path.relative_to(ROOT)) for path, text in after.items() if text != before[path]}
        changed = {line[3:] for line in git("status", "--porcelain").splitlines()}
        if changed != names:
            raise Refused(f"the checkout changed during the checks: {', '.join(sorted(changed - names))}")
        git("commit", "--quiet", "--message", f"Release {version}", "--", *sorted(names))
        done = True
        git("tag", "--annotate", f"v{version}", "--message", f"Release {version}")
    finally:
        if not done:
            for path, text in before.items():
                path.write_text(text)
    return files


def main() -> int:
    """Make the release and print the remaining commands."""
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        files = release(version)
    except Refused as refused:
        print(f"release: {refused}", file=sys.stderr)
        return 1
    print(f"\nv{version} is built, committed and tagged in this checkout:\n")
    for path in files:
        print(f"  {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}")
    names = " ".join(str(path.relative_to(ROOT)) for path in files)
    print(f"\nIt is not published yet. To publish it:\n\n  git push --atomic origin main v{version}")
    print(f"  .venv-release/bin/twine upload {names}\n")
    print(f"To undo the release before that: git tag --delete v{version} && git reset --keep HEAD~1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
