"""A run with tasks of every type, which people and DAGs complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.sandbox import Fault, Sandbox

#: One field of every type.
EVERY_FIELD: tuple[dict[str, Any], ...] = (
    {"label": "Company", "field_type": "text"},
    {"label": "Notes", "field_type": "textarea"},
    {"label": "Contact", "field_type": "email"},
    {"label": "Start", "field_type": "date"},
    {"label": "Plan", "field_type": "radio", "options": ["Monthly", "Yearly"]},
    {"label": "Size", "field_type": "dropdown", "options": ["S", "M", "L"]},
    {"label": "Modules", "field_type": "multiselect", "options": ["SSO", "Audit", "API"]},
    {
        "label": "First order",
        "field_type": "table",
        "columns": [{"id": 1, "label": "Item"}, {"id": 2, "label": "Quantity"}],
    },
    {"label": "Reviewers", "field_type": "assignees_form"},
    {"label": "Contract", "field_type": "file"},
)
STEPS: tuple[dict[str, Any], ...] = (
    {
        "title": "Collect details",
        "alias": "collect",
        "fields": [{"label": "Amount", "required": True}, *EVERY_FIELD],
    },
    {"title": "Approve", "task_type": "approval", "fields": [{"label": "Reason"}, {"label": "Amount"}]},
    {"title": "Read the policy", "task_type": "expiring"},
    {"title": "Confirm"},
    {"title": "confirm", "alias": "confirm-again"},
)
COLLECT, APPROVE, EXPIRE = "Collect details", "Approve", "Read the policy"
#: A completion in :attr:`Desk.writes`.
COMPLETED = "POST completed-tasks"
KICKOFF: tuple[dict[str, Any], ...] = ({"label": "Customer", "required": True}, {"label": "Amount"})


@dataclass(frozen=True)
class Desk:
    """A run and its tasks, as the sandbox stores them."""

    sandbox: Sandbox
    run_id: str

    def task(self, title: str) -> dict[str, Any]:
        """Return a task of the run, whatever the API shows."""
        return next(task for task in self.sandbox.tasks(self.run_id) if task["title"] == title)

    def field_id(self, label: str, title: str) -> str:
        """Return the id of a field in the form of a step."""
        run = self.sandbox.run(self.run_id) or {}
        steps = self.sandbox.template(run["checklist_id"])["steps"]
        fields = next(step["captures"] for step in steps if step["title"] == title)
        return str(next(field["id"] for field in fields if field["label"] == label))

    def answer(self, label: str, title: str) -> Any:
        """Return the stored answer to a field."""
        return self.task(title)["taskdata"].get(self.field_id(label, title))

    def set(self, title: str, /, **values: Any) -> None:
        """Change a task without an event in the feed."""
        organization = self.sandbox.organization
        with organization.lock:
            tasks = organization.tasks_of(organization.runs[self.run_id]).values()
            task = next(task for task in tasks if task.title == title)
            for name, value in values.items():
                setattr(task, name, value)

    def task_id(self, title: str) -> str:
        """Return the id of a task."""
        return str(self.task(title)["id"])

    def notified(self, verb: str) -> int:
        """Return how often people were notified of an event in the run."""
        events = self.sandbox.organization.events[self.run_id]
        return sum(event.verb == verb for event in events)

    @property
    def writes(self) -> list[tuple[str, Any]]:
        """The requests that write: the method with the last part of the path, and the body."""
        return [
            (f"{record.method} {record.route.rsplit('/', 1)[-1]}", record.json)
            for record in self.sandbox.requests
            if record.method != "GET"
        ]

    @property
    def methods(self) -> list[str]:
        """The method of every request."""
        return [record.method for record in self.sandbox.requests]


def new_desk(sandbox: Sandbox, **more: Any) -> Desk:
    """Add a run of a template with tasks of every type."""
    template = sandbox.add_template("Onboarding", STEPS, KICKOFF)
    prerun = {"Customer": "Acme", "Amount": "7"}
    return Desk(sandbox, sandbox.add_run("Onboarding Acme", template=template, prerun=prerun, **more))


def complete_it(desk: Desk, title: str, approve: bool | None = None) -> Callable[[], object]:
    """Return a function that completes a task, as somebody else would."""
    return lambda: desk.set(title, status="completed", completed_at=time.time(), is_approved=approve)


#: Faults in which the write is carried out.
APPLIED = [
    Fault.drop_after(),
    Fault.error_after(),
    Fault.truncated(),
    Fault.not_json(),
    Fault.other_answer({"data": []}),
]
#: Faults in which it is not.
NOT_APPLIED = [
    Fault.drop_before(),
    Fault.server_error(),
    Fault.status(408),
    Fault.not_json(applies=False),
    Fault.status(501),
]
