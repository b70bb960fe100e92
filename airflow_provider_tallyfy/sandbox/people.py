"""Scripted people: members and guests who work on runs by themselves, so that something can wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.script import Instruction, Rule, ScriptedAct, carry_out

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class When(TypedDict, total=False):
        """When somebody does something, and who it is."""

        after: float
        after_polls: int | None
        by: int | str | None


Answers = Mapping[str, Any] | None
_LISTS = frozenset({"/runs", "/tasks", "/me/tasks", "/activity-feeds"})


class People:
    """Members and guests who do something after so many seconds, or just before so many polls.

    ::

        sandbox.people.approve(run_id, "Approve", after=2.0, by="cfo@acme.example", comment="Fine by me.")
        sandbox.people.reject(run_id, "Approve", after_polls=3)
        sandbox.people.always("approve", task="Approve", template="Onboarding", after=2.0)  # on every run to come

    Every method takes ``after`` (seconds) or ``after_polls`` (just before the so many-th poll from now on; 1 is the
    next), and ``by``: a member's id or e-mail, or a guest's address; by default it is the task's first assignee, or
    else the run's owner. With neither of the first two it is done at once. What a person does is refused where the API
    would refuse it: :attr:`done` says so.

    A poll is a request that may show the run: a ``GET`` of it, of its tasks or of one of them, and the first page of
    ``/runs``, ``/tasks``, ``/me/tasks`` and ``/activity-feeds``. Each counts as one.

    Time passes while the sandbox runs: a timer of its own event loop wakes it, no thread. :meth:`pass_time` lets it
    pass at once, for tests that do not wait.

    :param organization: the state that they change.
    """

    def __init__(self, organization: Organization) -> None:
        self._organization = organization
        self._to_come: list[ScriptedAct] = []
        self._done: list[ScriptedAct] = []
        self._rules: list[Rule] = []
        self._passed = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        organization.on_launch.append(self._launched)

    # -- on a task -----------------------------------------------------------------------------------------------

    def complete(
        self, run_id: str, task: str, *, answers: Answers = None, comment: str = "", **when: Unpack[When]
    ) -> ScriptedAct:
        """Somebody completes a task.

        :param run_id: the run.
        :param task: title, alias or id.
        :param answers: what they fill in before, by label, alias or id of the field, as the API takes it.
        :param comment: what they write after that.
        :param when: ``after`` or ``after_polls``, and ``by``.
        """
        return self._plan(run_id, "complete", task, answers, comment, **when)

    def approve(
        self, run_id: str, task: str, *, answers: Answers = None, comment: str = "", **when: Unpack[When]
    ) -> ScriptedAct:
        """Somebody approves; arguments as for :meth:`complete`."""
        return self._plan(run_id, "approve", task, answers, comment, **when)

    def reject(
        self, run_id: str, task: str, *, answers: Answers = None, comment: str = "", **when: Unpack[When]
    ) -> ScriptedAct:
        """Somebody rejects; arguments as for :meth:`complete`."""
        return self._plan(run_id, "reject", task, answers, comment, **when)

    def skip(self, run_id: str, task: str, **when: Unpack[When]) -> ScriptedAct:
        """A rule of the template hides a task: ``auto-skipped``, and neither completed nor decided."""
        return self._plan(run_id, "skip", task, **when)

    def reopen(self, run_id: str, task: str, **when: Unpack[When]) -> ScriptedAct:
        """Somebody reopens a task, and so its run."""
        return self._plan(run_id, "reopen", task, **when)

    # -- on a task or on the run ---------------------------------------------------------------------------------

    def fill(
        self, run_id: str, answers: Mapping[str, Any], task: str | None = None, **when: Unpack[When]
    ) -> ScriptedAct:
        """Somebody answers fields of a task's form, or of the kick-off form when no task is named.

        :param answers: by label, alias or id of the field, as the API takes them.
        """
        return self._plan(run_id, "fill", task, answers, **when)

    def comment(self, run_id: str, text: str, task: str | None = None, **when: Unpack[When]) -> ScriptedAct:
        """Somebody comments on a task, or on the run when no task is named."""
        return self._plan(run_id, "comment", task, text=text, **when)

    def raise_issue(self, run_id: str, text: str, task: str | None = None, **when: Unpack[When]) -> ScriptedAct:
        """Somebody raises an issue on a task, or on the run, which locks all of its tasks."""
        return self._plan(run_id, "raise_issue", task, text=text, **when)

    def resolve_issues(self, run_id: str, task: str | None = None, **when: Unpack[When]) -> ScriptedAct:
        """Somebody resolves every open issue of a task, or of the run itself."""
        return self._plan(run_id, "resolve_issues", task, **when)

    # -- on the run ----------------------------------------------------------------------------------------------

    def complete_run(self, run_id: str, **when: Unpack[When]) -> ScriptedAct:
        """Somebody completes everything that is left of a run; its approvals are approved."""
        return self._plan(run_id, "complete_run", **when)

    def archive(self, run_id: str, *, by_bot: bool = False, **when: Unpack[When]) -> ScriptedAct:
        """Somebody archives a run, or the bot does that archives completed ones after some days."""
        return self._plan(run_id, "auto_archive" if by_bot else "archive", **when)

    def activate(self, run_id: str, **when: Unpack[When]) -> ScriptedAct:
        """Somebody brings an archived run back."""
        return self._plan(run_id, "activate", **when)

    def delete(self, run_id: str, **when: Unpack[When]) -> ScriptedAct:
        """An administrator deletes an archived run for ever; ``by`` the first of them unless said."""
        return self._plan(run_id, "delete", **when)

    def submit_kickoff(self, run_id: str, **when: Unpack[When]) -> ScriptedAct:
        """Somebody submits the kick-off form."""
        return self._plan(run_id, "submit_kickoff", **when)

    def reopen_kickoff(self, run_id: str, **when: Unpack[When]) -> ScriptedAct:
        """Somebody reopens the kick-off form, and so the run."""
        return self._plan(run_id, "reopen_kickoff", **when)

    # -- rules and looking ---------------------------------------------------------------------------------------

    def always(
        self,
        act: str,
        *,
        task: str | None = None,
        template: str | None = None,
        after: float = 0.0,
        after_polls: int | None = None,
        by: int | str | None = None,
        answers: Answers = None,
        text: str = "",
    ) -> Rule:
        """From now on, somebody does this on every run that is launched.

        :param act: what: the name of one of the methods above; ``auto_archive`` is archiving by the bot.
        :param task: title or alias of the task; runs without it are left alone.
        :param template: title or id of the template; any by default.
        :param after: seconds after the launch.
        :param after_polls: or: just before the so many-th poll after the launch.
        :param answers: what they fill in.
        :param text: the comment or the issue.
        """
        rule = Rule(Instruction(act, task, by, answers or {}, text), template, _seconds(after), _count(after_polls))
        with self._organization.lock:
            self._rules.append(rule)
        return rule

    def tell(self, act: str, run: str | None = None, **told: Any) -> ScriptedAct | Rule:
        """The same from plain data, as ``POST /_sandbox/people`` takes it.

        :param act: what.
        :param run: id of the run; without one it is a rule for all runs to come, as for :meth:`always`.
        :param told: any of task, template, after, after_polls, by, answers, text.
        """
        if run is None:
            return self.always(act, **told)
        return self._plan(run, act, **told)

    @property
    def to_come(self) -> list[ScriptedAct]:
        """What they are still to do, soonest first."""
        with self._organization.lock:
            return list(self._to_come)

    @property
    def done(self) -> list[ScriptedAct]:
        """What they did, or were refused, in order; ``outcome`` says which."""
        with self._organization.lock:
            return list(self._done)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``to_come``, ``rules`` and ``done``."""
        with self._organization.lock:
            now = self.now()
            return {
                "to_come": [act.as_dict(now) for act in self._to_come],
                "rules": [rule.as_dict() for rule in self._rules],
                "done": [act.as_dict(now) for act in self._done],
            }

    def forget(self) -> None:
        """They do nothing any more, on no run."""
        with self._organization.lock:
            self._to_come.clear()
            self._rules.clear()

    # -- time ----------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Their time: monotonic seconds."""
        return time.monotonic() + self._passed

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass for them at once; the organization's clock stays what it is."""
        with self._organization.lock:
            self._passed += _seconds(seconds)
            self.catch_up()

    def catch_up(self) -> None:
        """Do what is due."""
        with self._organization.lock:
            while self._to_come and self._to_come[0].due is not None and self._to_come[0].due <= self.now():
                self._do(self._to_come[0])

    def before(self, method: str, route: str, page: str = "1") -> None:
        """What they do just before a request is carried out: what is due by now, and what waited for this poll.

        :param method: of the request.
        :param route: path without ``/api`` and ``/organizations/{org}``.
        :param page: number of the page it asks for.
        """
        self.catch_up()
        if method != "GET" or page != "1" or not self._to_come:
            return
        run_id = self._polled(route)
        if run_id is None:
            return
        for act in [act for act in self._to_come if act.polls is not None and run_id in ("", act.run_id)]:
            assert act.polls is not None
            act.polls -= 1
            if act.polls <= 0:
                self._do(act)

    def keep_time(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Be woken by a running event loop; ``None`` ends it. Called in the loop's thread."""
        with self._organization.lock:
            self._loop = loop
            self._set_timer()

    # -- inside --------------------------------------------------------------------------------------------------

    def _plan(
        self,
        run_id: str,
        act: str,
        task: str | None = None,
        answers: Answers = None,
        text: str = "",
        *,
        after: float = 0.0,
        after_polls: int | None = None,
        by: int | str | None = None,
    ) -> ScriptedAct:
        told = Instruction(act, task, by, answers or {}, text)
        with self._organization.lock:
            if run_id not in self._organization.runs:
                raise ValueError(f"there is no run {run_id!r}")
            planned = self._act(run_id, told, after, after_polls)
            if planned.polls is None and not after:
                self._do(planned)
            return planned

    def _act(self, run_id: str, told: Instruction, after: float, after_polls: int | None) -> ScriptedAct:
        after, polls = _seconds(after), _count(after_polls)
        if after and polls is not None:
            raise ValueError("give either after or after_polls")
        act = ScriptedAct(run_id, told, None if polls is not None else self.now() + after, polls)
        self._to_come.append(act)
        # Those that wait for polls come last; what is due at the same moment keeps the order in which it was said.
        self._to_come.sort(key=lambda one: float("inf") if one.due is None else one.due)
        self._organization.version += 1
        self._wake()
        return act

    def _launched(self, run: Run) -> None:
        for rule in self._rules:
            if rule.fits(run):
                self._act(run.id, rule.instruction, rule.after, rule.after_polls)

    def _do(self, act: ScriptedAct) -> None:
        self._to_come.remove(act)
        carry_out(self._organization, act)
        self._done.append(act)
        self._organization.version += 1

    def _polled(self, route: str) -> str | None:
        """The run that a request may show; empty for any, ``None`` for none."""
        if route in _LISTS:
            return ""
        segments = route.split("/")
        if len(segments) < 3:
            return None
        if segments[1] == "runs":
            return segments[2]
        return self._organization.task_home.get(segments[2]) if segments[1] == "tasks" else None

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._set_timer)

    def _set_timer(self) -> None:
        """In the loop's thread: do what is due, and be called again when the next thing is."""
        with self._organization.lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._loop is None:
                return
            self.catch_up()
            if self._to_come and (due := self._to_come[0].due) is not None:
                self._timer = self._loop.call_later(max(0.0, due - self.now()), self._set_timer)


def _seconds(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"seconds are a number from 0 on, not {value!r}")
    return float(value)


def _count(value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"after_polls is a whole number from 1 on, not {value!r}")
    return value
