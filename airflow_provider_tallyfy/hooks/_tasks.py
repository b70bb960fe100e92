"""The hook methods for tasks, kick-off forms, templates and the activity feed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from airflow_provider_tallyfy.api import activity
from airflow_provider_tallyfy.api.endpoints import activity as activity_endpoints
from airflow_provider_tallyfy.api.endpoints import tasks as task_endpoints
from airflow_provider_tallyfy.api.endpoints import templates as template_endpoints
from airflow_provider_tallyfy.api.endpoints.paths import PAGE_SIZE
from airflow_provider_tallyfy.api.protocol.arguments import check_choice, check_texts
from airflow_provider_tallyfy.api.protocol.messages import Request
from airflow_provider_tallyfy.api.protocol.pagination import Walk, read_page
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs import kickoff
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.tasks import comments, complete, read
from airflow_provider_tallyfy.api.tasks.complete import TaskOutcome
from airflow_provider_tallyfy.api.tasks.model import STATUSES, Task
from airflow_provider_tallyfy.hooks._base import TallyfyBaseHook


class TasksHook(TallyfyBaseHook):
    """The part of :class:`~airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook` for tasks, forms and activities."""

    # -- tasks -------------------------------------------------------------------------------------------------------

    def iter_tasks(self, run_id: str, *, status: str | None = None, include: Iterable[str] = ()) -> Iterator[Task]:
        """Yield the tasks of a run as Tallyfy returns them, in the order of its steps, page by page.

        Tallyfy may hide the tasks of an archived run, and may not show those of a run launched a moment ago.

        :param run_id: 32-character id of the run.
        :param status: ``complete``, ``active``, ``active_visible``, ``incomplete``, ``inprogress``, ``not-started``,
            ``hasproblem``, ``overdue`` or ``due_soon``; ``None`` = all of them.
        :param include: relations to return with each task (``form_fields``, ``threads``, ``step`` ...).
        :raises TallyfyNotFoundError: if there is no such run.
        """
        if status is not None:
            status = self._checked(check_choice, "status", status, STATUSES)
        request = self._checked(task_endpoints.list_tasks, self.organization_id, run_id, include, status)
        return self._rows_of(request)

    def get_task(self, run_id: str, task: str, *, include: Iterable[str] = ()) -> Task:
        """Return one task of a run.

        :param run_id: 32-character id of the run.
        :param task: the task's id, title or alias. By id, it is one request.
        :param include: relations to return with the task, such as ``["form_fields", "threads"]``.
        :raises TallyfyArgumentError: if no task of the run has the name (with the nearest titles), or several have it.
        :raises TallyfyArchivedError: if the run is archived.
        :raises TallyfyNotFoundError: if there is no such run, or no task with this id in it.
        """
        wanted = self._checked(check_texts, "include", include)
        return self._perform(read.find(self.organization_id, run_id, task, include=wanted))

    def complete_task(
        self,
        run_id: str,
        task: str,
        *,
        answers: Mapping[str, Any] | None = None,
        approve: bool | None = None,
        comment: str | None = None,
    ) -> Task:
        """Complete a task once and return it. A task that is already complete is returned unchanged.

        The method reads the task, checks the answers, writes those that the task does not have yet, completes the task,
        and comments. If the response to the completion is lost, it reads the task, and never sends a second request. It
        can be called again after any error, and then makes only the remaining changes.

        .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Complete task")

        :param run_id: 32-character id of the run.
        :param task: the task's id, title or alias.
        :param answers: answers to its form, by label, alias or id of the field, as plain Python values.
        :param approve: ``True`` or ``False`` for an approval; ``None`` for any other task.
        :param comment: a comment to write after the completion. Tallyfy accepts 120 per hour and organization.
        :raises TallyfyArgumentError: for answers or a decision that do not fit the task, and for unknown titles.
        :raises TallyfyConflictError: if an approval was decided the other way, the task or its run has an open issue,
            or a rule hides the task.
        :raises TallyfyArchivedError: if the run is archived.
        :raises TallyfyIndeterminateError: if it is unknown whether the task is complete. A second call reads it first.
        """
        return self.complete_task_outcome(run_id, task, answers=answers, approve=approve, comment=comment).task

    def complete_task_outcome(
        self,
        run_id: str,
        task: str,
        *,
        answers: Mapping[str, Any] | None = None,
        approve: bool | None = None,
        comment: str | None = None,
        comment_if_already: bool = True,
    ) -> TaskOutcome:
        """Complete a task as :meth:`complete_task` does, and return also whether this changed it.

        :param run_id: 32-character id of the run.
        :param task: the task's id, title or alias.
        :param answers: see :meth:`complete_task`.
        :param approve: see :meth:`complete_task`.
        :param comment: see :meth:`complete_task`.
        :param comment_if_already: also comment on a task that was already complete, unless it has the comment.
        :return: the task, whether it was changed, and how this is known.
        """
        flow = complete.complete(
            self.organization_id,
            run_id,
            task,
            answers=answers,
            approve=approve,
            comment=comment,
            comment_if_already=comment_if_already is not False,
        )
        return self._perform(flow)

    def reopen_task(self, run_id: str, task: str) -> Task:
        """Reopen a complete task and return it. Its run becomes active again. An open task is returned unchanged.

        :param run_id: 32-character id of the run.
        :param task: the task's id, title or alias.
        :raises TallyfyIndeterminateError: if it is unknown whether the task is open. A second call reads it first.
        """
        return self._perform(complete.reopen(self.organization_id, run_id, task)).task

    def comment_on_task(self, task_id: str, content: str) -> dict[str, Any]:
        """Write a comment on a task and return it. Tallyfy accepts 120 comments per hour and organization.

        :param task_id: 32-character id of the task, which may be a one-off task.
        :param content: the text. ``@[1001]`` mentions the member with this id.
        :raises TallyfyRateLimitedError: if the organization has reached the hourly limit.
        :raises TallyfyUnrepeatableError: if it is unknown whether the comment was written. Look at the task first.
        """
        return self._perform(comments.comment(self.organization_id, task_id, content))

    # -- kick-off forms ----------------------------------------------------------------------------------------------

    def submit_kickoff(self, run_id: str) -> Run:
        """Submit a run's kick-off form with its present answers, and return the run.

        A submitted form stays unchanged. To change its answers, call :meth:`reopen_kickoff`, then :meth:`update_run`
        with ``prerun``, then this method.

        :param run_id: 32-character id of the run.
        :raises TallyfyArchivedError: if the run is archived.
        :raises TallyfyValidationError: if a required answer is missing.
        :raises TallyfyIndeterminateError: if it is unknown whether the form is submitted. A second call reads it first.
        """
        return self._perform(kickoff.submit(self.organization_id, run_id)).run

    def reopen_kickoff(self, run_id: str) -> Run:
        """Reopen a run's kick-off form and return the run, which becomes active again. An open form stays open.

        :param run_id: 32-character id of the run.
        :raises TallyfyArchivedError: if the run is archived.
        :raises TallyfyIndeterminateError: if it is unknown whether the form is open. A second call reads it first.
        """
        return self._perform(kickoff.reopen(self.organization_id, run_id)).run

    # -- templates ---------------------------------------------------------------------------------------------------

    def get_template(self, template_id: str) -> dict[str, Any]:
        """Return a template with its kick-off form (``prerun``) and its steps.

        :param template_id: 32-character id. An archived template can't be read.
        :raises TallyfyNotFoundError: if there is no such template, or it is archived.
        """
        template: dict[str, Any] = self._perform(
            ask(self._checked(template_endpoints.get_template, self.organization_id, template_id))
        )
        return template

    def iter_templates(self) -> Iterator[dict[str, Any]]:
        """Yield the organization's templates as Tallyfy returns them, page by page, without their steps."""
        return self._rows_of(self._checked(template_endpoints.list_templates, self.organization_id))

    # -- activity ----------------------------------------------------------------------------------------------------

    def iter_activity(
        self,
        *,
        entity_type: str | None = None,
        entity_id: str | None = None,
        type: str | None = None,
        verb: str | None = None,
        actor_type: str | None = None,
        actor_id: int | str | None = None,
        actor_email: str | None = None,
        source: str | None = None,
        created_after: date | datetime | str | None = None,
        created_before: date | datetime | str | None = None,
        search: str | None = None,
        field: str | None = None,
        origin_type: str | None = None,
        origin_id: str | None = None,
        per_page: int = PAGE_SIZE,
    ) -> Iterator[dict[str, Any]]:
        """Yield the activities in Tallyfy's audit trail (who did what), newest first, page by page.

        Without ``entity_type`` and ``entity_id``, these are the activities of the whole organization. Admins see all of
        them. Others see those that they may access, and Tallyfy does not say what it leaves out. Activities that are
        added during the reading do no harm: none is missed or yielded twice. ``None`` = not given.

        :param entity_type: ``checklist`` (a template), ``run``, ``step``, ``task`` or ``thread``; with ``entity_id``.
        :param entity_id: id of the object.
        :param type: type of the object that changed, as Tallyfy names it.
        :param verb: what was done, such as ``completed``, ``archived``, ``commented`` or ``issue-reported``.
        :param actor_type: type of the person who did it, as Tallyfy names it.
        :param actor_id: id of the person who did it: a number for a member, text for a guest.
        :param actor_email: e-mail address of the person who did it.
        :param source: ``Member``, ``Guest`` or ``Webhook``.
        :param created_after: the first day: a date or ISO 8601 text; for a point in time, its day in UTC.
        :param created_before: the last day, in the same formats.
        :param search: words to search for, 2 to 100 characters.
        :param field: name of the field that changed.
        :param origin_type: type of the object that caused the activity; with ``origin_id``.
        :param origin_id: id of the object that caused it.
        :param per_page: rows per request, 1 to 100.
        :raises TallyfyArgumentError: for a bad value, and for only one of ``entity_type`` and ``entity_id``, or of
            ``origin_type`` and ``origin_id``.
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        params = self._checked(activity.checked_filters, given)
        return self._rows_of(self._checked(activity_endpoints.list_activity, self.organization_id, **params))

    def _rows_of(self, request: Request) -> Iterator[dict[str, Any]]:
        walk = Walk(request)
        while walk.next_request is not None:
            yield from self._perform(read_page(walk))
