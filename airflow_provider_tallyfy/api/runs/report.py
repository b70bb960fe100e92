"""The runs of a bulk change, and the report of what happened to each. No requests are sent here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_id, listed, show
from airflow_provider_tallyfy.api.protocol.problems import Kind, Problem

Result = Literal["changed", "already", "modified", "failed", "not_tried"]
RESULTS: tuple[Result, ...] = ("changed", "already", "modified", "failed", "not_tried")
DONE = {"archive": "archived", "activate": "activated", "update": "updated", "restore": "restored"}
ALREADY = {"archive": "already archived", "activate": "already active", "update": "already up to date"}
EXAMPLES = 20  # runs per result that a summary names

#: The reason for "already" if an earlier try may have made the change.
UNCLEAR = "it changed after an earlier try began: that try changed it before it was stopped, or somebody else did"

#: Kinds of failure that a retry may fix.
TRANSIENT = frozenset({Kind.RATE_LIMITED, Kind.SERVER, Kind.UNREACHABLE, Kind.INDETERMINATE})

#: Kinds of failure after which the change may have been made, in full or in part.
DOUBTFUL = frozenset({Kind.INDETERMINATE, Kind.UNREPEATABLE, Kind.NOT_APPLIED, Kind.SERVER, Kind.UNREACHABLE})


@dataclass(frozen=True)
class Target:
    """A run to change.

    :param run_id: its id.
    :param seen: its ``last_updated`` when it was found; ``None`` = unknown.
    :param name: its name, for reports.
    :param archived_since: skip the run if it was archived before this time (ISO 8601).
    :param before: the values that an update replaced, to restore them.
    """

    run_id: str
    seen: str | None = None
    name: str | None = None
    archived_since: str | None = None
    before: Mapping[str, Any] | None = None

    @classmethod
    def of_row(cls, run_id: str, row: Mapping[str, Any]) -> Target:
        """Return the target for a row of a search or of a report."""
        before = row.get("before")
        return cls(
            run_id,
            _text(row.get("last_updated")),
            _text(row.get("name")),
            before=before if isinstance(before, Mapping) else None,
        )


def targets(argument: str, value: object, max_runs: int | None = None) -> list[Target]:
    """Read run ids, or rows with the id under ``id`` or ``run_id``. Repeated ids count once.

    :param max_runs: most runs allowed.
    :raises ArgumentError: for anything else, and for more runs than ``max_runs``.
    """
    if value is None or (isinstance(value, str) and not value):
        check_id(argument, value)  # raises, with advice on upstream tasks that returned nothing
    if isinstance(value, Mapping):
        raise ArgumentError(f"{argument}={show(value)} is one row, not a list of run ids. Pass [row], or [row['id']].")
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ArgumentError(
            f"{argument}={show(value)} is not a list of run ids. Pass the output of TallyfyListRunsOperator "
            "(task.output), a list, or a template with render_template_as_native_obj=True on the DAG."
        )
    found: dict[str, Target] = {}
    for i, entry in enumerate(listed(argument, value)):
        target = _target(f"{argument}[{i}]", entry)
        known = found.get(target.run_id)
        if known is None or (known.seen is None and target.seen is not None):
            found[target.run_id] = target
    if max_runs is not None and len(found) > max_runs:
        raise ArgumentError(
            f"{argument} has {len(found)} runs, but max_runs is {max_runs}. Nothing was changed. If the number is "
            "right, raise max_runs; if not, check the filters that found the runs."
        )
    return list(found.values())


def _target(place: str, entry: object) -> Target:
    if isinstance(entry, Target):
        return entry
    if not isinstance(entry, Mapping):
        return Target(check_id(place, entry))
    return Target.of_row(check_id(f"{place}['id']", entry.get("id", entry.get("run_id"))), entry)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def plain(text: str) -> str:
    """Return untrusted text as one printable line.

    Line ends, control characters and bidirectional controls become escape sequences.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass
class Entry:
    """The result for one run.

    :param result: ``changed``; ``already`` = there was nothing to do; ``modified`` = skipped, because somebody modified
        the run after it was found; ``failed``; ``not_tried``.
    :param reason: why, if the result does not explain itself.
    :param last_updated: as Tallyfy shows it after the change, so that an undo can detect later modifications.
    :param begun: whether a worker has been given the run.
    :param unclear: whether this task may have changed the run without knowing it.
    :param before: the values that an update replaced.
    """

    run_id: str
    result: Result = "not_tried"
    reason: str = ""
    name: str | None = None
    last_updated: str | None = None
    begun: bool = False
    unclear: bool = False
    before: Mapping[str, Any] | None = None

    def as_row(self) -> dict[str, Any]:
        """Return the entry as a row of the report."""
        row: dict[str, Any] = {"run_id": self.run_id, "result": self.result}
        row |= {"name": self.name, "last_updated": self.last_updated}
        if self.reason:
            row["reason"] = self.reason
        if self.unclear or (self.begun and self.result == "not_tried"):
            row["unclear"] = True
        if self.before is not None:
            row["before"] = dict(self.before)
        return row


@dataclass
class Report:
    """The results of a bulk change.

    :param doing: the operation: ``archive``, ``activate``, ``update`` or ``restore``.
    :param dry_run: nothing was written; ``changed`` means "would be changed".
    :param stopped: why it ended before every run was tried; empty if it did not.
    :param note: a remark on the whole change, such as why there was nothing to do.
    :param problems: the failures by run id.
    """

    doing: str
    entries: dict[str, Entry] = field(default_factory=dict)
    dry_run: bool = False
    stopped: str = ""
    note: str = ""
    requests: int = 0
    problems: dict[str, Problem] = field(default_factory=dict)

    @classmethod
    def of(cls, doing: str, wanted: Iterable[Target], *, dry_run: bool = False) -> Report:
        """Return a new report in which no run has been tried."""
        return cls(doing, {t.run_id: Entry(t.run_id, name=t.name, last_updated=t.seen) for t in wanted}, dry_run)

    def set(self, run_id: str, result: Result, reason: str = "", run: Mapping[str, Any] | None = None) -> None:
        """Record the result for a run."""
        entry = self.entries[run_id]
        entry.result, entry.reason, entry.unclear = result, reason, False
        if run:
            entry.name = _text(run.get("name")) or entry.name
            entry.last_updated = _text(run.get("last_updated")) or entry.last_updated

    def fail(self, run_id: str, problem: Problem) -> None:
        """Record a failure."""
        self.problems[run_id] = problem
        self.set(run_id, "failed", plain(" ".join(problem.message.split()))[:500])
        self.entries[run_id].unclear = problem.kind in DOUBTFUL

    @property
    def counts(self) -> dict[str, int]:
        """The number of runs per result."""
        found = Counter(entry.result for entry in self.entries.values())
        return {result: found[result] for result in RESULTS}

    @property
    def complete(self) -> bool:
        """Whether every run was tried, and none failed."""
        counts = self.counts
        return not counts["failed"] and not counts["not_tried"]

    def retryable(self) -> bool:
        """Whether a retry may change more runs: some failures are transient, and runs may not have been tried."""
        if any(problem.kind is Kind.AUTH for problem in self.problems.values()):
            return False
        transient = any(problem.kind in TRANSIENT for problem in self.problems.values())
        return transient or (bool(self.counts["not_tried"]) and not self.problems)

    def merge_earlier(self, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        """Merge the report of an earlier try of the same task, which this report replaces.

        A run that the earlier try changed counts as changed, even if this try did not get it: a new search no longer
        finds the runs that the first try archived. A run that it may have changed stays unclear until this try has
        written to it. Values that it replaced are the old values, whatever this try has read.
        """
        for run_id, row in earlier.items():
            result, unclear = row.get("result"), bool(row.get("unclear"))
            entry = self.entries.get(run_id)
            if entry is None:
                if result != "changed" and not unclear:
                    continue
                entry = self.entries[run_id] = Entry(
                    run_id, "already", UNCLEAR, _text(row.get("name")), _text(row.get("last_updated")), unclear=unclear
                )
            if isinstance(row.get("before"), Mapping):
                entry.before = {**(entry.before or {}), **row["before"]}
            if result == "changed":
                if entry.result == "not_tried":
                    entry.last_updated = _text(row.get("last_updated")) or entry.last_updated
                if entry.result in {"already", "not_tried"}:
                    entry.result, entry.reason, entry.unclear = "changed", "by an earlier try", False
                entry.unclear = entry.unclear or entry.result == "failed"
            elif unclear and entry.result == "already":
                entry.reason, entry.unclear = UNCLEAR, True
            elif unclear and entry.result in {"not_tried", "failed"}:
                entry.unclear = True

    def summary(self) -> dict[str, Any]:
        """Return a summary whose size does not grow with the number of runs."""
        examples: dict[str, list[dict[str, Any]]] = {}
        for entry in self.entries.values():
            if entry.result in {"changed", "failed", "modified"}:
                some = examples.setdefault(entry.result, [])
                if len(some) < EXAMPLES:
                    some.append({key: value for key, value in entry.as_row().items() if key != "before"})
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
        """Return the report in one line."""
        counts = self.counts
        would = "would be " if self.dry_run else ""
        words = {
            "changed": would + DONE.get(self.doing, "updated"),
            "already": ALREADY.get(self.doing, "already restored"),
            "modified": "skipped",
            "failed": "failed",
            "not_tried": "not tried",
        }
        parts = [f"{counts[result]:,} {words[result]}" for result in RESULTS if counts[result] or result == "changed"]
        stopped = f"Stopped early: {self.stopped}" if self.stopped else ""
        sentence = f"{runs(len(self.entries))}: {', '.join(parts)}"
        return ". ".join(filter(None, (sentence, stopped, self.note)))


def runs(number: int) -> str:
    """Return ``1 run`` or ``2 runs``."""
    return f"{number:,} run{'' if number == 1 else 's'}"
