"""The results: rows, as a table and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any


@dataclass
class Row:
    """One result.

    :param key: its name in the JSON.
    :param question: what was measured.
    :param ours: the figure of this provider, as text.
    :param theirs: the figure to compare it with.
    :param ratio: the ratio of the two figures.
    :param target: the required result; empty = the row is for comparison only.
    :param met: whether the target is met; ``None`` = there is no target.
    :param figures: the numbers, for the chart and for comparisons of two runs.
    """

    key: str
    question: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


_COLUMNS = ("question", "ours", "theirs", "ratio", "target", "met")


def as_table(rows: Sequence[Row]) -> str:
    """The rows as a table of text."""
    lines = [_COLUMNS, *((r.question, r.ours, r.theirs, r.ratio, r.target, _said(r.met)) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def as_json(rows: Sequence[Row], *, quick: bool, seconds: float) -> dict[str, Any]:
    """The rows, and the machine and versions that they were measured with."""
    return {
        "quick": quick,
        "seconds": round(seconds),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("apache-airflow", "apache-airflow-providers-http", "requests")},
        },
        "rows": [asdict(row) for row in rows],
    }


def _said(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "NO"
