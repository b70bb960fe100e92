"""Which parts of the package may import which, checked in the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

import pytest

import airflow_provider_tallyfy

PACKAGE = "airflow_provider_tallyfy"
# The installed package, which need not be next to the tests.
ROOT = Path(airflow_provider_tallyfy.__file__).parents[1]


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module_name(path): path for path in (ROOT / PACKAGE).rglob("*.py")}

#: The rooms that Airflow users see. Below them: hooks, client, api.
TOP = {"operators", "sensors", "triggers", "notifications", "links"}
#: What each room or file may import of the package; "" is the package itself, for its version.
MAY_IMPORT: dict[str, set[str]] = {
    "": set(),
    "_compat": set(),
    "connection_form": set(),
    "get_provider_info": {"connection_form"},
    "exceptions": {"_compat", "api"},
    "connection": {"exceptions", "api"},
    "api": {"api"},
    "client": {"", "_compat", "api", "client", "connection", "exceptions"},
    "hooks": {"", "_compat", "api", "client", "connection", "connection_form", "exceptions", "hooks"},
    **{room: {"", "_compat", "api", "client", "connection", "exceptions", "hooks", *TOP} for room in TOP},
    "sandbox": {"", "sandbox"},
}
#: The same within ``api``. A room that is not named here may import all of it.
WITHIN_API: dict[str, set[str]] = {
    "protocol": {"protocol"},
    "endpoints": {"protocol", "endpoints.paths"},
    "timestamps": {"protocol"},
    "names": {"protocol"},
    "titles": {"protocol", "endpoints", "names"},
}
#: What ``api`` has none of: I/O, a clock, threads, an event loop.
NOT_PURE = {
    "asyncio", "concurrent", "logging", "multiprocessing", "os", "pathlib", "queue", "select", "selectors", "shutil",
    "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "http.server", "urllib.request",
}  # fmt: skip
#: Libraries without any of that. Airflow brings this one; it reads ISO 8601 durations.
PURE_LIBRARIES = {"pendulum"}
#: What a DAG file must not wait for.
SLOW = {"requests", "urllib3", "aiohttp", f"{PACKAGE}.hooks", f"{PACKAGE}.client", f"{PACKAGE}.sandbox"}


#: When an imported module is imported: with the file, when a function runs, never (for type checkers).
When = Literal["at once", "later", "never"]


@dataclass(frozen=True)
class Import:
    """One imported module."""

    module: str
    when: When


def imports(tree: ast.AST, when: When = "at once") -> Iterator[Import]:
    """Yield every module that a file imports."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides what it names"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield Import(submodule if submodule in MODULES else node.module or "", when)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(node.body, []), "never")
            yield from imports(ast.Module(node.orelse, []), when)
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, "later" if is_function and when == "at once" else when)


def is_in(module: str, rooms: set[str]) -> bool:
    """Whether a module is one of these packages, or in one of them."""
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def below(module: str, package: str = PACKAGE) -> str | None:
    """Return the name within the package; ``None`` for other modules."""
    if module == package:
        return ""
    return module[len(package) + 1 :] if module.startswith(f"{package}.") else None


def wrong(module: str, tree: ast.AST) -> Iterator[str]:
    """Return the rules that a file breaks."""
    name = below(module) or ""
    room = name.split(".")[0]
    found = list(imports(tree))
    for target, when in ((entry.module, entry.when) for entry in found):
        inner = below(target)
        if inner is not None and inner.split(".")[0] not in MAY_IMPORT[room]:
            yield f"{name} imports {inner}"
        may = room == "_compat" or (room == "hooks" and is_in(target, {"airflow.providers"})) or when == "never"
        if target.split(".")[0] == "airflow" and not may:
            yield f"{name} imports {target}: only _compat knows where Airflow keeps what"
    if room == "api":
        yield from _impure(name, tree, [entry.module for entry in found])
    if room in TOP - {"triggers"}:  # only the triggerer imports these
        yield from (
            f"{name} imports {entry.module}" for entry in found if entry.when == "at once" and is_in(entry.module, SLOW)
        )
    if room != "_compat":
        yield from _knows_versions(name, tree)


def _impure(name: str, tree: ast.AST, targets: list[str]) -> Iterator[str]:
    api_room = name.split(".")[1] if "." in name else ""
    for target in targets:
        inner = below(target, f"{PACKAGE}.api")
        if inner is not None and api_room in WITHIN_API and not is_in(inner, WITHIN_API[api_room]):
            yield f"{name} imports api.{inner}"
        is_known = target.split(".")[0] in {*sys.stdlib_module_names, *PURE_LIBRARIES}
        if below(target) is None and (not is_known or is_in(target, NOT_PURE)):
            yield f"{name} imports {target}"
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"{name} awaits"
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in {"now", "utcnow", "today"}:
            yield f"{name} asks for the time: {ast.unparse(node)}"
        if isinstance(called, ast.Name) and called.id in {"open", "print", "input"}:
            yield f"{name} calls {called.id}()"


def _knows_versions(name: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "airflow.__version__":
            yield f"{name} asks for Airflow's version"
        if isinstance(node, ast.Constant) and node.value == "apache-airflow":
            yield f"{name} names the distribution of Airflow"
        if isinstance(node, ast.Try) and any(isinstance(child, ast.Import | ast.ImportFrom) for child in node.body):
            yield f"{name} tries an import"


TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def test_nothing_imports_upward() -> None:
    rooms = {module.removeprefix(PACKAGE).lstrip(".").split(".")[0] for module in MODULES}
    assert rooms <= set(MAY_IMPORT), "a new room needs a row"
    assert [line for module, tree in TREES.items() for line in wrong(module, tree)] == []


def test_there_are_no_import_cycles_not_even_in_functions() -> None:
    graph = {module: {entry.module for entry in imports(tree)} & set(MODULES) for module, tree in TREES.items()}
    assert sum(map(len, graph.values())) > 200
    assert circle(graph) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return one import cycle of a graph; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_of_dag_files_reach_no_slow_module() -> None:
    """Directly or through other files of the package."""
    graph = {
        module: {entry.module for entry in imports(tree) if entry.when == "at once"} for module, tree in TREES.items()
    }
    starts = [module for module in MODULES if is_in(module, {f"{PACKAGE}.{room}" for room in TOP - {"triggers"}})]
    reached, waiting = set[str](), [*starts, f"{PACKAGE}.get_provider_info"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += graph.get(module, ())
    assert f"{PACKAGE}.api.protocol.arguments" in reached
    assert sorted(module for module in reached if is_in(module, SLOW)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("api.runs.read", f"from {PACKAGE}.client import engine"),
        ("api.runs.read", f"def late():\n    from {PACKAGE}.hooks.tallyfy import TallyfyHook"),
        ("api.runs.read", f"from {PACKAGE}.exceptions import TallyfyError"),
        ("api.runs.read", "import requests"),
        ("api.runs.read", "import time"),
        ("api.runs.read", "from urllib.request import urlopen"),
        ("api.runs.read", "def flow():\n    return datetime.now(timezone.utc)"),
        ("api.runs.read", "async def flow(): ..."),
        ("api.protocol.retry", f"from {PACKAGE}.api.endpoints import runs"),
        ("api.protocol.retry", f"if TYPE_CHECKING:\n    from {PACKAGE}.api.runs.model import Run"),
        ("api.endpoints.runs", f"from {PACKAGE}.api.endpoints import labels"),
        ("api.endpoints.runs", f"from {PACKAGE}.api import titles"),
        ("client.engine", f"from {PACKAGE}.hooks.tallyfy import TallyfyHook"),
        ("client.engine", "from airflow.exceptions import AirflowException"),
        ("hooks.tallyfy", f"from {PACKAGE}.operators import tallyfy"),
        ("hooks.tallyfy", "from airflow.models import Connection"),
        ("operators.tallyfy", f"from {PACKAGE}.hooks.tallyfy import TallyfyHook"),
        ("sensors.tallyfy", "import aiohttp"),
        ("operators.tallyfy", f"class Operator:\n    from {PACKAGE}.client import bulk"),
        ("exceptions", f"from {PACKAGE}.connection import Settings"),
        ("connection", "try:\n    import airflow.sdk\nexcept ImportError:\n    pass"),
        ("hooks.tallyfy", "import airflow.providers.http\nairflow.__version__"),
        ("operators.tallyfy", "version('apache-airflow')"),
        ("sandbox.server", f"from {PACKAGE}.client import engine"),
    ],
)
def test_violation_is_found(module: str, source: str) -> None:
    assert list(wrong(f"{PACKAGE}.{module}", ast.parse(source))) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("operators.tallyfy", f"def hook():\n    from {PACKAGE}.hooks.tallyfy import TallyfyHook"),
        ("operators.tallyfy", f"if TYPE_CHECKING:\n    from {PACKAGE}.client import bulk"),
        ("triggers.tallyfy", f"from {PACKAGE}.client.async_client import AsyncClient"),
        ("hooks.tallyfy", "from airflow.providers.http.hooks.http import HttpHook"),
        ("client.engine", "import requests\nimport time"),
        ("operators._base", "if TYPE_CHECKING:\n    from airflow.sdk import DAG"),
        ("api.runs.read", "from datetime import datetime\nimport random"),
        (
            "_compat",
            "try:\n    from airflow.sdk import XComArg\nexcept ImportError:\n    from airflow.models import XComArg",
        ),
    ],
)
def test_allowed_import_is_not_reported(module: str, source: str) -> None:
    assert list(wrong(f"{PACKAGE}.{module}", ast.parse(source))) == []


def test_cycle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) in (["b", "c", "b"], ["c", "b", "c"])
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
