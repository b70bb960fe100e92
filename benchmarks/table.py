"""What the questions answer: rows, as a table for people and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any


@dataclass
class Row:
    """The answer to one question.

    :param key: its name in the JSON.
    :param question: what was measured.
    :param ours: our figure, as people read it.
    :param theirs: the figure that it is held against.
    :param ratio: one by the other.
    :param reach: what is wanted; empty = the row is for comparison only.
    :param met: whether it is reached; ``None`` where nothing is wanted.
    :param figures: the numbers behind, for the chart and for those who compare two runs.
    """

    key: str
    question: str
    ours: str
    theirs: str = ""
    ratio: str = ""
    reach: str = ""
    met: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


_COLUMNS = ("question", "ours", "theirs", "ratio", "reach", "met")


def as_table(rows: Sequence[Row]) -> str:
    """The rows in columns."""
    lines = [_COLUMNS, *((r.question, r.ours, r.theirs, r.ratio, r.reach, _said(r.met)) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def as_json(rows: Sequence[Row], *, quick: bool, seconds: float) -> dict[str, Any]:
    """The rows, and what they were measured with."""
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
