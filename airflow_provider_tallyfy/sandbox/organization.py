"""Processes: how runs and their tasks come to be, change, are archived and destroyed. No HTTP, no JSON."""

from __future__ import annotations

import time

from airflow_provider_tallyfy.sandbox.models import Event, Guest, Member, Person, Run, Step, Task, Thread
from airflow_provider_tallyfy.sandbox.refusal import Refusal, forbidden, invalid, not_found
from airflow_provider_tallyfy.sandbox.registry import Registry


class Organization(Registry):
    """An organization with its runs and tasks.

    :param behaviour: positions of the switches.
    :param seed: makes ids and tokens the same every time; random when ``None``.
    """

    def write(self, run: Run) -> None:
        """Announce a change of a run: bumps ``last_updated`` and keeps what a lagging replica still shows."""
        if self.behaviour.read_lag > 0:
            self.tasks_of(run)
            run.before = run.snapshot()
            run.lagging_until = time.monotonic() + self.behaviour.read_lag
        run.last_updated = time.time()
        self.version += 1

    def as_read(self, run: Run) -> Run | None:
        """The run as a read shows it now: itself, its former self, or nothing yet."""
        if run.lagging_until and run.lagging_until > time.monotonic():
            return run.before
        return run

    def add_run(self, run: Run) -> None:
        """Take a run into the organization, and tell those who wait for new ones."""
        self.runs[run.id] = run
        run.template.launched += 1
        self.version += 1
        starter = self.members.get(run.started_by) or next(iter(self.members.values()))
        self.log("created", starter, run, "run", run.id, f"Launched process: {run.name}", at=run.created_at)
        for told in self.on_launch:
            told(run)

    def find_run(self, run_id: str) -> Run:
        """The true run, archived or not; 404 when there is none."""
        run = self.runs.get(run_id)
        if run is None:
            raise not_found()
        return run

    def read_run(self, run_id: str) -> Run:
        """The run as ``GET`` shows it."""
        run = self.as_read(self.find_run(run_id))
        if run is None or (run.archived_at is not None and self.behaviour.get_archived == "404"):
            raise not_found()
        return run

    def archive(self, run_id: str, actor: Person) -> Run:
        """Soft-delete a run with its tasks, threads and assets; all of it comes back with :meth:`activate`."""
        run = self.find_run(run_id)
        if actor.role in ("light", "guest"):
            raise forbidden("Light members cannot archive processes.")
        if run.archived_at is not None:
            if self.behaviour.second_archive == "404":
                raise not_found()
            return run
        self.write(run)
        run.archived_at = run.last_updated
        self.log("archived", actor, run, "run", run.id, f"{actor.full_name} archived {run.name}")
        return run

    def activate(self, run_id: str, actor: Person) -> Run:
        """Restore an archived run; its status is what it was before."""
        run = self.find_run(run_id)
        if actor.role in ("light", "guest"):
            raise forbidden("Light members cannot activate processes.")
        if run.archived_at is None:
            if self.behaviour.activate_live == "400":
                raise Refusal(400, "This process is not archived.")
            if self.behaviour.activate_live == "404":
                raise not_found()
            return run
        self.write(run)
        run.archived_at = None
        self.log("unarchived", actor, run, "run", run.id, f"{actor.full_name} activated {run.name}")
        return run

    def destroy(self, run_id: str, actor: Person) -> None:
        """Delete an archived run for ever."""
        run = self.find_run(run_id)
        if actor.role != "admin":
            raise forbidden("Only administrators can permanently delete processes.")
        if run.archived_at is None:
            if self.behaviour.delete_live == "404":
                raise not_found()
            raise invalid("run", "The process must be archived before it can be deleted.")
        for link in run.tags.values():
            self.tag_links.pop(link, None)
        for link in run.folders.values():
            self.folder_links.pop(link, None)
        for task_id in run.tasks or ():
            self.task_home.pop(task_id, None)
        self.log("deleted", actor, run, "run", run.id, f"{actor.full_name} deleted {run.name}")
        del self.runs[run_id]
        self.version += 1

    def tasks_of(self, run: Run) -> dict[str, Task]:
        """The run's tasks, made on first use."""
        if run.tasks is None:
            tasks = [self._task(run, step, number) for number, step in enumerate(run.steps, start=1)]
            for task in tasks[: run.done]:
                task.status = "completed"
                task.completed_at = run.completed_at or run.last_updated
                task.completer_id = run.owner_id
            if run.status == "problem" and run.done < len(tasks):
                tasks[run.done].threads.append(self.new_thread("Something is wrong here.", "problem", run.owner_id))
            elif run.done < len(tasks):
                tasks[run.done].status = "active"
            run.tasks = {task.id: task for task in tasks}
            self.task_home.update(dict.fromkeys(run.tasks, run.id))
        return run.tasks

    def _task(self, run: Run, step: Step, position: int) -> Task:
        wishes = run.overrides.get(step.id) or {}
        users, guests, groups = run.owners_of(step)
        deadline = wishes.get("deadline")
        if deadline is None and step.deadline_days is not None:
            deadline = run.created_at + step.deadline_days * 86400
        task = Task(
            self.new_id(),
            self.next_number("increment"),
            step.title,
            run.id,
            step,
            position if wishes.get("position") is None else wishes["position"],
            run.created_at,
            run.created_at,
            users=users,
            guests=guests,
            groups=groups,
            task_type=step.task_type,
            deadline=deadline,
            max_assignable=wishes.get("max_assignable") or 0,
            started_at=run.started_at,
        )
        return task

    def find_task(self, task_id: str, run_id: str | None = None) -> Task:
        """A live task by id, of ``run_id`` if given; those of archived runs are gone with them."""
        if run_id is not None:
            run = self.find_run(run_id)
            if run.archived_at is not None:
                raise not_found()
            task = self.tasks_of(run).get(task_id)
        elif task_id in self.one_off_tasks:
            task = self.one_off_tasks[task_id]
        else:
            home = self.task_home.get(task_id)
            return self.find_task(task_id, home) if home else _none()
        if task is None or task.archived_at is not None:
            raise not_found()
        return task

    def read_task(self, task_id: str, run_id: str | None = None) -> Task:
        """A live task as ``GET`` shows it."""
        task = self.find_task(task_id, run_id)
        if task.run_id is None:
            return task
        run = self.as_read(self.runs[task.run_id])
        shown = None if run is None or run.archived_at is not None else (run.tasks or {}).get(task_id)
        return shown or _none()

    def progress(self, run: Run) -> tuple[int, int]:
        """Completed tasks and all tasks."""
        if run.tasks is None:
            return run.done, len(run.steps)
        live = [task for task in run.tasks.values() if task.archived_at is None and task.status != "auto-skipped"]
        return sum(task.done for task in live), len(live)

    def settle(self, run: Run, actor: Person | None = None) -> None:
        """Work out the status after a task, the kick-off form or an issue changed.

        :param actor: who changed it; the run's owner unless said.
        """
        complete, total = self.progress(run)
        was_complete = run.status == "complete"
        if run.has_open_issue:
            run.status = "issue"
        elif any(task.problem for task in self.tasks_of(run).values()):
            run.status = "problem"
        elif complete >= total and run.prerun_completed_at is not None:
            run.status = "complete"
        else:
            run.status = "delayed" if run.delayed else "active"
        if run.status == "complete" and not was_complete:
            run.completed_at = time.time()
        elif run.status != "complete":
            run.completed_at = None
        if (run.status == "complete") != was_complete and self.behaviour.feed_run_rows == "written":
            verb, word = ("re-opened", "Reopened") if was_complete else ("completed", "Completed")
            self.log(verb, actor or self.owner_of(run), run, "run", run.id, f"{word} process: {run.name}")

    def complete_all(self, run: Run, actor: Person | None = None) -> None:
        """Complete every task and the kick-off form, as people do while a sensor polls."""
        self.write(run)
        now, actor = time.time(), actor or self.owner_of(run)
        for task in self.tasks_of(run).values():
            if task.open:
                task.status, task.completed_at, task.completer_id = "completed", now, actor.id
                if task.task_type == "approval":
                    task.is_approved = True
                self.log("completed", actor, run, "task", task.id, f"Completed task: {task.title}")
        run.prerun_completed_at = run.prerun_completed_at or now
        for thread in run.threads:
            thread.resolved = True
        self.settle(run, actor)

    def owner_of(self, run: Run) -> Member:
        """The member who owns a run."""
        return self.members.get(run.owner_id) or next(iter(self.members.values()))

    def bot(self) -> Member:
        """The bot that archives completed runs after some days."""
        found = next((member for member in self.members.values() if member.support_bot), None)
        return found or self.add_member("bot@tallyfy.example", "admin", "Tallyfy", "Bot", bot=True)

    def new_thread(self, content: str, label: str, author: int | None, state: str = "hide-for-guests") -> Thread:
        """A comment or, with the label ``problem``, an issue."""
        return Thread(self.new_id(), content, label, state, author, time.time())

    def log(
        self,
        verb: str,
        actor: Person,
        run: Run | None,
        entity_type: str,
        entity_id: str,
        description: str,
        *,
        at: float | None = None,
        field: str | None = None,
        text: str | None = None,
    ) -> None:
        """Add a row to the activity feed.

        :param at: when it happened, seconds since the epoch; now unless said.
        :param field: what was changed, of an update.
        :param text: what somebody wrote.
        """
        source = "Guest" if isinstance(actor, Guest) else "Webhook" if actor.support_bot else "Member"
        event = Event(
            self.next_number("event"),
            verb,
            actor.id,
            run.id if run else None,
            entity_type,
            entity_id,
            description,
            time.time() if at is None else at,
            source,
            field,
            template_id=run.template.id if run else None,
            guest=actor.email if isinstance(actor, Guest) else "",
            text=text,
        )
        self.events[run.id if run else entity_id].append(event)
        self.feed.add(event)


def _none() -> Task:
    raise not_found()
