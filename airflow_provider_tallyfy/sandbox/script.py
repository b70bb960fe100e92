"""What scripted people are told to do: an act on a run, or a standing rule for all runs to come. No clock here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_tallyfy.sandbox import task_work
from airflow_provider_tallyfy.sandbox.models import Guest, Person, Run, Task, Template
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.refusal import Refusal, not_found


@dataclass(frozen=True)
class Instruction:
    """What somebody does, wherever and whenever.

    :param act: one of :data:`ACTS`.
    :param task: title, alias or id of the task that it is about; ``None`` for the run itself.
    :param by: member id, e-mail of a member or of a guest; the task's first assignee, or the run's owner, by default.
    :param answers: what is filled in, by label, alias or id of the field, as the API takes it.
    :param text: what is written: a comment, an issue.
    """

    act: str
    task: str | None = None
    by: int | str | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        """Refuse what no act is, and acts that lack what they need."""
        if self.act not in ACTS:
            raise ValueError(f"nobody can {self.act!r}; people can {list(ACTS)}")
        if self.act in _ON_TASKS and not self.task:
            raise ValueError(f"{self.act!r} needs a task")
        if self.act in ("comment", "raise_issue") and not self.text:
            raise ValueError(f"{self.act!r} needs a text")
        if self.act == "fill" and not self.answers:
            raise ValueError("'fill' needs answers")


@dataclass
class ScriptedAct:
    """Something that somebody will do, or has done, on one run.

    :param run_id: the run.
    :param instruction: what is done.
    :param due: when, in monotonic seconds; ``None`` when it waits for polls.
    :param polls: how many polls it still waits for; ``None`` when it waits for a moment.
    :param outcome: empty until it is done; then ``done``, or why it was refused.
    """

    run_id: str
    instruction: Instruction
    due: float | None = None
    polls: int | None = None
    outcome: str = ""

    def as_dict(self, now: float) -> dict[str, Any]:
        """For JSON: what, where, and in how many seconds or polls."""
        return {
            "run": self.run_id,
            **{name: value for name, value in asdict(self.instruction).items() if value not in (None, "", {})},
            "in_seconds": None if self.due is None else round(max(0.0, self.due - now), 3),
            "in_polls": self.polls,
            "outcome": self.outcome or None,
        }


@dataclass(frozen=True)
class Rule:
    """What is done on every run that is launched from now on.

    :param instruction: what is done; nothing on runs without its task.
    :param template: title or id of the template whose runs are meant; ``None`` for any.
    :param after: seconds after the launch.
    :param after_polls: or: just before the so many-th poll after the launch.
    """

    instruction: Instruction
    template: str | None = None
    after: float = 0.0
    after_polls: int | None = None

    def fits(self, run: Run) -> bool:
        """Whether it is about a run."""
        return fits_template(self.template, run.template) and (
            self.instruction.task is None
            or any(self.instruction.task in (step.id, step.title, step.alias) for step in run.steps)
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "template": self.template,
            **{name: value for name, value in asdict(self.instruction).items() if value not in (None, "", {})},
            "after": self.after,
            "after_polls": self.after_polls,
        }


def fits_template(wanted: str | None, template: Template) -> bool:
    """Whether a template has this id or title; ``None`` is any."""
    return wanted is None or wanted in (template.id, template.title)


def carry_out(organization: Organization, act: ScriptedAct) -> None:
    """Do it by the API's rules, and note what became of it."""
    try:
        run = organization.find_run(act.run_id)
        instruction = act.instruction
        task = None if instruction.task is None else find_task(organization, run, instruction.task)
        ACTS[instruction.act](
            organization, run, task, who(organization, run, task, instruction.act, instruction.by), instruction
        )
    except Refusal as refusal:
        reasons = [reason for found in (refusal.errors or {}).values() for reason in found]
        act.outcome = "; ".join(reasons) or refusal.message
    else:
        act.outcome = "done"


def find_task(organization: Organization, run: Run, wanted: str) -> Task:
    """A run's task by id, title or alias; the first that is still open, of several."""
    tasks = organization.tasks_of(run).values()
    found = [task for task in tasks if wanted in (task.id, task.title, task.step.alias if task.step else None)]
    if not found:
        raise not_found()
    return next((task for task in found if task.open), found[0])


def who(organization: Organization, run: Run, task: Task | None, act: str, by: int | str | None) -> Person:
    """The one who acts: who is named, else the task's first assignee, else the run's owner."""
    members = organization.members
    if by is None and act == "delete":
        return next(one for one in members.values() if one.role == "admin")
    if isinstance(by, str):
        return next((one for one in members.values() if one.email.lower() == by.lower()), None) or Guest(by)
    if by is None and task is not None:
        in_groups = [
            one for key in task.groups if key in organization.groups for one in organization.groups[key].members
        ]
        if not task.users and task.guests:
            return Guest(task.guests[0])
        by = next(iter([*task.users, *in_groups]), None)
    return members.get(by or run.owner_id) or organization.owner_of(run)


def _complete(approve: bool | None) -> Act:
    def act(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
        assert task is not None
        if told.answers:
            _fill(organization, run, task, actor, told)
        task_work.complete_task(organization, task, actor, approve=approve)
        if told.text:
            task_work.add_thread(organization, task, actor, told.text, "comment")

    return act


def _fill(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
    fields = run.template.kickoff if task is None else task.step.fields if task.step else []
    by_name = {name: item.id for item in fields for name in (item.label, item.alias, item.id)}
    if strangers := [name for name in told.answers if name not in by_name]:
        raise Refusal(422, f"The form has no field {strangers[0]!r}.")
    answers = {by_name[name]: value for name, value in told.answers.items()}
    if task is not None:
        task_work.fill_task(organization, task, answers, actor)
    else:
        task_work.fill_kickoff(organization, run, answers, actor)


def _write(label: str) -> Act:
    def act(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
        place = task or task_work.live(organization, run.id)
        task_work.add_thread(organization, place, actor, told.text, label)

    return act


def _resolve(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
    place = task or run
    for thread in [one for one in place.threads if one.label == "problem" and not one.resolved]:
        task_work.resolve_thread(organization, place, actor, thread.id)


def _reopen(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
    assert task is not None
    task_work.reopen_task(organization, task, actor)


def _skip(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
    assert task is not None
    task_work.skip_task(organization, task, actor)


def _on_run(do: Callable[[Organization, Run, Person], object]) -> Act:
    def act(organization: Organization, run: Run, task: Task | None, actor: Person, told: Instruction) -> None:
        do(organization, run, actor)

    return act


Act = Callable[[Organization, Run, Task | None, Person, Instruction], None]
#: What people can do, by name.
ACTS: dict[str, Act] = {
    "complete": _complete(None),
    "approve": _complete(True),
    "reject": _complete(False),
    "fill": _fill,
    "comment": _write("comment"),
    "raise_issue": _write("problem"),
    "resolve_issues": _resolve,
    "reopen": _reopen,
    "skip": _skip,
    "complete_run": _on_run(lambda organization, run, actor: organization.complete_all(run, actor)),
    "archive": _on_run(lambda organization, run, actor: organization.archive(run.id, actor)),
    "auto_archive": _on_run(lambda organization, run, actor: organization.archive(run.id, organization.bot())),
    "activate": _on_run(lambda organization, run, actor: organization.activate(run.id, actor)),
    "delete": _on_run(lambda organization, run, actor: organization.destroy(run.id, actor)),
    "submit_kickoff": _on_run(task_work.submit_kickoff),
    "reopen_kickoff": _on_run(task_work.reopen_kickoff),
}
_ON_TASKS = frozenset({"complete", "approve", "reject", "reopen", "skip"})
