"""Many runs in one go: which ones, what became of each, and what to make of a doubt. No requests are sent here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id, show
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem

Result = Literal["changed", "already", "modified", "failed", "not_tried"]
RESULTS: tuple[Result, ...] = ("changed", "already", "modified", "failed", "not_tried")
EXAMPLES = 20  # runs of each kind that a summary names

#: Why a run was already as wanted, where nobody knows on whose account.
UNCLEAR = "since an earlier try began: done by that try, which could not note it any more, or by somebody"

#: Kinds of failure that another try may mend.
PASSING = frozenset({Kind.RATE_LIMITED, Kind.SERVER, Kind.UNREACHABLE, Kind.INDETERMINATE})


@dataclass(frozen=True)
class Target:
    """A run to change.

    :param run_id: its id.
    :param seen: its ``last_updated`` when it was found; ``None`` = not known.
    :param name: its name, for reports.
    """

    run_id: str
    seen: str | None = None
    name: str | None = None


def targets(argument: str, value: object, max_runs: int | None = None) -> list[Target]:
    """Read run ids, or rows that hold them under ``id`` or ``run_id``. Repeated ids count once.

    :param max_runs: most runs allowed.
    :raises ArgumentError: for anything else, and for more runs than allowed.
    """
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ArgumentError(
            f"{argument}={show(value)} is not a list of run ids. Pass the output of TallyfyListRunsOperator "
            "(task.output), a list, or a template with render_template_as_native_obj=True on the DAG."
        )
    found: dict[str, Target] = {}
    for i, entry in enumerate(value):
        place = f"{argument}[{i}]"
        if isinstance(entry, Mapping):
            run_id = check_id(f"{place}['id']", entry.get("id", entry.get("run_id")))
            seen, name = entry.get("last_updated"), entry.get("name")
            target = Target(run_id, seen if isinstance(seen, str) and seen else None, str(name) if name else None)
        else:
            target = Target(check_id(place, entry))
        known = found.get(target.run_id)
        if known is None or (known.seen is None and target.seen is not None):
            found[target.run_id] = target
    if max_runs is not None and len(found) > max_runs:
        raise ArgumentError(
            f"{argument} holds {len(found)} runs, max_runs allows {max_runs}. Nothing was changed. If the number is "
            "right, raise max_runs; if not, look at the filters that found them."
        )
    return list(found.values())


@dataclass
class Entry:
    """What became of one run.

    :param result: ``changed``; ``already`` = nothing to do; ``modified`` = somebody changed it after it was found, so
        it was left alone; ``failed``; ``not_tried``.
    :param reason: why, where it does not go without saying.
    :param last_updated: as Tallyfy shows it now, so that an undo can see whether it was modified since.
    """

    run_id: str
    result: Result = "not_tried"
    reason: str = ""
    name: str | None = None
    last_updated: str | None = None

    def as_row(self) -> dict[str, Any]:
        """The entry as a line of the report."""
        row = {"run_id": self.run_id, "result": self.result, "name": self.name, "last_updated": self.last_updated}
        return {**row, "reason": self.reason} if self.reason else row


@dataclass
class Report:
    """What became of every run of a bulk change.

    :param doing: what was to be done: ``archive``, ``activate``, ``update``.
    :param dry_run: ``changed`` means "would be changed"; nothing was written.
    :param stopped: why it ended before every run was tried; empty if it did not.
    :param problems: the failures, by run id, as far as Tallyfy or the way to it caused them.
    """

    doing: str
    entries: dict[str, Entry] = field(default_factory=dict)
    dry_run: bool = False
    stopped: str = ""
    requests: int = 0
    problems: dict[str, Problem] = field(default_factory=dict)

    @classmethod
    def of(cls, doing: str, wanted: Iterable[Target], *, dry_run: bool = False) -> Report:
        """Begin a report in which no run has been tried."""
        return cls(doing, {t.run_id: Entry(t.run_id, name=t.name, last_updated=t.seen) for t in wanted}, dry_run)

    def set(self, run_id: str, result: Result, reason: str = "", run: Mapping[str, Any] | None = None) -> None:
        """Note what became of a run."""
        entry = self.entries[run_id]
        entry.result, entry.reason = result, reason
        if run:
            entry.name = str(run.get("name") or entry.name or "") or None
            entry.last_updated = run.get("last_updated") or entry.last_updated

    def fail(self, run_id: str, problem: Problem) -> None:
        """Note a failure."""
        self.problems[run_id] = problem
        self.set(run_id, "failed", " ".join(problem.message.split())[:500])

    @property
    def counts(self) -> dict[str, int]:
        """How many runs ended how."""
        found = Counter(entry.result for entry in self.entries.values())
        return {result: found[result] for result in RESULTS}

    @property
    def complete(self) -> bool:
        """Whether every run is as wanted, or was left alone on purpose."""
        counts = self.counts
        return not counts["failed"] and not counts["not_tried"]

    def mendable(self) -> bool:
        """Whether another try may do better: some failures pass, and what was not tried can be tried."""
        if any(problem.kind is Kind.AUTH for problem in self.problems.values()):
            return False
        passing = any(problem.kind in PASSING for problem in self.problems.values())
        return passing or (bool(self.counts["not_tried"]) and not self.problems)

    def merge_earlier(self, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what an earlier try changed: to this one, those runs look as if they had been so before.

        Those that this one has not come to yet keep what is known of them, for the report that replaces the earlier one
        must not know less. What the earlier try may have done without noting it is marked as ``UNCLEAR``.
        """
        for run_id, row in earlier.items():
            entry = self.entries.get(run_id)
            if entry is None or row.get("dry_run"):
                continue
            if row.get("result") != "changed":
                # "already" from the beginning has no reason.
                if entry.result == "already" and (row.get("result") != "already" or row.get("reason")):
                    entry.reason = UNCLEAR
                continue
            if entry.result == "not_tried":
                entry.last_updated = row.get("last_updated") or entry.last_updated
            if entry.result in {"already", "not_tried"}:
                entry.result, entry.reason = "changed", "by an earlier try"

    def summary(self) -> dict[str, Any]:
        """The report in a size that does not grow with the number of runs."""
        examples: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries.values():
            if entry.result in {"changed", "failed", "modified"}:
                some = examples.setdefault(entry.result, [])
                if len(some) < EXAMPLES:
                    some.append(entry.as_row())
        return {
            "doing": self.doing,
            "sentence": f"{self.sentence()}.",
            "dry_run": self.dry_run,
            "total": len(self.entries),
            **self.counts,
            "stopped": self.stopped,
            "requests": self.requests,
            "examples": examples,
        }

    def sentence(self) -> str:
        """The report in one line."""
        counts = self.counts
        would = "would be " if self.dry_run else ""
        words = {
            "changed": would + {"archive": "archived", "activate": "activated"}.get(self.doing, "updated"),
            "already": "already so",
            "modified": "left alone (modified since they were found)",
            "failed": "failed",
            "not_tried": "not tried",
        }
        parts = [f"{counts[result]:,} {words[result]}" for result in RESULTS if counts[result] or result == "changed"]
        return f"{runs(len(self.entries))}: {', '.join(parts)}" + (
            f". Stopped early: {self.stopped}" if self.stopped else ""
        )

    def lines(self) -> Iterable[str]:
        """The whole report, one JSON object per run."""
        more = {"dry_run": True} if self.dry_run else {}
        texts = (json.dumps({**entry.as_row(), **more}, ensure_ascii=False) for entry in self.entries.values())
        # Half of a surrogate pair, which a name cut by somebody may end in, is no UTF-8; as an escape it is JSON.
        return (text.encode(errors="backslashreplace").decode() for text in texts)


def runs(number: int) -> str:
    """So many runs, in words."""
    return f"{number:,} run{'' if number == 1 else 's'}"


def read_report(text: str) -> dict[str, dict[str, Any]]:
    """Read what :meth:`Report.lines` wrote: run id to row. A last line that was cut off is left out.

    :raises ArgumentError: if it is no such report.
    """
    rows: dict[str, dict[str, Any]] = {}
    lines = [line for line in text.split("\n") if line.strip()]  # names may hold other characters that end lines
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            rows[check_id("run_id", row["run_id"])] = row
        except (ValueError, TypeError, KeyError):
            if number == len(lines) and number > 1:
                break
            raise ArgumentError(f"line {number} is no line of a bulk report: {show(line)}") from None
    return rows
