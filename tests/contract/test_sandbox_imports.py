"""The sandbox's modules import one another in one direction, and nothing of the client that they test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_tallyfy import sandbox

PACKAGE = "airflow_provider_tallyfy.sandbox"
FOLDER = Path(sandbox.__file__).parent
ROOT = FOLDER.parents[1]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FOLDER.rglob("*.py")}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names: at its top, below ``TYPE_CHECKING`` and inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import hides what it names"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in MODULES else node.module or ""


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, or nothing."""
    done: set[str] = set()

    def follow(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module not in done:
            for target in sorted(graph.get(module, ())):
                if found := follow(target, [*trail, module]):
                    return found
            done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := follow(module, []))), [])


def test_no_import_cycles_even_for_type_checking() -> None:
    graph = {name: {target for target in imports(path) if target in MODULES} for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 50
    assert " -> ".join(circle(graph)) == ""


def test_an_import_cycle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_sandbox_imports_nothing_of_the_client() -> None:
    foreign = {
        (name, target)
        for name, path in MODULES.items()
        for target in imports(path)
        if target.split(".")[0] in ("airflow", "requests", PACKAGE.split(".")[0])
        and target != PACKAGE
        and not target.startswith(f"{PACKAGE}.")
    }
    assert foreign == set()


def test_no_file_has_the_same_name_as_a_file_of_the_client() -> None:
    client = {
        path.stem
        for path in FOLDER.parent.rglob("*.py")
        # Resources are called what the API calls them on both sides.
        if FOLDER not in path.parents and path.parent.name != "endpoints" and path.stem not in ("__init__", "_compat")
    }
    resources = {path.stem for path in (FOLDER / "routes").glob("*.py")}
    own = {path.stem for path in MODULES.values()} - {"__init__", "__main__"} - resources
    assert own & {name.lstrip("_") for name in client} == set()


def test_file_names_in_the_sandbox_are_unique() -> None:
    stems = [path.stem for path in MODULES.values() if path.stem != "__init__"]
    assert len(stems) == len(set(stems))
