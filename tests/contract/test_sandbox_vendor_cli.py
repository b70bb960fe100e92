"""What Tallyfy's command line tool sends is answered with what it decodes.

It is written in Go and is not run here: each row is a request as its source builds it (github.com/tallyfy/cli,
pkg/tallyfy/resources.go and paginate.go, internal/cli/process.go, task.go and kickoff.go), and the fields that its
types.go reads from the answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Sandbox, every_field

ALL = "page=1&per_page=100"  # how it walks pages; Go sorts the names of a query
Types = tuple[type, ...]
TEXT: Types = (str,)
NUMBER: Types = (int,)
MAYBE: Types = (str, type(None))
OBJECT: Types = (dict,)
LIST: Types = (list,)
# Go refuses a whole answer for one field of another type, and takes null for any.
ME = {"id": NUMBER, "email": TEXT, "username": TEXT, "first_name": TEXT, "last_name": TEXT, "timezone": TEXT}
ORGANIZATION = {"id": TEXT, "name": TEXT, "created_at": TEXT}
BLUEPRINT: dict[str, Types] = {
    **{"id": TEXT, "title": TEXT, "summary": MAYBE, "status": TEXT, "owner_id": NUMBER, "steps_count": NUMBER},
    **{"created_at": TEXT, "last_updated": TEXT, "archived_at": MAYBE},
}
PROCESS: dict[str, Types] = {
    **{"id": TEXT, "name": TEXT, "status": TEXT, "checklist_id": TEXT, "progress": OBJECT, "started_by": NUMBER},
    **{"created_at": TEXT, "last_updated": TEXT, "archived_at": MAYBE, "due_date": MAYBE},
}
TASK: dict[str, Types] = {
    **{"id": TEXT, "title": TEXT, "status": TEXT, "run_id": MAYBE, "step_id": MAYBE, "deadline": MAYBE},
    **{"completed_at": MAYBE, "owners": OBJECT, "task_type": TEXT, "created_at": TEXT},
}
USER = {"id": NUMBER, "email": TEXT, "first_name": TEXT, "last_name": TEXT, "role": TEXT, "status": TEXT}
GUEST: dict[str, Types] = {"email": TEXT, "first_name": MAYBE, "last_name": MAYBE, "created_at": TEXT}
KICKOFF: dict[str, Types] = {
    **{"id": TEXT, "alias": TEXT, "label": TEXT, "field_type": TEXT, "options": LIST, "columns": LIST}
}
STEP: dict[str, Types] = {"id": TEXT, "title": TEXT, "captures": LIST}
COMMENT: dict[str, Types] = {"id": TEXT, "content": TEXT}
TAG: dict[str, Types] = {"id": TEXT, "title": TEXT, "color": TEXT}


@dataclass
class Row:
    """A command, the request that it sends, and what it decodes from ``data``: an object, a list, or nothing."""

    command: str
    method: str
    path: str
    body: Any = None
    status: int = 200
    item: dict[str, Types] | None = None
    rows: dict[str, Types] | None = None
    below: str = ""


ROWS = [
    Row("whoami", "GET", "/me", item=ME),
    Row("org list", "GET", f"/me/organizations?{ALL}", rows=ORGANIZATION),
    Row("blueprint list", "GET", f"{{org}}/checklists?{ALL}", rows=BLUEPRINT),
    Row("blueprint get", "GET", "{org}/checklists/{template}", item=BLUEPRINT),
    Row("blueprint get --with steps", "GET", "{org}/checklists/{template}?with=steps", item=BLUEPRINT),
    Row("blueprint steps", "GET", "{org}/checklists/{template}/steps", rows=STEP),
    Row("process launch: fields", "GET", "{org}/checklists/{template}", rows=KICKOFF, below="prerun"),
    Row("process launch: members", "GET", f"{{org}}/users?{ALL}", rows=USER),
    Row("process launch", "POST", "{org}/runs", "launch", 201, item=PROCESS),
    Row("process launch without a name", "POST", "{org}/runs", {"checklist_id": "{plain}"}, 201, item=PROCESS),
    Row("process list", "GET", "{org}/runs?page=1", rows=PROCESS),
    Row("process list --all", "GET", f"{{org}}/runs?{ALL}", rows=PROCESS),
    Row("process list --status active", "GET", f"{{org}}/runs?{ALL}&status=active", rows=PROCESS),
    Row("process get", "GET", "{org}/runs/{run}", item=PROCESS),
    Row("process get --with tasks,tags", "GET", "{org}/runs/{run}?with=tasks%2Ctags", item=PROCESS),
    Row("process update --name", "PUT", "{org}/runs/{run}", {"name": "Renamed"}, item=PROCESS),
    Row("process export", "POST", "{org}/runs/{run}/export", item=PROCESS),
    Row("task list --process", "GET", f"{{org}}/runs/{{run}}/tasks?{ALL}", rows=TASK),
    Row("task list --mine", "GET", f"{{org}}/me/tasks?{ALL}", rows=TASK),
    Row("task list --user", "GET", f"{{org}}/tasks?owners={{me}}&{ALL}", rows=TASK),
    Row("task list", "GET", f"{{org}}/tasks?{ALL}", rows=TASK),
    Row("task get --process", "GET", "{org}/runs/{run}/tasks/{task}", item=TASK),
    Row("task get", "GET", "{org}/tasks/{task}", item=TASK),
    Row(
        "task reassign",
        "PUT",
        "{org}/runs/{run}/tasks/{task}",
        {"owners": {"users": [10002], "guests": ["cfo@partner.example"], "groups": []}},
        item=TASK,
    ),
    Row("task comment", "POST", "{org}/tasks/{task}/comment", {"content": "Hello."}, 201, item=COMMENT),
    Row("task complete", "POST", "{org}/runs/{run}/completed-tasks", {"task_id": "{task}"}, item=TASK),
    Row("task wait", "GET", f"{{org}}/runs/{{run}}/tasks?{ALL}", rows=TASK),
    Row("task reopen", "DELETE", "{org}/runs/{run}/completed-tasks/{task}"),
    Row("task complete without a process", "POST", "{org}/completed-tasks", {"task_id": "{task}"}, item=TASK),
    Row("task reopen without a process", "DELETE", "{org}/completed-tasks/{task}"),
    # It sends no decision, and so completes no approval.
    Row("task complete of an approval", "POST", "{org}/runs/{run}/completed-tasks", {"task_id": "{approval}"}, 422),
    Row("guest list", "GET", f"{{org}}/guests?{ALL}", rows=GUEST),
    Row("guest get", "GET", "{org}/guests/cfo@partner.example", item=GUEST),
    Row("guest create", "POST", "{org}/guests", {"email": "new@partner.example"}, 201, item=GUEST),
    Row("guest create of a member", "POST", "{org}/guests", {"email": "admin@sandbox.example"}, 422),
    Row("tag list", "GET", f"{{org}}/tags?{ALL}", rows=TAG),
    Row("process archive", "DELETE", "{org}/runs/{run}"),
    Row("process reactivate", "PUT", "{org}/runs/{run}/activate"),
]


def fill(value: Any, words: dict[str, str]) -> Any:
    """``{name}`` replaced in a text, and in every text of an object."""
    if isinstance(value, dict):
        return {key: fill(inner, words) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    for name, word in words.items():
        value = value.replace(f"{{{name}}}", word)
    return value


def prerun(fields: list[dict[str, Any]], guest: str) -> dict[str, Any]:
    """``--field`` for every field, encoded as kickoff.go does."""

    def encoded(field: dict[str, Any]) -> Any:
        kind, options = field["field_type"], field["options"]
        chosen = {"id": options[0]["id"], "text": options[0]["text"]} if options else {}
        shapes: dict[str, Any] = {
            "dropdown": chosen,
            "multiselect": [{**chosen, "selected": True}],
            "radio": chosen.get("text"),
            "table": ["Widget"] * len(field["columns"]),
            "file": [{"filename": "a.pdf", "source": "url", "url": "https://x.example/a.pdf?sig=1"}],
            "assignees_form": {"users": [10001], "guests": [guest], "groups": []},
            "date": "2031-01-02",
        }
        return shapes.get(kind, "ACME")

    return {field["id"]: encoded(field) for field in fields}


@pytest.mark.parametrize("base", ["url", "api_url"])
def test_what_the_command_line_tool_sends_is_answered_with_what_it_decodes(base: str) -> None:
    with Sandbox() as sandbox:
        steps: list[str | dict[str, Any]] = [
            "Call",
            {"title": "Approve", "task_type": "approval", "guests": ["cfo@partner.example"]},
        ]
        template = sandbox.add_template("Onboarding", steps, every_field(required=True))
        sandbox.add_tag("Urgent")
        answers = prerun(sandbox.template(template)["prerun"], "cfo@partner.example")
        words = {
            "org": f"/organizations/{sandbox.organization_id}",
            "template": template,
            "plain": sandbox.add_template("Plain"),
            "me": str(next(iter(sandbox.organization.members))),
        }
        headers = {
            "Accept": "application/json",
            "X-Tallyfy-Client": "APIClient",
            "Authorization": f"Bearer {sandbox.token}",
            "User-Agent": "tallyfy-cli/1.0.0 (linux/amd64)",
        }
        for line in ROWS:
            body = {"checklist_id": template, "name": "New", "prerun": answers} if line.body == "launch" else line.body
            sent = {**headers, "Content-Type": "application/json"} if body is not None else headers
            answer = requests.request(
                line.method,
                getattr(sandbox, base) + fill(line.path, words),
                data=None if body is None else json.dumps(fill(body, words)).encode(),
                headers=sent,
                timeout=5,
            )
            assert answer.status_code == line.status, f"{line.command}: {answer.text}"
            data = answer.json().get("data")
            data = data[line.below] if line.below else data
            fields_of = line.item or line.rows or {}
            decoded = [data] if line.item else data if line.rows else []
            assert bool(decoded) is bool(line.item or line.rows), line.command
            for found in decoded:
                for name, kinds in fields_of.items():
                    assert type(found[name]) in kinds, f"{line.command}: {name} is {found[name]!r}"
            if line.path.endswith(ALL):
                assert answer.json()["meta"]["pagination"].keys() >= {"current_page", "total_pages"}, line.command
            if line.command == "process launch":
                words["run"] = data["id"]
                words["task"], words["approval"] = (task["id"] for task in sandbox.tasks(data["id"]))
            if line.command == "task wait":
                # What makes it stop waiting, were it approved or rejected.
                assert [task["completed_at"] is not None for task in data] == [True, False]
        run = sandbox.run(words["run"])
        assert run is not None
        assert (run["name"], run["prerun"], run["status"], run["is_archived"]) == ("Renamed", answers, "active", False)
        assert {record.status for record in sandbox.requests} == {200, 201, 422}
        verbs = [event.verb for event in sandbox.organization.events[words["run"]]]
        assert verbs == [
            *("created", "updated", "owners-updated", "commented", "completed", "uncompleted"),
            *("completed", "uncompleted", "archived", "unarchived"),
        ]
