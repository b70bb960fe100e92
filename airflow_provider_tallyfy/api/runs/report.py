"""Many runs in one go: which ones, what became of each, and what to make of a doubt. No requests are sent here."""

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
EXAMPLES = 20  # runs of each kind that a summary names

#: Why a run was already as wanted, where nobody knows whose doing it was.
UNCLEAR = "since an earlier try began: that try did it and was stopped before it could note it, or somebody else did"

#: Kinds of failure that do not come again every time.
PASSING = frozenset({Kind.RATE_LIMITED, Kind.SERVER, Kind.UNREACHABLE, Kind.INDETERMINATE})

#: Kinds of failure after which the change may have been made, or some of it.
DOUBTFUL = frozenset({Kind.INDETERMINATE, Kind.UNREPEATABLE, Kind.NOT_APPLIED, Kind.SERVER, Kind.UNREACHABLE})


@dataclass(frozen=True)
class Target:
    """A run to change.

    :param run_id: its id.
    :param seen: its ``last_updated`` when it was found; ``None`` = not known.
    :param name: its name, for reports.
    :param archived_since: leave the run alone if it was archived before this time (ISO 8601).
    :param before: the values that an update replaced, for putting them back.
    """

    run_id: str
    seen: str | None = None
    name: str | None = None
    archived_since: str | None = None
    before: Mapping[str, Any] | None = None


def targets(argument: str, value: object, max_runs: int | None = None) -> list[Target]:
    """Read run ids, or rows that hold them under ``id`` or ``run_id``. Repeated ids count once.

    :param max_runs: most runs allowed.
    :raises ArgumentError: for anything else, and for more runs than allowed.
    """
    if value is None or (isinstance(value, str) and not value):
        check_id(argument, value)  # raises, with the advice for an id that an upstream task did not return
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
            f"{argument} holds {len(found)} runs, max_runs allows {max_runs}. Nothing was changed. If the number is "
            "right, raise max_runs; if not, look at the filters that found them."
        )
    return list(found.values())


def _target(place: str, entry: object) -> Target:
    if isinstance(entry, Target):
        return entry
    if not isinstance(entry, Mapping):
        return Target(check_id(place, entry))
    run_id = check_id(f"{place}['id']", entry.get("id", entry.get("run_id")))
    before = entry.get("before")
    return Target(
        run_id,
        _text(entry.get("last_updated")),
        _text(entry.get("name")),
        before=before if isinstance(before, Mapping) else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def plain(text: str) -> str:
    """Make one printable line of text from outside.

    Line ends, control characters and changes of the direction of writing are shown as escapes.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass
class Entry:
    """What became of one run.

    :param result: ``changed``; ``already`` = nothing to do; ``modified`` = somebody changed it after it was found, so
        it was left alone; ``failed``; ``not_tried``.
    :param reason: why, where it does not go without saying.
    :param last_updated: as Tallyfy shows it now, so that an undo can see whether it was modified since.
    :param begun: whether it was handed out to be changed.
    :param unclear: whether this task may have changed it without knowing.
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
        """The entry as a line of the report."""
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
    """What became of every run of a bulk change.

    :param doing: what was to be done: ``archive``, ``activate``, ``update``, ``restore``.
    :param dry_run: ``changed`` means "would be changed"; nothing was written.
    :param stopped: why it ended before every run was tried; empty if it did not.
    :param note: a remark on all of it, such as why there was nothing to do.
    :param problems: the failures, by run id, as far as Tallyfy or the way to it caused them.
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
        """Begin a report in which no run has been tried."""
        return cls(doing, {t.run_id: Entry(t.run_id, name=t.name, last_updated=t.seen) for t in wanted}, dry_run)

    def set(self, run_id: str, result: Result, reason: str = "", run: Mapping[str, Any] | None = None) -> None:
        """Note what became of a run."""
        entry = self.entries[run_id]
        entry.result, entry.reason, entry.unclear = result, reason, False
        if run:
            entry.name = _text(run.get("name")) or entry.name
            entry.last_updated = _text(run.get("last_updated")) or entry.last_updated

    def fail(self, run_id: str, problem: Problem) -> None:
        """Note a failure."""
        self.problems[run_id] = problem
        self.set(run_id, "failed", plain(" ".join(problem.message.split()))[:500])
        self.entries[run_id].unclear = problem.kind in DOUBTFUL

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

    def retryable(self) -> bool:
        """Whether another try may do better: some failures pass, and what was not tried can be tried."""
        if any(problem.kind is Kind.AUTH for problem in self.problems.values()):
            return False
        passing = any(problem.kind in PASSING for problem in self.problems.values())
        return passing or (bool(self.counts["not_tried"]) and not self.problems)

    def merge_earlier(self, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what an earlier try of the same task did, so that the report that replaces its own knows no less.

        What it changed counts as changed, whether it was asked for again or not: a list that was found anew no longer
        holds the runs that the first try archived. What it may have changed stays unclear until this try has written to
        it. What it replaced in an update is what was there before, whatever this try has seen.
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
        """The report in a size that does not grow with the number of runs."""
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
        """The report in one line."""
        counts = self.counts
        would = "would be " if self.dry_run else ""
        words = {
            "changed": would + DONE.get(self.doing, "updated"),
            "already": "already so",
            "modified": "left alone",
            "failed": "failed",
            "not_tried": "not tried",
        }
        parts = [f"{counts[result]:,} {words[result]}" for result in RESULTS if counts[result] or result == "changed"]
        stopped = f"Stopped early: {self.stopped}" if self.stopped else ""
        sentence = f"{runs(len(self.entries))}: {', '.join(parts)}"
        return ". ".join(filter(None, (sentence, stopped, self.note)))


def runs(number: int) -> str:
    """So many runs, in words."""
    return f"{number:,} run{'' if number == 1 else 's'}"
