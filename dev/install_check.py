"""Installs the wheel in ``dist/`` in the way users do, and checks that Airflow accepts it.

It uses two clean environments: the oldest supported Airflow with the dependencies of its release date, and the newest.
They contain only Airflow and the wheel. So a dependency that is missing in the metadata causes an error here; in the
environments of the matrix, a test tool might install it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.matrix import RELEASES, ROOT, UV, Leg, interpreters, legs

NAME = "airflow-provider-tallyfy"

#: Loads every example DAG with Airflow's DagBag, and prints the result.
READ_EXAMPLES = """
import json, sys
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1])
print("FOUND" + json.dumps({"errors": bag.import_errors, "dags": {key: dag.fileloc for key, dag in bag.dags.items()}}))
"""

#: Starts the installed sandbox and opens its page, because style and script are data files of the package.
OPEN_SANDBOX = """
import urllib.request
from airflow_provider_tallyfy.sandbox import Sandbox
with Sandbox(sample=True) as sandbox:
    request = urllib.request.Request(sandbox.url + "/", headers={"Accept": "text/html"})
    page = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).read().decode()
assert "is not Tallyfy" in page and "prefers-color-scheme" in page and "use strict" in page, page[:500]
"""


class Failed(Exception):
    """A step failed."""


def run(*command: str | Path, env: dict[str, str], cwd: Path) -> str:
    """Run a step, and return its output.

    :raises Failed: with the output, if the exit code is not 0.
    """
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Failed(f"$ {' '.join(map(str, command))[:300]}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_leg(leg: Leg, wheel: Path) -> str:
    """Install the wheel, check it, and return one line about it.

    :raises Failed: if anything is wrong.
    """
    if leg.python is None:
        raise Failed(leg.lacking)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tallyfy-install-") as name:
        folder = Path(name)
        binaries = folder / "environment" / "bin"
        env = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON", "VIRTUAL"))}
        env |= {
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PATH": f"{binaries}{os.pathsep}{env['PATH']}",
        }

        def here(*command: str | Path) -> str:
            return run(*command, env=env, cwd=folder)

        here(UV, "venv", "--quiet", "--no-project", "--python", leg.python, folder / "environment")
        install = (UV, "pip", "install", "--quiet", "--python", binaries / "python", "--compile-bytecode")
        here(*install, wheel, *leg.requirements)
        here(UV, "pip", "check", "--python", binaries / "python")
        shown = here(binaries / "airflow", "providers", "get", NAME, "--output", "json")
        provider = json.loads(shown[shown.index("[") :])[0]
        version = wheel.name.split("-")[1]
        if version not in provider.values():
            raise Failed(f"airflow providers get {NAME} shows {provider}, without the version {version}")

        shutil.copytree(ROOT / "example_dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        printed = here(binaries / "python", "-W", "ignore", "-c", READ_EXAMPLES, folder / "dags")
        found = json.loads(next(line for line in printed.splitlines() if line.startswith("FOUND"))[len("FOUND") :])
        if found["errors"]:
            raise Failed("\n".join(f"{path}:\n{error}" for path, error in found["errors"].items()))
        files = {path.name for path in (folder / "dags").glob("*.py")}
        if not files or {Path(path).name for path in found["dags"].values()} != files:
            raise Failed(f"the example DAGs are {sorted(files)}, but Airflow loaded {found['dags']}")
        here(binaries / "python", "-c", OPEN_SANDBOX)
    return (
        f"{leg.name}: installed without conflicts, listed as {NAME} {version}, {len(files)} example DAGs loaded, "
        f"sandbox opened, in {time.monotonic() - started:.0f} s"
    )


def chosen() -> list[Leg]:
    """The oldest Airflow with the dependencies of its release date, and the newest with the pinned ones."""
    known = {leg.name: leg for leg in legs(interpreters())}
    oldest = known[f"airflow-{RELEASES[0].airflow}-of-its-day"]
    newest = [leg for name, leg in known.items() if name.startswith(f"airflow-{RELEASES[-1].airflow}-newest")]
    return [oldest, max((leg for leg in newest if leg.python), key=lambda leg: leg.name, default=newest[0])]


def main() -> int:
    """Check both at the same time."""
    wheels = list((ROOT / "dist").glob("*.whl"))
    if len(wheels) != 1:
        print(f"dist/ contains {len(wheels)} wheels, not one. Run make dist first.", file=sys.stderr)
        return 1
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = [(leg, pool.submit(check_leg, leg, wheels[0])) for leg in chosen()]
        for leg, future in running:
            try:
                print(future.result(), flush=True)
            except (Failed, subprocess.TimeoutExpired, ValueError, StopIteration) as error:
                failed += 1
                print(f"{leg.name}: FAILED\n{error}", file=sys.stderr, flush=True)
    print(f"{len(running) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
