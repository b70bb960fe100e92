"""Draws the chart in the README: bars without a background, in colours that are readable on white and on black."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.table import Row

WIDTH, LABELS, VALUES = 760, 250, 70
BAR, GAP, TITLE, PANEL = 18, 8, 34, 22
# No media query, because the theme of the system may differ from the theme of the page.
TEXT, OURS, THEIRS = "#777d84", "#1f9e6b", "#9299a1"


@dataclass(frozen=True)
class Bar:
    """One bar.

    :param label: what was measured.
    :param value: the length.
    :param shown: the value as text.
    :param ours: whether this is a bar of this provider.
    """

    label: str
    value: float
    shown: str
    ours: bool = False


def draw(rows: Sequence[Row]) -> str:
    """The chart as SVG."""
    top = 0.0
    parts: list[str] = []
    for title, bars in _panels({row.key: row.figures for row in rows}):
        parts.append(_text(0, top + 16, title, weight=600, size=14))
        top += TITLE
        longest = max(bar.value for bar in bars)
        for bar in bars:
            length = max(bar.value / longest * (WIDTH - LABELS - VALUES), 2)
            weight = 600 if bar.ours else 400
            parts.append(_text(LABELS - 10, top + 13, bar.label, anchor="end", weight=weight))
            parts.append(
                f'<rect x="{LABELS}" y="{top:g}" width="{length:.1f}" height="{BAR}" rx="3" '
                f'fill="{OURS if bar.ours else THEIRS}"/>'
            )
            parts.append(_text(LABELS + length + 8, top + 13, bar.shown, weight=weight))
            top += BAR + GAP
        top += PANEL
    height = top - PANEL
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        'role="img" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
    )
    return "\n".join([opening, "<title>airflow-provider-tallyfy: speed</title>", *parts, "</svg>", ""])


def _panels(figures: dict[str, dict[str, Any]]) -> list[tuple[str, list[Bar]]]:
    archive = [
        ("One mapped task per run", figures["archive-8-mapped"]["theirs_ms"], False),
        ("HttpHook in a loop", figures["archive-8-http_hook"]["theirs_ms"], False),
        ("Tallyfy's Python SDK in a loop", figures["archive-8-sdk"]["theirs_ms"], False),
        *(
            (f"Bulk operator, {concurrency} at a time", figures[f"archive-{concurrency}-sdk"]["ours_ms"], True)
            for concurrency in (8, 16, 32)
        ),
    ]
    # Milliseconds per run are seconds per 1,000 runs.
    seconds = [
        Bar(label, value, f"{value:.1f} s" if value < 20 else f"{value:.0f} s", ours) for label, value, ours in archive
    ]
    call = {
        "HttpHook.run": figures["call"]["http_hook_ms"],
        "Tallyfy's Python SDK": figures["call"]["sdk_ms"],
        "TallyfyHook": figures["call"]["ours_ms"],
    }
    parse = {name.removesuffix("_ms"): cost for name, cost in figures["parse"].items()}
    ours = parse.pop("tallyfy")
    return [
        ("Archive 1,000 runs, with 50 ms latency", seconds),
        ("One call on a warm hook", [Bar(n, v, f"{v:.2f} ms", n == "TallyfyHook") for n, v in call.items()]),
        (
            "Import of the operators, at every parse of a DAG file",
            [
                *(Bar(name, cost, f"{cost:.0f} ms") for name, cost in sorted(parse.items(), key=lambda item: -item[1])),
                Bar("tallyfy", ours, f"{ours:.0f} ms", ours=True),
            ],
        ),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: int = 400, size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{TEXT}">'
        f"{escape(text)}</text>"
    )
