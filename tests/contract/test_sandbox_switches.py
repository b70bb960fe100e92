"""Every unknown of Tallyfy's API is a switch of the sandbox, and every position of every switch does what it says."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from tests.contract._feed_switches import LOOKS

Look = Callable[["Client"], Any]


class Client:
    """A session below the organization of a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(
            {
                "Authorization": f"Bearer {sandbox.token}",
                "Accept": "application/json",
                "X-Tallyfy-Client": "APIClient",
            }
        )

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        url = f"{self.sandbox.api_url}/organizations/{self.sandbox.organization_id}{path}"
        return self.session.request(method, url, timeout=5, **options)

    def data(self, method: str, path: str, **options: Any) -> Any:
        return self(method, path, **options).json()["data"]

    def true(self, run_id: str) -> dict[str, Any]:
        run = self.sandbox.run(run_id)
        assert run is not None
        return run


def get_archived(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(archived=True)
    return tallyfy("GET", f"/runs/{run_id}").status_code, tallyfy("POST", f"/runs/{run_id}/export").status_code


def second_archive(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(archived=True, unmodified_days=3)
    before = tallyfy.true(run_id)
    status = tallyfy("DELETE", f"/runs/{run_id}").status_code
    assert tallyfy.true(run_id) == before
    return status


def activate_live(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(unmodified_days=3)
    before = tallyfy.true(run_id)
    status = tallyfy("PUT", f"/runs/{run_id}/activate").status_code
    assert tallyfy.true(run_id) == before
    return status


def archived_status(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(completed_days_ago=3)
    answers = [tallyfy.data("DELETE", f"/runs/{run_id}"), tallyfy.data("GET", f"/runs/{run_id}")]
    answers += tallyfy.data("GET", "/runs?archived=only")
    assert tallyfy.true(run_id)["status"] == "complete"
    return {answer["status"] for answer in answers}


def list_archived_status(tallyfy: Client) -> Any:
    tallyfy.sandbox.behaviour = dataclasses.replace(tallyfy.sandbox.behaviour, archived_status="original")
    tallyfy.sandbox.add_run(completed_days_ago=3, archived=True)
    (row,) = tallyfy.data("GET", "/runs?archived=only")
    assert row["archived_at"]
    return row["status"], tallyfy.data("GET", f"/runs/{row['id']}")["status"]


def archive_body(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run()
    answer = tallyfy("DELETE", f"/runs/{run_id}")
    assert tallyfy.true(run_id)["is_archived"]
    return answer.status_code, bool(answer.content)


def activate_body(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(archived=True)
    answer = tallyfy("PUT", f"/runs/{run_id}/activate")
    assert not tallyfy.true(run_id)["is_archived"]
    return answer.status_code, bool(answer.content)


def put_labels(kind: str) -> Look:
    def look(tallyfy: Client) -> Any:
        add: Callable[[str], str] = getattr(tallyfy.sandbox, f"add_{kind[:-1]}")
        old, new = add("Old"), add("New")
        labels: Any = {kind: [old]}
        run_id = tallyfy.sandbox.add_run(**labels)
        answer = tallyfy.data("PUT", f"/runs/{run_id}", json={kind: [new]})
        names = {old: "old", new: "new"}
        return [names[i] for i in tallyfy.true(run_id)[kind]], [names[i] for i in answer.get(kind, [])]

    return look


def put_archived(tallyfy: Client) -> Any:
    return tallyfy("PUT", f"/runs/{tallyfy.sandbox.add_run(archived=True)}", json={"name": "x", "tags": []}).status_code


def put_without_members(tallyfy: Client) -> Any:
    group = tallyfy.sandbox.add_group("Ops")
    run_id = tallyfy.sandbox.add_run(users=[10001], groups=[group])
    tallyfy("PUT", f"/runs/{run_id}", json={"name": "x"})
    run = tallyfy.true(run_id)
    return run["users"], bool(run["groups"])


def update_echo(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(tags=[tallyfy.sandbox.add_tag("A")], folders=[tallyfy.sandbox.add_folder("F")])
    renamed = tallyfy.data("PUT", f"/runs/{run_id}", json={"name": "x"})
    untagged = tallyfy.data("PUT", f"/runs/{run_id}", json={"tags": []})
    return sorted({"tags", "folders"} & renamed.keys()), sorted({"tags", "folders"} & untagged.keys())


def prerun_list(tallyfy: Client) -> Any:
    template = tallyfy.sandbox.add_template("T", kickoff_fields=["One", "Two"])
    one, two = (item["id"] for item in tallyfy.sandbox.template(template)["prerun"])
    run_id = tallyfy.sandbox.add_run(template=template)
    status = tallyfy("PUT", f"/runs/{run_id}", json={"prerun": [{"id": one, "value": "1"}, {two: "2"}]}).status_code
    assert tallyfy("PUT", f"/runs/{run_id}", json={"prerun": []}).status_code == 200
    return status, sorted(tallyfy.true(run_id)["prerun"].values())


def launch_tasks_map(tallyfy: Client) -> Any:
    template = tallyfy.sandbox.add_template("T", ["One", "Two", "Three"])
    step = tallyfy.sandbox.template(template)["steps"][1]["id"]
    body = {"checklist_id": template, "name": "x", "tasks": {step: {"owners": {"users": [10002]}}}}
    tasks = tallyfy.sandbox.tasks(tallyfy.data("POST", "/runs", json=body)["id"])
    return [(task["title"], task["owners"]["users"]) for task in tasks]


def tasks_of_archived(tallyfy: Client) -> Any:
    answer = tallyfy("GET", f"/runs/{tallyfy.sandbox.add_run(archived=True)}/tasks")
    return answer.status_code if answer.status_code == 404 else len(answer.json()["data"])


def complete_twice(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run()
    body = {"task_id": tallyfy.sandbox.tasks(run_id)[0]["id"]}
    tallyfy("POST", f"/runs/{run_id}/completed-tasks", json=body)
    status = tallyfy("POST", f"/runs/{run_id}/completed-tasks", json=body).status_code
    feed = tallyfy.data("GET", f"/activity-feeds?entity_type=run&entity_id={run_id}&verb=completed")
    return status, len(feed)


def status_archived_filter(tallyfy: Client) -> Any:
    tallyfy.sandbox.add_run()
    tallyfy.sandbox.add_run(archived=True)
    return [bool(row["archived_at"]) for row in tallyfy.data("GET", "/runs?status=archived")]


def per_page_over_100(tallyfy: Client) -> Any:
    tallyfy.sandbox.add_runs(150)
    answer = tallyfy("GET", "/runs?per_page=120")
    return answer.status_code if answer.status_code != 200 else len(answer.json()["data"])


def without_pagination(tallyfy: Client) -> Any:
    tallyfy.sandbox.add_runs(15)
    answer = tallyfy("GET", "/runs?without_pagination=true").json()
    return len(answer["data"]), "meta" in answer


def pagination_links(tallyfy: Client) -> Any:
    def shape(query: str) -> Any:
        pagination = tallyfy("GET", f"/runs?{query}").json()["meta"]["pagination"]
        links = pagination.get("links", "absent")
        return {name: bool(link) for name, link in links.items()} if isinstance(links, dict) else links

    tallyfy.sandbox.add_runs(3)
    return shape("per_page=2"), shape("per_page=3")


def default_order(tallyfy: Client) -> Any:
    tallyfy.sandbox.add_runs(3, name="Run")
    return [row["name"] for row in tallyfy.data("GET", "/runs")]


def progress(tallyfy: Client) -> Any:
    return tallyfy.data("GET", f"/runs/{tallyfy.sandbox.add_run(done=1)}")["progress"]


def field(name: str) -> Look:
    return lambda tallyfy: tallyfy.data("GET", f"/runs/{tallyfy.sandbox.add_run(users=[10001])}")[name]


def timestamps(tallyfy: Client) -> Any:
    return tallyfy.data("GET", f"/runs/{tallyfy.sandbox.add_run()}")["created_at"][19:]


def users_shape(tallyfy: Client) -> Any:
    users = field("users")(tallyfy)
    rows = users["data"] if isinstance(users, dict) else users
    return isinstance(users, dict), [row["id"] if isinstance(row, dict) else row for row in rows]


def get_with_tags_shape(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(tags=[tallyfy.sandbox.add_tag("A")])
    tags = tallyfy.data("GET", f"/runs/{run_id}?with=tags")["tags"]
    assert {"id", "tag_id"} <= (tags["data"] if isinstance(tags, dict) else tags)[0].keys()
    return type(tags)


def with_folders_shape(tallyfy: Client) -> Any:
    folder = tallyfy.sandbox.add_folder("F")
    run_id = tallyfy.sandbox.add_run(folders=[folder])
    (relation,) = tallyfy.data("GET", f"/folders/{folder}")["objects"]["data"]
    (row,) = tallyfy.data("GET", f"/runs/{run_id}?with=folders")["folders"]["data"]
    return [
        row["id"] == relation["id"],
        row.get("folder_object_id") == relation["id"],
        row.get("pivot", {}).get("id") == relation["id"],
    ]


def run_state(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run(archived=True)
    rows = [tallyfy.data("GET", f"/runs/{run_id}"), *tallyfy.data("GET", "/runs?archived=only")]
    assert tallyfy.true(run_id)["archived_at"]
    rows.append(tallyfy.data("PUT", f"/runs/{run_id}/activate"))
    return [sorted({"status", "archived_at"} & row.keys()) for row in rows]


def archived_filter(tallyfy: Client) -> Any:
    tallyfy.sandbox.add_run("Live")
    tallyfy.sandbox.add_run("Gone", archived=True)
    return ["".join(row["name"] for row in tallyfy.data("GET", f"/runs?{q}")) for q in ("archived=only", "")]


def validation_status(tallyfy: Client) -> Any:
    return tallyfy("PUT", f"/runs/{tallyfy.sandbox.add_run()}", json={"name": "x" * 551}).status_code


def delete_live(tallyfy: Client) -> Any:
    run_id = tallyfy.sandbox.add_run()
    return tallyfy("DELETE", f"/runs/{run_id}/delete").status_code, tallyfy.sandbox.run(run_id) is not None


def unauthenticated_body(tallyfy: Client) -> Any:
    tallyfy.sandbox.revoke(tallyfy.sandbox.token)
    answer = tallyfy("GET", "/me")
    return answer.status_code, answer.json()["message"]


def missing_client_header(tallyfy: Client) -> Any:
    del tallyfy.session.headers["X-Tallyfy-Client"]
    return tallyfy("GET", "/me").status_code


def wrong_accept(tallyfy: Client) -> Any:
    tallyfy.session.headers["Accept"] = "*/*"
    good, bad = tallyfy("GET", "/me"), tallyfy("GET", f"/runs/{'0' * 32}")
    return good.status_code, bad.status_code, bad.headers["Content-Type"].split(";")[0]


def foreign_organization(tallyfy: Client) -> Any:
    return tallyfy.session.get(f"{tallyfy.sandbox.api_url}/organizations/{'0' * 32}/runs", timeout=5).status_code


def burst(look: Look) -> Look:
    def limited(tallyfy: Client) -> Any:
        with Sandbox(tallyfy.sandbox.behaviour, rate_limit=(1, 60)) as sandbox:
            client = Client(sandbox)
            assert client("GET", "/me").status_code == 200
            answer = client("GET", "/me")
            assert answer.status_code == 429
            assert not sandbox.requests[1].applied
            return look(answer)  # type: ignore[arg-type]

    return limited


# What is seen in each position of each switch.
SWITCHES: dict[str, tuple[Look, dict[Any, Any]]] = {
    "get_archived": (get_archived, {"200": (200, 200), "404": (404, 404)}),
    "second_archive": (second_archive, {"404": 404, "200": 200}),
    "activate_live": (activate_live, {"400": 400, "404": 404, "200": 200}),
    "archived_status": (archived_status, {"archived": {"archived"}, "original": {"complete"}}),
    "list_archived_status": (
        list_archived_status,
        {"same": ("complete",) * 2, "archived": ("archived", "complete"), "original": ("complete",) * 2},
    ),
    "archive_body": (archive_body, {"object": (200, True), "empty": (200, False), "204": (204, False)}),
    "activate_body": (activate_body, {"object": (200, True), "empty": (200, False), "204": (204, False)}),
    "put_tags": (put_labels("tags"), {"replace": (["new"], ["new"]), "ignore": (["old"], [])}),
    "put_folders": (put_labels("folders"), {"replace": (["new"], ["new"]), "ignore": (["old"], [])}),
    "put_archived": (put_archived, {"422": 422, "404": 404}),
    "put_without_members": (put_without_members, {"empties": ([], False), "keeps": ([10001], True)}),
    "update_echo": (
        update_echo,
        {"sent": ([], ["tags"]), "always": (["folders", "tags"],) * 2, "never": ([], [])},
    ),
    "prerun_list": (prerun_list, {"422": (422, []), "accept": (200, ["1", "2"])}),
    "prerun_empty": (field("prerun"), {"object": {}, "list": []}),
    "validation_status": (validation_status, {"422": 422, "400": 400}),
    "delete_live": (delete_live, {"422": (422, True), "404": (404, True)}),
    "launch_tasks_map": (
        launch_tasks_map,
        {
            "truncates": [("Two", [10002])],
            "overrides": [("One", [10001]), ("Two", [10002]), ("Three", [10001])],
        },
    ),
    "tasks_of_archived": (tasks_of_archived, {"empty": 0, "404": 404, "tasks": 3}),
    "complete_twice": (complete_twice, {"200": (200, 2), "422": (422, 1)}),
    "status_archived_filter": (status_archived_filter, {"empty": [], "honoured": [True]}),
    "per_page_over_100": (per_page_over_100, {"clamp": 100, "422": 422, "allow": 120}),
    "without_pagination": (without_pagination, {"plain": (15, False), "ignored": (10, True)}),
    "pagination_links": (
        pagination_links,
        {
            "object": ({"next": True}, []),
            "nulls": ({"previous": False, "next": True}, {"previous": False, "next": False}),
            "null": (None, None),
            "absent": ("absent", "absent"),
        },
    ),
    "default_order": (
        default_order,
        {"oldest_first": ["Run 1", "Run 2", "Run 3"], "newest_first": ["Run 3", "Run 2", "Run 1"]},
    ),
    "progress": (progress, {"object": {"complete": 1, "total": 3, "percent": 33}, "number": 33, "empty": {}}),
    "timestamps": (timestamps, {".000Z": ".000Z", "Z": "Z"}),
    "owner_id_type": (field("owner_id"), {"int": 10001, "str": "10001"}),
    "users_shape": (
        users_shape,
        {"ints": (False, [10001]), "objects": (False, [10001]), "wrapped": (True, [10001])},
    ),
    "get_with_tags_shape": (get_with_tags_shape, {"wrapped": dict, "list": list}),
    "with_folders_shape": (
        with_folders_shape,
        {
            "relations": [True, False, False],
            "folders": [False, True, False],
            "pivot": [False, False, True],
            "plain": [False, False, False],
        },
    ),
    "run_state": (run_state, {"shown": [["archived_at", "status"]] * 3, "hidden": [[]] * 3}),
    "archived_filter": (archived_filter, {"honoured": ["Gone", "Live"], "ignored": ["LiveGone", "Live"]}),
    "unauthenticated_body": (
        unauthenticated_body,
        {"error": (401, "invalid token"), "laravel": (401, "Unauthenticated.")},
    ),
    "missing_client_header": (missing_client_header, {"401": 401, "404": 404}),
    "wrong_accept": (
        wrong_accept,
        {"401": (401, 401, "application/json"), "html_errors": (200, 404, "text/html")},
    ),
    "foreign_organization": (foreign_organization, {"403": 403, "404": 404}),
    "burst_429_body": (
        burst(lambda answer: "html" in answer.headers["Content-Type"]),  # type: ignore[attr-defined]
        {"json": False, "html": True},
    ),
    "burst_429_retry_after": (
        burst(lambda answer: answer.headers.get("Retry-After")),  # type: ignore[attr-defined]
        {True: "60", False: None},
    ),
    **LOOKS,
}
POSITIONS = [(name, position) for name, positions in Behaviour.positions().items() for position in positions]


@pytest.mark.parametrize(("name", "position"), POSITIONS)
def test_a_switch_does_what_it_says(name: str, position: Any) -> None:
    look, expected = SWITCHES[name]
    with Sandbox() as sandbox:
        # Moved while it runs: every switch may be.
        sandbox.behaviour = dataclasses.replace(sandbox.behaviour, **{name: position})
        assert look(Client(sandbox)) == expected[position]


def test_a_position_that_a_switch_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"get_archived is 404; it takes one of \['200', '404'\]"):
        Behaviour(get_archived=404)  # type: ignore[arg-type]


def test_reads_may_lag_behind_writes() -> None:
    with Sandbox(Behaviour(read_lag=0.3)) as sandbox:
        tallyfy = Client(sandbox)
        old, template = sandbox.add_run("Old"), sandbox.add_template("T")
        new = tallyfy.data("POST", "/runs", json={"checklist_id": template, "name": "New"})["id"]
        assert tallyfy.data("DELETE", f"/runs/{old}")["archived_at"]
        assert tallyfy.data("GET", f"/runs/{old}")["archived_at"] is None
        assert [row["id"] for row in tallyfy.data("GET", "/runs")] == [old]
        assert tallyfy.data("GET", "/runs?archived=only") == []
        assert tallyfy("GET", f"/runs/{new}").status_code == 404
        assert tallyfy.data("GET", f"/runs/{new}/tasks") == []
        assert tallyfy.true(old)["is_archived"]
        time.sleep(0.35)
        assert tallyfy.data("GET", f"/runs/{old}")["archived_at"]
        assert [row["id"] for row in tallyfy.data("GET", "/runs")] == [new]
        assert len(tallyfy.data("GET", f"/runs/{new}/tasks")) == 3


def test_parameters_can_be_ignored() -> None:
    with Sandbox() as sandbox:
        tallyfy = Client(sandbox)
        sandbox.add_run("B", starred=True)
        sandbox.add_run("A")
        sandbox.add_run("Gone", archived=True)

        def names(query: str) -> str:
            return " ".join(row["name"] for row in tallyfy.data("GET", f"/runs?{query}"))

        asked = "starred=true&sort=name&archived=true&q=b"
        assert names(asked) == "B"
        for ignored, seen in (
            (["q"], "B"),
            (["starred", "q"], "A B Gone"),
            (["starred", "q", "sort"], "B A Gone"),
            (["starred", "q", "archived"], "A B"),
        ):
            # From another process, and moved while it runs.
            changed = requests.put(f"{sandbox.url}/_sandbox/behaviour", json={"ignored_parameters": ignored}, timeout=5)
            assert changed.json()["ignored_parameters"] == ignored
            assert names(asked) == seen
        with pytest.raises(ValueError, match="takes a tuple of names"):
            Behaviour(ignored_parameters="q")  # type: ignore[arg-type]
