"""Launch a run, once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, timezone
from functools import cached_property
from typing import Any, Literal

from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.launch import launch
from airflow_provider_tallyfy.api.runs.launch_arguments import CHECKS, Launch
from airflow_provider_tallyfy.api.runs.launch_key import LAG, LaunchKey, TaskIdentity, key_of
from airflow_provider_tallyfy.api.runs.model import Run, describe
from airflow_provider_tallyfy.exceptions import TallyfyAlreadyError, TallyfyArgumentError
from airflow_provider_tallyfy.hooks._base import TallyfyBaseHook

IfLaunched = Literal["adopt", "launch_again", "fail"]


class LaunchRunsHook(TallyfyBaseHook):
    """The part of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` that launches runs."""

    def launch_run(
        self,
        template: str,
        *,
        name: str | None = None,
        summary: str | None = None,
        owner: int | str | None = None,
        answers: Mapping[str, Any] | None = None,
        assignees: Mapping[str, Iterable[int | str]] | None = None,
        deadlines: Mapping[str, datetime | date | timedelta | str] | None = None,
        tags: Iterable[str] | None = None,
        folders: Iterable[str] | None = None,
        launch_key: str | None = None,
        if_launched: IfLaunched = "adopt",
        extra_fields: Mapping[str, Any] | None = None,
    ) -> Run:
        """Launch a run of a template and return it. Errors are those of :meth:`launch_run_outcome`.

        With ``launch_key``, calling it again launches nothing: the run that has the key is returned. Without, every
        call launches a run, so a task that is retried launches a second one.

        :param template: title or id of the template.
        :param name: name of the run, at most 550 characters; ``None`` = the template's title and the day.
        :param summary: summary of the run; the marker of its key is written below it.
        :param owner: id or e-mail address of the member who owns it; ``None`` = the token's user.
        :param answers: answers to the kick-off form, by label, alias or id of its fields, as plain Python values.
        :param assignees: who does a step, by its title, alias or id: e-mail addresses and ids of members, and e-mail
            addresses of guests. They replace the step's own owners; other steps keep theirs.
        :param deadlines: until when a step is to be done, by its title, alias or id: a ``datetime``, a ``date`` (the
            end of that day), ISO 8601 text, or a ``timedelta`` (or ``"P3D"``) from now on.
        :param tags: ids or titles of tags.
        :param folders: ids or names of folders.
        :param launch_key: which launches are one and the same, such as a customer's number; good for ever.
        :param if_launched: what to do where a run has the key already: ``adopt`` it, ``launch_again``, or ``fail``.
        :param extra_fields: further fields of the API, by name.
        """
        return self.launch_run_outcome(
            template,
            name=name,
            summary=summary,
            owner=owner,
            answers=answers,
            assignees=assignees,
            deadlines=deadlines,
            tags=tags,
            folders=folders,
            launch_key=launch_key,
            if_launched=if_launched,
            extra_fields=extra_fields,
        ).run

    def launch_run_outcome(
        self,
        template: str,
        *,
        name: str | None = None,
        summary: str | None = None,
        owner: int | str | None = None,
        answers: Mapping[str, Any] | None = None,
        assignees: Mapping[str, Iterable[int | str]] | None = None,
        deadlines: Mapping[str, datetime | date | timedelta | str] | None = None,
        tags: Iterable[str] | None = None,
        folders: Iterable[str] | None = None,
        launch_key: str | None = None,
        if_launched: IfLaunched = "adopt",
        extra_fields: Mapping[str, Any] | None = None,
        task: TaskIdentity | None = None,
        on_launched: Callable[[Run], object] | None = None,
    ) -> Outcome:
        """Do as :meth:`launch_run`, and tell how it came about.

        The run is looked for by its key before it is launched: always with ``launch_key``, and where a task is tried
        again. After an answer that was lost it is looked for as well, a second time after 20 seconds. The POST is never
        repeated on a guess. What was launched is read and compared with what was asked for.

        :param template: title or id of the template.
        :param name: name of the run, at most 550 characters; ``None`` = the template's title and the day.
        :param summary: summary of the run; the marker of its key is written below it.
        :param owner: id or e-mail address of the member who owns it; ``None`` = the token's user.
        :param answers: answers to the kick-off form, by label, alias or id of its fields, as plain Python values.
        :param assignees: who does a step, by its title, alias or id: e-mail addresses and ids of members, and e-mail
            addresses of guests. They replace the step's own owners; other steps keep theirs.
        :param deadlines: until when a step is to be done, by its title, alias or id: a ``datetime``, a ``date`` (the
            end of that day), ISO 8601 text, or a ``timedelta`` (or ``"P3D"``) from now on.
        :param tags: ids or titles of tags.
        :param folders: ids or names of folders.
        :param launch_key: which launches are one and the same, such as a customer's number; good for ever.
        :param if_launched: what to do where a run has the key already: ``adopt`` it, ``launch_again``, or ``fail``.
        :param extra_fields: further fields of the API, by name.
        :param task: the task that launches: its key where ``launch_key`` is not given, and which try it is.
        :param on_launched: called with the run as soon as its id is known, before it is compared. What it raises is
            logged.
        :return: ``how`` is ``changed`` = launched, ``already`` = launched before, ``checked`` = launched, but the
            answer was lost.
        :raises TallyfyArgumentError: for a bad value, and for labels, steps, people and titles that do not exist
            (naming the nearest). Nothing was launched.
        :raises TallyfyAlreadyError: if a run has the key, and ``if_launched="fail"``.
        :raises TallyfyConflictError: if a run of another template has the key, and if Tallyfy has no free seat.
        :raises TallyfyForbiddenError: if the token's user may not launch the template, or it is a draft.
        :raises TallyfyNotAppliedError: if the run was launched, but its tasks, owner or answers are not as wanted.
        :raises TallyfyIndeterminateError: if it can't be found out whether the run was launched.
        """
        wanted = {
            "template": template,
            "name": name,
            "summary": summary,
            "owner": owner,
            "answers": answers,
            "assignees": assignees,
            "deadlines": deadlines,
            "tags": tags,
            "folders": folders,
            "extra_fields": extra_fields,
        }
        now = datetime.now(timezone.utc)
        key = self._launch_key(launch_key, if_launched, task, now)
        if on_launched is not None and not callable(on_launched):
            raise TallyfyArgumentError(f"on_launched={show(on_launched)} can't be called.")
        outcome = self._perform(
            launch(
                self.organization_id,
                self._checked(Launch.of, wanted, now),
                key,
                on_launched=lambda run: self._tell(on_launched, run),
            )
        )
        note = f" ({outcome.note})" if outcome.note else ""
        if outcome.how != "already":
            self.log.info("Launched run %s with the key %s%s.", describe(outcome.run), key.code, note)
        elif if_launched == "fail":
            raise TallyfyAlreadyError(
                f"The run {describe(outcome.run)} was launched before with the key {key.code}{note}, and "
                "if_launched='fail'. Nothing was launched."
            )
        else:
            self.log.info(
                "Run %s was launched before with the key %s, so it is adopted and nothing is launched%s.",
                describe(outcome.run),
                key.code,
                note,
            )
        return outcome

    def _launch_key(self, given: object, if_launched: object, task: object, now: datetime) -> LaunchKey:
        if task is not None and not isinstance(task, TaskIdentity):
            raise TallyfyArgumentError(f"task={show(task)} is not a TaskIdentity.")
        started = self._first_launch
        choice = self._checked(CHECKS["if_launched"], "if_launched", if_launched)
        return key_of(
            None if given is None else self._checked(CHECKS["launch_key"], "launch_key", given),
            task,
            again=choice == "launch_again",
            now=now,
            tried=_tried_before(),
            unique=uuid.uuid4().hex,
            lag=max(0.0, LAG - int(self.clock.monotonic() - started)),
        )

    @cached_property
    def _first_launch(self) -> float:
        """When this hook launched first: what an earlier try launched is older than that."""
        return self.clock.monotonic()

    def _tell(self, on_launched: Callable[[Run], object] | None, run: Run) -> None:
        if on_launched is None:
            return
        try:
            on_launched(run)
        except Exception as fault:  # the run is launched, whatever becomes of the message
            self.log.warning("Run %s is launched; telling so failed with %s.", describe(run), type(fault).__name__)


def _tried_before() -> bool:
    """Whether Airflow says, in the environment of a running task, that this is not its first try."""
    number = os.environ.get("AIRFLOW_CTX_TRY_NUMBER", "")
    return number.isascii() and number.isdigit() and int(number[:9]) > 1
