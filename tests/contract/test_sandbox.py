"""The sandbox answers as Tallyfy's API does: transport, objects, lists."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._plain_requests import Ask

HEX = re.compile(r"[0-9a-f]{32}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")


def send(
    sandbox: Sandbox, method: str, path: str, body: Any = None, headers: Mapping[str, str | None] | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    """One request, its path and headers exactly as given; ``None`` takes a header away."""
    every: dict[str, str | None] = {
        "Authorization": f"Bearer {sandbox.token}",
        "Accept": "application/json",
        "X-Tallyfy-Client": "APIClient",
        "Content-Type": None if body is None else "application/json",
        **(headers or {}),
    }
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, raw, {name: value for name, value in every.items() if value is not None})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    is_json = "json" in response.headers.get("Content-Type", "")
    return response.status, json.loads(content) if is_json else content.decode(), response.headers


# -- transport and authentication ------------------------------------------------------------------------------------


def test_the_same_routes_at_the_root_and_under_api(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    for base in ("", "/api"):
        status, answer, headers = send(sandbox, "GET", f"{base}/organizations/{sandbox.organization_id}/runs/{run_id}")
        assert (status, answer["data"]["id"]) == (200, run_id)
        assert headers["X-Request-Id"]
    assert sandbox.calls == [f"GET /runs/{run_id}"] * 2


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Authorization": None}, "missing required headers"),
        ({"X-Tallyfy-Client": None}, "missing required headers"),
        ({"X-Tallyfy-Client": " "}, "missing required headers"),
        ({"Accept": None}, "missing required headers"),
        ({"Accept": "*/*"}, "missing required headers"),
        ({"Authorization": "Bearer nobody"}, "invalid token"),
        ({"Authorization": "Bearer  {token}"}, "invalid token"),
        ({"Authorization": "bearer {token}"}, "invalid token"),
        ({"Authorization": "Basic {token}"}, "invalid token"),
        ({"Authorization": "{token}"}, "invalid token"),
    ],
)
def test_headers_are_required(sandbox: Sandbox, headers: dict[str, str | None], message: str) -> None:
    headers = {name: value and value.replace("{token}", sandbox.token) for name, value in headers.items()}
    status, answer, _ = send(sandbox, "GET", "/me", headers=headers)
    assert (status, answer) == (401, {"error": True, "message": message})
    assert not sandbox.requests[0].applied


def test_logging_out_ends_a_token(sandbox: Sandbox) -> None:
    assert send(sandbox, "GET", "/me")[0] == 200
    sandbox.revoke(sandbox.token)
    assert send(sandbox, "GET", "/me")[0] == 401
    member = sandbox.add_member("late.comer@example.org", "light")
    token = {"Authorization": f"Bearer {sandbox.token_of(member)}"}
    assert send(sandbox, "GET", "/me", headers=token)[1]["data"]["full_name"] == "Late Comer"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", "ENDPOINT_NOT_FOUND"),
        ("GET", "/", "ENDPOINT_NOT_FOUND"),
        ("GET", "/api/api/me", "ENDPOINT_NOT_FOUND"),
        ("GET", "/me/", "ENDPOINT_NOT_FOUND"),
        ("GET", "//me", "ENDPOINT_NOT_FOUND"),
        ("GET", "/x/../me", "ENDPOINT_NOT_FOUND"),
        ("POST", "/organizations/{org}/runs/{run}/archive", "ENDPOINT_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/", "ENDPOINT_NOT_FOUND"),
        ("DELETE", "/organizations/{org}//runs/{run}", "ENDPOINT_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/{run}/", "ENDPOINT_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/./{run}", "ENDPOINT_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/{run}%2Fdelete", "RESOURCE_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/x%2F..%2F{run}", "RESOURCE_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/{run}%20", "RESOURCE_NOT_FOUND"),
        ("DELETE", "/organizations/{org}/runs/..", "RESOURCE_NOT_FOUND"),
    ],
)
def test_paths_are_taken_literally(sandbox: Sandbox, method: str, path: str, code: str) -> None:
    run_id = sandbox.add_run(archived=True)
    path = path.format(org=sandbox.organization_id, run=run_id)
    status, answer, _ = send(sandbox, method, path)
    assert (status, answer["code"]) == (404, code)
    assert sandbox.requests[0].path == path
    assert sandbox.run(run_id)


def test_percent_encoding_is_undone_once(sandbox: Sandbox) -> None:
    run_id = sandbox.add_run()
    encoded = f"%{ord(run_id[0]):02X}{run_id[1:]}"
    assert send(sandbox, "GET", f"/organizations/{sandbox.organization_id}/runs/{encoded}")[0] == 200
    twice = encoded.replace("%", "%25")
    assert send(sandbox, "GET", f"/organizations/{sandbox.organization_id}/runs/{twice}")[0] == 404


def test_an_unknown_route_answers_html_unless_json_is_accepted(sandbox: Sandbox) -> None:
    status, answer, headers = send(sandbox, "GET", "/nothing", headers={"Accept": "*/*"})
    assert (status, "Not Found" in answer, headers["Content-Type"]) == (404, True, "text/html; charset=UTF-8")


def test_a_foreign_organization_is_forbidden(sandbox: Sandbox) -> None:
    with Sandbox() as other:
        status, answer, _ = send(sandbox, "GET", f"/organizations/{other.organization_id}/runs")
    assert (status, answer["error"]) == (403, True)


def test_the_user_of_the_token(sandbox: Sandbox, ask: Ask) -> None:
    me = send(sandbox, "GET", "/me")[1]["data"]
    assert isinstance(me["id"], int)
    assert "role" not in me
    organizations = send(sandbox, "GET", "/me/organizations")[1]
    assert [row["id"] for row in organizations["data"]] == [sandbox.organization_id]
    assert organizations["meta"]["pagination"]["total"] == 1
    assert ask("GET", "")[1]["data"]["id"] == sandbox.organization_id
    assert {role: ask("GET", "/me", role=role)[1]["data"]["role"] for role in ("admin", "standard", "light")} == {
        "admin": "admin",
        "standard": "standard",
        "light": "light",
    }
    assert {row["role"] for row in ask("GET", "/users")[1]["data"]} == {"admin", "standard", "light"}
    assert len(ask("GET", "/users?per_page=2")[1]["data"]) == 2
    assert ask("GET", f"/users/{me['id']}")[1]["data"]["email"] == me["email"]
    group = sandbox.add_group("Finance", [me["id"]])
    assert ask("GET", f"/groups/{group}")[1]["data"]["members"] == [me["id"]]


# -- objects and lists -----------------------------------------------------------------------------------------------


def test_a_run_has_ids_numbers_and_timestamps_as_in_tallyfy(sandbox: Sandbox, ask: Ask) -> None:
    member = sandbox.add_member("ann.lee@example.org")
    group = sandbox.add_group("Ops")
    run_id = sandbox.add_run(
        "A", days_old=3, owner_id=member, users=[member], groups=[group], prerun={"f": "x"}, done=1
    )
    run = ask("GET", f"/runs/{run_id}")[1]["data"]
    assert HEX.fullmatch(run["id"])
    assert HEX.fullmatch(run["checklist_id"])
    assert isinstance(run["increment_id"], int)
    for name in ("created_at", "started_at", "last_updated"):
        assert STAMP.fullmatch(run[name])
    assert run["progress"] == {"complete": 1, "total": 3, "percent": 33}
    expected = {
        "name": "A",
        "status": "active",
        "archived_at": None,
        "completed_at": None,
        "owner_id": member,
        "users": [member],
        "groups": [group],
        "prerun": {"f": "x"},
    }
    assert {name: run[name] for name in expected} == expected
    assert not {"tags", "tasks", "folders", "checklist", "next_task"} & run.keys()
    assert ask("GET", f"/runs/{'0' * 32}") == (
        404,
        {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"},
    )


def test_relations_are_returned_on_request_and_wrapped_in_data(sandbox: Sandbox, ask: Ask) -> None:
    tag, folder = sandbox.add_tag("Urgent"), sandbox.add_folder("2026")
    run_id = sandbox.add_run(tags=[tag], folders=[folder])
    names = "checklist,tasks,tags,folders,next_task,form_fields,ko_form_fields,tasks_meta,assets,stages,permissions"
    run = ask("GET", f"/runs/{run_id}?with={names},nonsense")[1]["data"]
    assert all("data" in run[name] for name in names.split(","))
    assert "nonsense" not in run
    (association,) = run["tags"]["data"]
    assert (association["tag_id"], type(association["id"])) == (tag, int)
    (relation,) = run["folders"]["data"]
    assert (relation["folder_id"], relation["subject_id"], type(relation["id"])) == (folder, run_id, int)
    assert [task["title"] for task in run["tasks"]["data"]] == ["Collect details", "Review", "Confirm"]
    assert run["next_task"]["data"][0].keys() == {"id", "increment_id", "title", "alias", "owners", "deadline"}


def test_pages(sandbox: Sandbox, ask: Ask) -> None:
    runs = sandbox.add_runs(25, name="Run")
    first = ask("GET", "/runs")[1]
    assert [row["id"] for row in first["data"]] == runs[:10]
    base = f"https://go.tallyfy.com/api/organizations/{sandbox.organization_id}/runs"
    assert first["meta"]["pagination"] == {
        "total": 25,
        "count": 10,
        "per_page": 10,
        "current_page": 1,
        "total_pages": 3,
        "links": {"next": f"{base}?page=2"},
    }
    second = ask("GET", "/runs?page=2&status=active")[1]["meta"]["pagination"]["links"]
    assert second == {"previous": f"{base}?status=active&page=1", "next": f"{base}?status=active&page=3"}
    last = ask("GET", "/runs?page=3")[1]
    assert [row["id"] for row in last["data"]] == runs[20:]
    assert last["meta"]["pagination"]["links"].keys() == {"previous"}
    assert ask("GET", "/runs?page=4")[1]["data"] == []
    assert ask("GET", "/runs?per_page=25")[1]["meta"]["pagination"]["links"] == []
    assert ask("GET", "/runs?limit=3&updated_since=2020-01-01&per_page=x&page=0")[1]["data"] == first["data"]
    assert ask("GET", "/runs?without_pagination=true")[1].keys() == {"data"}
    assert ask("GET", "/runs?q=nothing")[1]["meta"]["pagination"]["total_pages"] == 1


def test_filters_and_order(sandbox: Sandbox, ask: Ask) -> None:
    ann, ben = sandbox.add_member("ann@example.org"), sandbox.add_member("ben@example.org")
    group, tag, other_tag = sandbox.add_group("Ops"), sandbox.add_tag("Red"), sandbox.add_tag("Blue")
    folder, template = sandbox.add_folder("Box"), sandbox.add_template("Form", type="form")
    rows = {
        "a": sandbox.add_run("Alpha + one", days_old=1, owner_id=ann, tags=[tag], starred=True),
        "b": sandbox.add_run("beta", days_old=3, completed_days_ago=2, folders=[folder], tags=[other_tag]),
        "c": sandbox.add_run("Gamma", days_old=2, status="problem", template=template, groups=[group]),
        "d": sandbox.add_run("delta", status="issue", days_old=4),
        "e": sandbox.add_run("Epsilon", archived=True, days_old=5, completed_days_ago=1, owner_id=ann),
        "f": sandbox.add_run("Zeta one", status="delayed", days_old=6),
    }
    task = ask("GET", f"/runs/{rows['f']}/tasks")[1]["data"][0]["id"]
    assert ask("PUT", f"/runs/{rows['f']}/tasks/{task}", {"owners": {"users": [ben]}})[0] == 200
    letters = {run_id: letter for letter, run_id in rows.items()}

    def found(query: str) -> str:
        return "".join(letters[row["id"]] for row in ask("GET", f"/runs?{query}")[1]["data"])

    assert {
        query: found(query)
        for query in (
            "",
            "archived=only",
            "archived=true",
            "archived=false",
            "status=active",
            "status=complete",
            "status=problem",
            "status=issue",
            "status=delayed",
            "status=starred",
            "status=complete&archived=true",
            "starred=true",
            "starred=false",
            f"owners={ann}",
            f"owners={ann},{ben}",
            f"groups={group}",
            f"tag={tag}",
            f"tag_ids={tag},{other_tag}",
            "untagged=true",
            f"folder={folder}",
            f"checklist_id={template}",
            f"blueprint_id={template}",
            "type=form",
            "q=one",
            "q=alpha%20%2B%20one",
            "q=alpha%20+%20one",
            "q=zeta+one",
            "sort=name",
            "sort=-name",
            "sort=created_at",
            "sort_by=-created_at",
        )
    } == {
        "": "abcdf",
        "archived=only": "e",
        "archived=true": "abcdef",
        "archived=false": "abcdf",
        "status=active": "a",
        "status=complete": "b",
        "status=problem": "cd",
        "status=issue": "d",
        "status=delayed": "f",
        "status=starred": "a",
        "status=complete&archived=true": "be",
        "starred=true": "a",
        "starred=false": "bcdf",
        f"owners={ann}": "a",
        f"owners={ann},{ben}": "af",
        f"groups={group}": "c",
        f"tag={tag}": "a",
        f"tag_ids={tag},{other_tag}": "ab",
        "untagged=true": "cdf",
        f"folder={folder}": "b",
        f"checklist_id={template}": "c",
        f"blueprint_id={template}": "c",
        "type=form": "c",
        "q=one": "af",
        "q=alpha%20%2B%20one": "a",
        # A plus in a query is a plus, not a space.
        "q=alpha%20+%20one": "a",
        "q=zeta+one": "",
        "sort=name": "abdcf",
        "sort=-name": "fcdba",
        "sort=created_at": "fdbca",
        "sort_by=-created_at": "acbdf",
    }
    assert ask("GET", "/search?on=process&search=one&per_page=1")[1]["process"]["meta"]["pagination"]["total"] == 2
    assert ask("GET", "/search?on=nothing&search=one")[0] == 422
