"""The life of a run in the sandbox, and of its tasks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._plain_requests import Ask, errors

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")


def test_launch(sandbox: Sandbox, ask: Ask) -> None:
    tag, folder = sandbox.add_tag("New"), sandbox.add_folder("2026")
    member, group = sandbox.add_member("ann@example.org"), sandbox.add_group("Ops")
    template_id = sandbox.add_template(
        "Onboarding", ["One", "Two"], [{"label": "Customer", "required": True}, {"label": "Note"}]
    )
    customer = sandbox.template(template_id)["prerun"][0]["id"]
    step = sandbox.template(template_id)["steps"][1]["id"]
    good = {"checklist_id": template_id, "name": "ACME", "prerun": {customer: "Acme", "customer": "dropped"}}

    status, answer = ask("POST", "/runs", {**good, "owner_id": str(member), "tags": [tag], "folders": [folder]})
    assert (status, answer["data"]["prerun"]) == (201, {customer: "Acme"})
    run = sandbox.run(answer["data"]["id"])
    assert run is not None
    assert (run["owner_id"], run["tags"], run["folders"]) == (member, [tag], [folder])
    status, answer = ask("POST", "/runs", {**good, "name": None, "users": [member], "groups": [group]})
    assert answer["data"]["name"].startswith("Onboarding - ")
    assert (answer["data"]["users"], answer["data"]["groups"]) == ([member], [group])
    # Naming one step leaves the others out: measured on production 2026-09-11.
    status, answer = ask("POST", "/runs", {**good, "tasks": {step: {"owners": {"users": [member]}}}})
    (task,) = sandbox.tasks(answer["data"]["id"])
    assert (task["title"], task["owners"]["users"]) == ("Two", [member])

    before = len(sandbox.runs())
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({"checklist_id": "0" * 32}, 404, ""),
        ({"checklist_id": None}, 422, "checklist_id"),
        ({"name": "x" * 551}, 422, "name"),
        ({"owner_id": 7}, 422, "owner_id"),
        ({"owner_id": "Ann"}, 422, "owner_id"),
        ({"prerun": {}}, 422, customer),
        ({"prerun": []}, 422, customer),
        ({"prerun": [{"id": customer, "value": "Acme"}]}, 422, "prerun"),
        ({"tags": ["nope"]}, 422, "tags.0"),
        ({"users": "all"}, 422, "users"),
    ]
    for change, code, field in refused:
        status, answer = ask("POST", "/runs", {**good, **change})
        assert status == code, change
        if field:
            assert errors(answer).keys() == {field}
    assert errors(ask("POST", "/runs", {**good, "prerun": {}})[1])[customer] == ["Customer is required"]
    assert ask("POST", "/runs", good, role="light")[0] == 403
    assert len(sandbox.runs()) == before
    assert ask("POST", "/runs", {"checklist_id": sandbox.add_template("Free"), "prerun": []})[0] == 201


@pytest.mark.parametrize(
    ("field_type", "taken", "refused"),
    [
        ("text", ["a", 5], ["x" * 201, True]),
        ("textarea", ["a"], [5]),
        ("date", ["2026-01-31", "2026-01-31T10:00:00Z"], ["soon", 5]),
        ("radio", ["Gold"], ["gold", {"id": 2}]),
        ("dropdown", [{"id": 2, "text": "Gold"}], [{"id": 1, "text": "Gold"}, "Gold"]),
        ("multiselect", [[{"id": 1, "text": "Iron", "selected": True}]], ["Iron"]),
        ("table", [["a", "b"]], [["a"], ["a", ""]]),
    ],
)
def test_answers_are_checked_by_the_type_of_their_field(
    sandbox: Sandbox, ask: Ask, field_type: str, taken: list[Any], refused: list[Any]
) -> None:
    field: dict[str, Any] = {"label": "F", "field_type": field_type}
    field |= {"options": ["Iron", "Gold"]} if field_type in ("radio", "dropdown", "multiselect") else {}
    field |= {"columns": [{"id": 1}, {"id": 2}]} if field_type == "table" else {}
    template = sandbox.add_template("T", kickoff_fields=[field])
    (field_id,) = (item["id"] for item in sandbox.template(template)["prerun"])
    run_id = sandbox.add_run(template=template)
    for value in taken:
        assert ask("PUT", f"/runs/{run_id}", {"prerun": {field_id: value}})[1]["data"]["prerun"] == {field_id: value}
    for value in refused:
        assert field_id in errors(ask("PUT", f"/runs/{run_id}", {"prerun": {field_id: value}})[1])


def test_update_stores_known_fields_and_removes_members_that_are_not_sent(sandbox: Sandbox, ask: Ask) -> None:
    tags, folders = [sandbox.add_tag(t) for t in "ABC"], [sandbox.add_folder(f) for f in "XY"]
    member, group = sandbox.add_member("ann@example.org"), sandbox.add_group("Ops")
    template = sandbox.add_template("T", kickoff_fields=["One", "Two"])
    one, two = (item["id"] for item in sandbox.template(template)["prerun"])
    run_id = sandbox.add_run(
        "Old", template=template, users=[member], groups=[group], tags=tags[:2], prerun={"One": "1"}, unmodified_days=9
    )
    before = sandbox.run(run_id)
    assert before is not None

    status, answer = ask("PUT", f"/runs/{run_id}", {"name": "New"})
    after = sandbox.run(run_id)
    assert after is not None
    assert (status, answer["data"]["name"], answer["data"]["users"]) == (200, "New", [])
    assert "tags" not in answer["data"]
    assert after.pop("last_updated") > before.pop("last_updated")
    assert after == {**before, "name": "New", "users": [], "groups": []}

    change = {
        "summary": "s",
        "owner_id": str(member),
        "starred": True,
        "is_public": 1,
        "publicly_hidden_fields": ["comments"],
        "users": [member],
        "groups": [group],
        "prerun": {two: "2", "Two": "dropped"},
        "tags": [tags[2], tags[0]],
        "folders": folders,
        "status": "complete",
        "nonsense": 1,
    }
    status, answer = ask("PUT", f"/runs/{run_id}", change)
    after = sandbox.run(run_id)
    assert after is not None
    assert (status, answer["data"]["tags"], answer["data"]["folders"]) == (200, [tags[0], tags[2]], folders)
    for name, value in {
        **change,
        "owner_id": member,
        "is_public": True,
        "prerun": {one: "1", two: "2"},
        "tags": [tags[0], tags[2]],
        "status": "active",
    }.items():
        assert name == "nonsense" or after[name] == value
    assert ask("PUT", f"/runs/{run_id}", {"tags": [], "folders": []})[1]["data"]["tags"] == []

    before = sandbox.run(run_id)
    for bad, field in (
        ({"name": "x" * 551}, "name"),
        ({"name": 5}, "name"),
        ({"owner_id": 1}, "owner_id"),
        ({"owner_id": True}, "owner_id"),
        ({"starred": "yes"}, "starred"),
        ({"tags": tags[0]}, "tags"),
        ({"tags": ["A"]}, "tags.0"),
        ({"folders": [tags[0]]}, "folders.0"),
        ({"users": ["ann"]}, "users"),
        ({"groups": [1]}, "groups.0"),
        ({"prerun": [{"id": one, "value": "1"}]}, "prerun"),
    ):
        status, answer = ask("PUT", f"/runs/{run_id}", {"summary": "half", **bad})
        assert (status, list(errors(answer))) == (422, [field])
    for broken in ("{nonsense", "[1]"):
        headers = {"Content-Type": "application/json"}
        assert ask("PUT", f"/runs/{run_id}", data=broken, headers=headers)[0] == 400
    assert sandbox.run(run_id) == before
    # Laravel reads no fields from a body that does not say it is JSON.
    headers = {"Content-Type": "text/plain"}
    assert ask("PUT", f"/runs/{run_id}", data='{"name": "x"}', headers=headers)[1]["data"]["name"] == "New"


def test_archive_activate_destroy(sandbox: Sandbox, ask: Ask) -> None:
    run_id = sandbox.add_run("R", completed_days_ago=40, users=[10001])
    before = sandbox.run(run_id)
    assert before is not None
    assert ask("DELETE", f"/runs/{run_id}", role="light")[0] == 403
    assert ask("DELETE", f"/runs/{run_id}/delete")[0] == 422
    assert sandbox.run(run_id) == before

    status, answer = ask("DELETE", f"/runs/{run_id}", role="standard")
    assert (status, answer["data"]["status"]) == (200, "archived")
    assert STAMP.fullmatch(answer["data"]["archived_at"])
    assert answer["data"]["last_updated"] > before["last_updated"]
    run = sandbox.run(run_id)
    assert run is not None
    assert (run["is_archived"], run["status"], run["users"]) == (True, "complete", [10001])
    assert ask("GET", "/runs")[1]["data"] == []
    assert ask("GET", "/runs?archived=only")[1]["data"][0]["status"] == "archived"
    assert ask("GET", f"/runs/{run_id}")[1]["data"]["archived_at"]
    assert ask("GET", f"/runs/{run_id}/tasks")[1]["data"] == []
    assert ask("DELETE", f"/runs/{run_id}")[0] == 404
    assert ask("PUT", f"/runs/{run_id}", {"name": "x"}) == (
        422,
        {"error": True, "message": "Cannot update archived processes."},
    )

    assert ask("PUT", f"/runs/{run_id}/activate", role="light")[0] == 403
    status, answer = ask("PUT", f"/runs/{run_id}/activate")
    assert (status, answer["data"]["status"], answer["data"]["archived_at"]) == (200, "complete", None)
    assert len(ask("GET", f"/runs/{run_id}/tasks")[1]["data"]) == 3
    assert ask("PUT", f"/runs/{run_id}/activate")[0] == 400
    for method, path in (("DELETE", ""), ("PUT", "/activate"), ("PUT", ""), ("DELETE", "/delete")):
        assert ask(method, f"/runs/{'0' * 32}{path}")[0] == 404

    sandbox.archive(run_id)
    assert ask("DELETE", f"/runs/{run_id}/delete", role="standard")[0] == 403
    assert ask("DELETE", f"/runs/{run_id}/delete") == (200, "")
    assert sandbox.run(run_id) is None
    for method, path in (("GET", ""), ("DELETE", ""), ("PUT", "/activate"), ("DELETE", "/delete"), ("GET", "/tasks")):
        assert ask(method, f"/runs/{run_id}{path}")[0] == 404


def test_kick_off_form(sandbox: Sandbox, ask: Ask) -> None:
    template = sandbox.add_template("T", kickoff_fields=[{"label": "Must", "required": True}])
    (field,) = (item["id"] for item in sandbox.template(template)["prerun"])
    run_id = sandbox.add_run(template=template, completed_days_ago=3)
    run = ask("DELETE", f"/runs/{run_id}/complete-prerun")[1]["data"]
    assert (run["status"], run["prerun_status"], run["prerun_completed_at"]) == ("active", "incomplete", None)
    assert errors(ask("POST", f"/runs/{run_id}/complete-prerun")[1]) == {field: ["Must is required"]}
    assert ask("PUT", f"/runs/{run_id}", {"prerun": {field: "now"}})[0] == 200
    run = ask("POST", f"/runs/{run_id}/complete-prerun")[1]["data"]
    assert (run["status"], run["prerun_status"]) == ("complete", "complete")
    assert {"rules_evaluated", "tasks_changed_by_rules"} <= run.keys()
    forms = ask("GET", f"/runs/{run_id}/form-fields")[1]
    assert [(item["label"], item["value"]) for item in forms["ko_form_fields"]] == [("Must", "now")]
    assert ask("POST", f"/runs/{run_id}/export")[1]["data"]["tasks"]["data"]


# -- tasks -----------------------------------------------------------------------------------------------------------


def test_tasks_change_the_status_of_their_run(sandbox: Sandbox, ask: Ask) -> None:
    field = {"label": "Link", "required": True}
    template = sandbox.add_template(
        "T", ["Do", {"title": "Approve", "task_type": "approval"}, {"title": "Fill", "fields": [field]}]
    )
    run_id = sandbox.add_run(template=template)
    do, approve, fill = (task["id"] for task in ask("GET", f"/runs/{run_id}/tasks")[1]["data"])

    def complete(task_id: str, **more: Any) -> tuple[int, Any]:
        return ask("POST", f"/runs/{run_id}/completed-tasks", {"task_id": task_id, **more})

    def state() -> tuple[Any, ...]:
        run = sandbox.run(run_id)
        assert run is not None
        return run["status"], run["progress"]["complete"], run["completed_at"] is not None

    status, answer = complete(do)
    assert (status, answer["data"]["status"], answer["data"]["completer_id"]) == (200, "completed", 10001)
    assert state() == ("active", 1, False)
    assert ask("PUT", f"/runs/{run_id}/tasks/{do}", {"title": "x"})[0] == 422
    assert errors(complete(approve)[1]) == {"is_approved": ["The is approved field is required"]}
    assert complete(approve, is_approved=False)[1]["data"]["is_approved"] is False
    assert list(errors(complete(fill)[1]).values()) == [["Link is required"]]
    field_id = ask("GET", f"/runs/{run_id}/tasks/{fill}?with=form_fields")[1]["data"]["form_fields"]["data"][0]["id"]
    answers = {field_id: "https://example.org", "Link": "dropped"}
    assert ask("PUT", f"/runs/{run_id}/tasks/{fill}", {"taskdata": answers})[1]["data"]["taskdata"] == {
        field_id: "https://example.org"
    }
    assert complete(fill)[0] == 200
    assert state() == ("complete", 3, True)
    status, answer = ask("DELETE", f"/runs/{run_id}/completed-tasks/{do}")
    assert (status, answer["data"]["status"]) == (200, "in-progress")
    assert state() == ("active", 2, False)

    issue = ask("POST", f"/tasks/{do}/problem", {"content": "stuck"})[1]["data"]["id"]
    assert state() == ("problem", 2, False)
    assert complete(do)[0] == 422
    assert ask("GET", f"/runs/{run_id}/tasks?status=hasproblem")[1]["data"][0]["id"] == do
    assert ask("POST", f"/tasks/{do}/resolved-threads", {"thread_id": issue})[0] == 200
    assert state() == ("active", 2, False)

    issue = ask("POST", f"/runs/{run_id}/problem", {"content": "all wrong"})[1]["data"]["id"]
    assert ask("GET", f"/runs/{run_id}")[1]["data"]["has_open_issue"] is True
    assert state() == ("issue", 2, False)
    assert complete(do)[0] == 403
    assert ask("POST", f"/runs/{run_id}/resolved-threads", {"thread_id": issue})[0] == 200
    assert complete(do, override_user=10002)[1]["data"]["completer_id"] == 10002
    assert state() == ("complete", 3, True)

    # A partial owners empties the buckets that it leaves out.
    other = sandbox.add_run(template=template)
    task = ask("GET", f"/runs/{other}/tasks?status=active")[1]["data"][0]["id"]
    owners = {"users": [10002], "guests": ["g@example.org"]}
    assert ask("PUT", f"/runs/{other}/tasks/{task}", {"owners": owners})[0] == 200
    item = ask("PUT", f"/runs/{other}/tasks/{task}", {"owners": {"users": [10003]}, "title": "New"})[1]["data"]
    assert item["owners"] == {"users": [10003], "guests": [], "groups": []}
    assert ask("GET", f"/runs/{other}/tasks?owners=10003")[1]["data"][0]["title"] == "New"
    assert ask("PUT", f"/runs/{other}/tasks/{task}", {"title": "x" * 601})[0] == 422
    assert ask("POST", f"/runs/{run_id}/completed-tasks", {"task_id": task})[0] == 404
    sandbox.archive(other)
    assert ask("GET", f"/tasks/{task}")[0] == 404
    assert ask("POST", f"/runs/{other}/completed-tasks", {"task_id": task})[0] == 404


def test_one_off_tasks(sandbox: Sandbox, ask: Ask) -> None:
    body = {"title": "Call", "task_type": "task", "deadline": "2026-12-01 10:00:00", "owners": {"users": [10001]}}
    assert set(errors(ask("POST", "/tasks", {"title": "Call"})[1])) == {"task_type", "deadline", "owners"}
    status, answer = ask("POST", "/tasks", body)
    task = answer["data"]
    assert (status, task["run_id"], task["deadline"]) == (201, None, "2026-12-01T10:00:00.000Z")
    assert [row["id"] for row in ask("GET", "/me/tasks")[1]["data"]] == [task["id"]]
    assert ask("POST", "/completed-tasks", {"task_id": task["id"]})[1]["data"]["status"] == "completed"
    assert ask("GET", "/me/tasks")[1]["data"] == []
    assert len(ask("GET", "/me/tasks?status=all")[1]["data"]) == 1
    assert ask("DELETE", f"/completed-tasks/{task['id']}")[0] == 200
    assert ask("PUT", f"/tasks/{task['id']}", {"title": "x"})[0] == 422
    assert ask("DELETE", f"/tasks/{task['id']}")[0] == 204
    assert ask("GET", f"/tasks/{task['id']}")[0] == 404
