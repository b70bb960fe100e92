"""What the newer switches of the sandbox change, as looks at it: those of launches, of tasks, and of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.contract.test_sandbox_switches import Client


def guests_of_closed_steps(tallyfy: Client) -> Any:
    steps: list[str | dict[str, Any]] = ["Open", {"title": "Closed", "allow_guest_owners": False}]
    template = tallyfy.sandbox.add_template("T", steps)
    wishes = {step["id"]: {"owners": {"guests": ["ann@partner.example"]}} for step in steps_of(tallyfy, template)}
    answer = tallyfy("POST", "/runs", json={"checklist_id": template, "tasks": wishes})
    return answer.status_code, len(tallyfy.sandbox.runs())


def steps_of(tallyfy: Client, template: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = tallyfy.data("GET", f"/checklists/{template}/steps")
    return steps


def file_as_text(tallyfy: Client) -> Any:
    template = tallyfy.sandbox.add_template("T", kickoff_fields=[{"label": "Contract", "field_type": "file"}])
    (field,) = tallyfy.sandbox.template(template)["prerun"]
    answer = tallyfy("POST", "/runs", json={"checklist_id": template, "prerun": {field["id"]: "https://x.example/a"}})
    return answer.status_code, len(tallyfy.sandbox.runs())


def undecided(tallyfy: Client) -> Any:
    template = tallyfy.sandbox.add_template("T", ["Do", {"title": "Approve", "task_type": "approval"}])
    run_id = tallyfy.sandbox.add_run(template=template)
    tallyfy.sandbox.people.complete(run_id, "Do")
    before = [row["is_approved"] for row in tallyfy.data("GET", f"/runs/{run_id}/tasks")]
    tallyfy.sandbox.people.approve(run_id, "Approve")
    return before, [row["is_approved"] for row in tallyfy.data("GET", f"/runs/{run_id}/tasks")][1]


def feed(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run()
    tallyfy.sandbox.archive(run_id)
    found = []
    for query in ("", f"?entity_type=run&entity_id={run_id}"):
        answer = tallyfy("GET", f"/activity-feeds{query}")
        found.append((answer.status_code, [row["verb"][0] for row in answer.json().get("data", ())]))
    assert found[0] == found[1]
    return found[0]


def feed_run_rows(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(template=tallyfy.sandbox.add_template("T", ["Only"]))
    tallyfy.sandbox.people.complete(run_id, "Only")
    tallyfy.sandbox.people.reopen(run_id, "Only")
    rows = tallyfy.data("GET", "/activity-feeds?sort=created_at")
    return [(row["verb"][0], row["type"][0]) for row in rows][1:]


def feed_ids(tallyfy: Client) -> Any:
    tallyfy.sandbox.add_runs(5)
    ids = [row["id"] for row in tallyfy.data("GET", "/activity-feeds?sort=created_at")]
    assert len(set(ids)) == 5
    return ids == sorted(ids)


LOOKS: dict[str, tuple[Any, dict[Any, Any]]] = {
    "guests_of_closed_steps": (guests_of_closed_steps, {"accepted": (201, 1), "422": (422, 0)}),
    "file_as_text": (file_as_text, {"422": (422, 0), "500": (500, 0)}),
    "undecided": (undecided, {"null": ([None, None], True), "false": ([False, False], True)}),
    "feed": (feed, {"rows": (200, ["archived", "created"]), "empty": (200, []), "forbidden": (403, [])}),
    "feed_run_rows": (
        feed_run_rows,
        {
            "absent": [("completed", "Task"), ("uncompleted", "Task")],
            "written": [
                ("completed", "Task"),
                ("completed", "Process"),
                ("uncompleted", "Task"),
                ("re-opened", "Process"),
            ],
        },
    ),
    "feed_ids": (feed_ids, {"ascending": True, "unordered": False}),
}
