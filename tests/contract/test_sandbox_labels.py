"""Tags, folders, templates and the activity feed in the sandbox."""

from __future__ import annotations

import json
import re

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from tests.contract._plain_requests import Ask, errors

HEX = re.compile(r"[0-9a-f]{32}")


def test_tags(sandbox: Sandbox, ask: Ask) -> None:
    status, answer = ask("POST", "/tags", {"title": "Red", "color": "#ff0000"})
    tag = answer["data"]["id"]
    assert (status, bool(HEX.fullmatch(tag))) == (201, True)
    for bad in ({"title": "red"}, {"title": "x" * 31}, {"title": ""}, {"title": "Blue", "color": "red"}):
        assert ask("POST", "/tags", bad)[0] == 422
    assert ask("GET", f"/tags/{tag}")[1]["data"]["title"] == "Red"
    assert ask("PUT", f"/tags/{tag}", {"color": "#00ff00"})[0] == 422
    assert ask("PUT", f"/tags/{tag}", {"title": "Crimson"})[1]["data"]["title"] == "Crimson"
    assert ask("GET", "/tags?q=crim")[1]["meta"]["pagination"]["total"] == 1

    run_id, archived = sandbox.add_run(), sandbox.add_run(archived=True)
    public = sandbox.add_tag("Public", tag_type="public")
    body = {"subject_id": run_id, "subject_type": "Run", "tag_id": tag, "tag_type": "private"}
    status, answer = ask("POST", "/checklists/tags", body)
    association = answer["data"]["id"]
    assert (status, type(association)) == (201, int)
    assert ask("POST", "/checklists/tags", body)[1]["data"]["id"] == association
    for change, field in (
        ({"subject_id": archived}, "subject_id"),
        ({"subject_id": "0" * 32}, "subject_id"),
        ({"tag_id": public}, "tag_id"),
        ({"tag_type": "secret"}, "tag_type"),
        ({"subject_type": "Task"}, "subject_type"),
    ):
        assert list(errors(ask("POST", "/checklists/tags", {**body, **change})[1])) == [field]
    assert errors(ask("POST", "/checklists/tags", {**body, "subject_id": archived})[1]) == {
        "subject_id": ["Subject not found"]
    }
    assert ask("GET", "/tags?with=statistics")[1]["data"][0]["statistics"]["data"]["runs"] == 1
    # PHP casts the segment to int: a hex id reads as its leading digits, or 0.
    for wrong in (tag, "0", "abc"):
        assert ask("DELETE", f"/checklists/tags/{wrong}")[0] == 204
    assert (sandbox.run(run_id) or {})["tags"] == [tag]
    assert ask("DELETE", f"/checklists/tags/{association}")[0] == 204
    assert (sandbox.run(run_id) or {})["tags"] == []
    ask("POST", "/checklists/tags", body)
    assert [ask("DELETE", f"/tags/{tag}")[0] for _ in "12"] == [204, 204]
    assert (sandbox.run(run_id) or {})["tags"] == []


def test_somebody_elses_association_is_removed_by_a_hex_id_with_leading_digits(sandbox: Sandbox, ask: Ask) -> None:
    tag = sandbox.add_tag("Victim")
    run_id = sandbox.add_run(tags=[tag])
    (row,) = ask("GET", f"/runs/{run_id}?with=tags")[1]["data"]["tags"]["data"]
    assert ask("DELETE", f"/checklists/tags/{row['id']}abcdef")[0] == 204
    assert (sandbox.run(run_id) or {})["tags"] == []


def test_folders(sandbox: Sandbox, ask: Ask) -> None:
    status, answer = ask("POST", "/folders", {"name": "Runs", "folder_type": "run"})
    folder = answer["data"]["id"]
    assert status == 201
    templates = ask("POST", "/folders", {"name": "Templates"})[1]["data"]
    assert templates["folder_type"] == "checklist"
    child = ask("POST", "/folders", {"name": "Child", "folder_type": "run", "parent_id": folder})[1]["data"]
    assert ask("POST", "/folders", {"name": "x" * 33})[0] == 422
    assert ask("POST", "/folders", {"name": "x"}, role="light")[0] == 403
    listed = ask("GET", "/folders?folder_type=run&with=children&pagination=false")[1]
    assert [row["name"] for row in listed["data"]] == ["Runs", "Child"]
    assert listed["data"][0]["children"]["data"][0]["id"] == child["id"]
    assert ask("PUT", f"/folders/{folder}", {"name": "Renamed"})[1]["data"]["name"] == "Renamed"

    run_id, archived = sandbox.add_run(), sandbox.add_run(archived=True)
    body = {"folder_id": folder, "subject_id": run_id, "subject_type": "Run"}
    status, answer = ask("POST", "/folders/add-object", body)
    relation = answer["data"]["id"]
    assert (status, type(relation), answer["data"]["subject_id"]) == (201, int, run_id)
    assert ask("GET", f"/folders/{folder}")[1]["data"]["objects"]["data"][0]["id"] == relation
    wrong = ask("POST", "/folders/add-object", {**body, "folder_id": templates["id"]})[1]
    assert errors(wrong) == {"folder_id": ["No such a folder exists in Processes."]}
    assert ask("POST", "/folders/add-object", {**body, "subject_id": archived})[0] == 422
    assert ask("POST", "/folders/add-object", {**body, "subject_type": "Checklist"})[0] == 422
    assert ask("DELETE", f"/folders-objects/{folder[:0]}x")[0] == 204
    assert (sandbox.run(run_id) or {})["folders"] == [folder]
    assert ask("DELETE", f"/folders-objects/{relation}")[0] == 204
    assert (sandbox.run(run_id) or {})["folders"] == []
    assert ask("DELETE", f"/folders/{folder}")[0] == 204
    assert ask("GET", f"/folders/{folder}")[0] == 404


def test_only_the_folder_tells_the_numbers_of_several_runs_in_it(sandbox: Sandbox, ask: Ask) -> None:
    sandbox.behaviour = Behaviour(with_folders_shape="plain")
    folder, other = sandbox.add_folder("Audit"), sandbox.add_folder("Renewals")
    runs = [sandbox.add_run(f"Run {number}", folders=[folder, other]) for number in range(3)]
    rows = ask("GET", f"/folders/{folder}")[1]["data"]["objects"]["data"]
    numbers = {row["subject_id"]: row["id"] for row in rows}
    assert list(numbers) == runs
    assert len(set(numbers.values())) == 3
    assert {row["folder_id"] for row in rows} == {folder}
    for path in (f"/runs/{runs[1]}?with=folders", "/runs?with=folders,tags"):
        answer = ask("GET", path)[1]["data"]
        shown = answer["folders"] if isinstance(answer, dict) else answer[1]["folders"]
        assert [row["id"] for row in shown["data"]] == [folder, other]
        assert not set(map(str, numbers.values())) & set(re.findall(r"\d+", json.dumps(shown)))
    assert ask("DELETE", f"/folders-objects/{numbers[runs[1]]}")[0] == 204
    assert [(sandbox.run(run_id) or {})["folders"] for run_id in runs] == [[folder, other], [other], [folder, other]]


def test_rows_of_a_list_carry_their_tags_and_folders_when_asked(sandbox: Sandbox, ask: Ask) -> None:
    tag, folder = sandbox.add_tag("Keep"), sandbox.add_folder("Audit")
    sandbox.add_run("Both", tags=[tag], folders=[folder])
    sandbox.add_run("None")
    both, none = ask("GET", "/runs?with=tags,folders")[1]["data"]
    assert [(row["tag_id"], row["title"], type(row["id"])) for row in both["tags"]["data"]] == [(tag, "Keep", int)]
    assert [(row["folder_id"], type(row["id"])) for row in both["folders"]["data"]] == [(folder, int)]
    assert (none["tags"], none["folders"]) == ({"data": []}, {"data": []})
    assert not {"tags", "folders"} & ask("GET", "/runs")[1]["data"][0].keys()


def test_folders_are_found_by_type_and_name(sandbox: Sandbox, ask: Ask) -> None:
    for name in ("Audit 2025", "Audit 2026", "Renewals"):
        sandbox.add_folder(name)
    sandbox.add_folder("Audit of templates", folder_type="checklist")

    def names(query: str) -> list[str]:
        return [row["name"] for row in ask("GET", f"/folders?{query}")[1]["data"]]

    assert names("folder_type=run&q=audit") == ["Audit 2025", "Audit 2026"]
    assert names("folder_type=run&q=audit&per_page=1&page=2") == ["Audit 2026"]
    assert names("q=AUDIT") == ["Audit of templates"]
    assert names("folder_type=run&q=nothing") == []


def test_templates(sandbox: Sandbox, ask: Ask) -> None:
    template = sandbox.add_template("Onboarding", ["One", "Two"], [{"label": "Plan", "options": ["A", "B"]}])
    sandbox.add_run(template=template)
    item = ask("GET", f"/checklists/{template}?with=steps,tags")[1]["data"]
    assert (item["started_processes"], item["prerun"][0]["options"][1]) == (1, {"id": 2, "text": "B"})
    assert [step["title"] for step in item["steps"]["data"]] == ["One", "Two"]
    assert ask("GET", "/checklists?q=onb")[1]["data"][0]["id"] == template
    assert len(ask("GET", f"/checklists/{template}/steps")[1]["data"]) == 2
    assert ask("PUT", f"/checklists/{template}", {"folder_id": "x"})[0] == 422
    assert ask("PUT", f"/checklists/{template}", {"title": "T", "folder_id": "x"})[1]["data"]["folder_id"] == "x"
    assert ask("GET", f"/checklists/{'0' * 32}")[0] == 404
    body = {"subject_id": template, "subject_type": "Checklist", "tag_id": sandbox.add_tag("T"), "tag_type": "private"}
    assert ask("POST", "/checklists/tags", body)[0] == 201
    assert ask("GET", f"/checklists/{template}?with=tags")[1]["data"]["tags"]["data"][0]["subject_type"] == "Checklist"


def test_activity(sandbox: Sandbox, ask: Ask) -> None:
    run_id = sandbox.add_run(days_old=2)
    task = sandbox.tasks(run_id)[0]["id"]
    ask("PUT", f"/runs/{run_id}", {"name": "x"})
    ask("POST", f"/runs/{run_id}/completed-tasks", {"task_id": task})
    ask("DELETE", f"/runs/{run_id}/completed-tasks/{task}")
    ask("POST", f"/tasks/{task}/comment", {"content": "hello"})
    issue = ask("POST", f"/tasks/{task}/problem", {"content": "oh"})[1]["data"]["id"]
    ask("POST", f"/tasks/{task}/resolved-threads", {"thread_id": issue})
    ask("DELETE", f"/runs/{run_id}")
    ask("PUT", f"/runs/{run_id}/activate")
    sandbox.archive(run_id, by_bot=True)
    feed = ask("GET", f"/activity-feeds?entity_type=run&entity_id={run_id}")[1]
    assert [row["verb"][0] for row in reversed(feed["data"])] == [
        "created",
        "updated",
        "completed",
        "uncompleted",
        "commented",
        "issue-reported",
        "issue-resolved",
        "archived",
        "unarchived",
        "archived",
    ]
    newest = feed["data"][0]
    assert (newest["source"], newest["auditable_id"], type(newest["id"])) == (["Webhook"], run_id, int)
    assert feed["meta"]["pagination"]["per_page"] == 20
    narrowed = ask("GET", f"/activity-feeds?entity_type=run&entity_id={run_id}&verb=archived&source=Member")[1]
    assert len(narrowed["data"]) == 1
