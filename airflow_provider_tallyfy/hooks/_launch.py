"""The hook methods that launch a run once."""

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
        """Launch a run of a template and return it. Raises the same exceptions as :meth:`launch_run_outcome`.

        With ``launch_key``, a second call launches nothing: it returns the run that has the key. Without it, every call
        launches a run, and so does the retry of a task.

        :param template: title or id of the template.
        :param name: name of the run, at most 550 characters; ``None`` = the template's title and the day.
        :param summary: summary of the run. A line with the key of the launch is added below it.
        :param owner: id or e-mail address of the member who owns the run; ``None`` = the token's user.
        :param answers: answers to the kick-off form, by label, alias or id of the field, as plain Python values.
        :param assignees: the assignees of steps, by title, alias or id of the step: e-mail addresses and ids of
            members, and e-mail addresses of guests. They replace the owners of the step; other steps keep theirs.
        :param deadlines: when steps are due, by title, alias or id of the step: a ``datetime``, a ``date`` (the end of
            that day), ISO 8601 text, or a ``timedelta`` (or ``"P3D"``) from now.
        :param tags: ids or titles of tags.
        :param folders: ids or names of folders.
        :param launch_key: identifies what is launched, for example a customer number. It does not expire.
        :param if_launched: what to do if a run already has the key: ``adopt`` it, ``launch_again``, or ``fail``.
        :param extra_fields: further fields of the API, by name.
        :return: the run as Tallyfy returned it.
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
        """Launch a run as :meth:`launch_run` does, and return also whether this launched it.

        With ``launch_key``, and when a task is retried, the method first searches for a run that has the key. It also
        does so if the answer to the POST is lost, and once more after 20 seconds. It never repeats the POST on a guess.
        At the end it reads the new run, and compares it with the arguments.

        .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Launch process")

        :param template: title or id of the template.
        :param name: name of the run, at most 550 characters; ``None`` = the template's title and the day.
        :param summary: summary of the run. A line with the key of the launch is added below it.
        :param owner: id or e-mail address of the member who owns the run; ``None`` = the token's user.
        :param answers: answers to the kick-off form, by label, alias or id of the field, as plain Python values.
        :param assignees: the assignees of steps, by title, alias or id of the step: e-mail addresses and ids of
            members, and e-mail addresses of guests. They replace the owners of the step; other steps keep theirs.
        :param deadlines: when steps are due, by title, alias or id of the step: a ``datetime``, a ``date`` (the end of
            that day), ISO 8601 text, or a ``timedelta`` (or ``"P3D"``) from now.
        :param tags: ids or titles of tags.
        :param folders: ids or names of folders.
        :param launch_key: identifies what is launched, for example a customer number. It does not expire.
        :param if_launched: what to do if a run already has the key: ``adopt`` it, ``launch_again``, or ``fail``.
        :param extra_fields: further fields of the API, by name.
        :param task: the task that launches the run, and its try. If ``launch_key`` is not given, it is the key.
        :param on_launched: called with the run as soon as its id is known, before the run is compared with the
            arguments. If it raises an exception, the exception is logged.
        :return: the run, and how it was launched: ``changed`` = launched; ``already`` = launched before;
            ``checked`` = launched, but the answer was lost, and a search found the run.
        :raises TallyfyArgumentError: for a bad value, and for a label, step, person or title that does not exist (with
            the nearest ones). Nothing was launched.
        :raises TallyfyAlreadyError: if a run already has the key, and ``if_launched="fail"``.
        :raises TallyfyConflictError: if a run of another template has the key, or Tallyfy has no free seat.
        :raises TallyfyForbiddenError: if the token's user may not launch the template, or it is a draft.
        :raises TallyfyNotAppliedError: if the run was launched, but its tasks, owner or answers are not as requested.
        :raises TallyfyIndeterminateError: if it is unknown whether the run was launched.
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
                on_launched=lambda run: self._call(on_launched, run),
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
                "Adopted run %s, which was launched before with the key %s%s. Nothing was launched.",
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
        """The time of the first launch of this hook. Runs that an earlier try launched are older."""
        return self.clock.monotonic()

    def _call(self, on_launched: Callable[[Run], object] | None, run: Run) -> None:
        if on_launched is None:
            return
        try:
            on_launched(run)
        except Exception as fault:  # the run is launched, so the error must not end the launch
            self.log.warning("Run %s is launched, but on_launched raised %s.", describe(run), type(fault).__name__)


def _tried_before() -> bool:
    """Return whether the environment variables that Airflow sets for a task say that this is a retry."""
    number = os.environ.get("AIRFLOW_CTX_TRY_NUMBER", "")
    return number.isascii() and number.isdigit() and int(number[:9]) > 1
