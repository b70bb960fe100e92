"""Tallyfy's own SDK works with the sandbox. If an operation fails there, the sandbox has a bug."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox, every_field

REPOSITORY = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("sdk_driver.py")


@pytest.fixture(scope="module")
def sdk_python() -> str:
    """The Python interpreter of the environment with the SDK."""
    python = Path(os.environ.get("TALLYFY_SDK_PYTHON") or REPOSITORY / ".venv-sdk" / "bin" / "python")
    if not python.exists():
        pytest.fail(f"{python} is not there, and with it Tallyfy's SDK. Run `make test`, which installs it.")
    return str(python)


def drive(sdk_python: str, plan: dict[str, Any]) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    outcome = subprocess.run(
        [sdk_python, str(DRIVER), json.dumps(plan)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert outcome.returncode == 0, outcome.stderr
    done: dict[str, Any] = json.loads(outcome.stdout)
    return done


@pytest.mark.parametrize("base", ["url", "api_url"])
def test_every_operation_of_the_sdk_works(sdk_python: str, base: str) -> None:
    with Sandbox() as sandbox:
        member = sandbox.add_member("ann.lee@example.org")
        tag, other_tag = sandbox.add_tag("First"), sandbox.add_tag("Second")
        folder, other_folder = sandbox.add_folder("One"), sandbox.add_folder("Two")
        template = sandbox.add_template(
            "Onboarding", ["Call", {"title": "Approve", "task_type": "approval"}], [{"label": "Who", "required": True}]
        )
        (field,) = sandbox.template(template)["prerun"]
        runs = sandbox.add_runs(15, name="Run", template=template)
        starred = sandbox.add_run("Onboarding ACME + Söhne", completed_days_ago=2, starred=True)
        done = drive(
            sdk_python,
            {
                "base_url": getattr(sandbox, base),
                "organization_id": sandbox.organization_id,
                "token": sandbox.token,
                "run": runs[3],
                "template": template,
                "member": member,
                "tag": tag,
                "other_tag": other_tag,
                "folder": folder,
                "other_folder": other_folder,
            },
        )
        launched, got = done.pop("launched"), done.pop("get")
        run_id = launched["id"]
        assert done == {
            "me": "admin",
            "organization": "Sandbox Organization",
            "organizations": [sandbox.organization_id],
            "listed": [*runs, starred],
            "total": 16,
            "filtered": [starred],
            "found": [starred],
            "template": ["Onboarding", "Who", 2],
            "tasks": ["Call", "Approve"],
            "task": "Call",
            "completed": "completed",
            "reopened": "in-progress",
            "unapproved": [422, "API request failed with status 422: The given data was invalid."],
            "troubled": "problem",
            "finished": "complete",
            "kick_off": [True, True],
            "tagged": True,
            "untagged": True,
            "template_tagged": True,
            "template_untagged": True,
            "filed": "int",
            "unfiled": True,
            "tags": ["First", "From the SDK", "Second"],
            "folders": ["One", "Two"],
            "updated": "Renamed by the SDK",
            "archived": True,
            "archived_list": [runs[3]],
            "archived_twice": 404,
            "reactivated": ["active", None],
        }
        assert (launched["status"], launched["prerun"]) == ("active", {field["id"]: "ACME"})
        assert launched["progress"] == {"complete": 0, "total": 2, "percent": 0, "extra": {}}
        # The SDK stores fields that its models do not know under "extra".
        assert got["extra"].keys() >= {"users", "groups", "tasks", "checklist", "folders", "next_task"}
        assert [row["tag_id"] for row in got["tags"]["data"]] == [tag]

        run = sandbox.run(run_id)
        assert run is not None
        expected = {
            "name": "Renamed by the SDK",
            "status": "complete",
            "starred": True,
            "owner_id": member,
            "tags": [other_tag],
            "folders": [folder],
            # The SDK's update omits the members, which removes them, as in production.
            "users": [],
        }
        assert {name: run[name] for name in expected} == expected
        assert not (sandbox.run(runs[3]) or {})["is_archived"]

        prefix = f"{'/api' if base == 'api_url' else ''}/organizations/{sandbox.organization_id}"
        assert all(record.path.startswith(prefix) for record in sandbox.requests if record.route != "/me/organizations")
        writes = [
            call.replace(run_id, "{launched}").replace(runs[3], "{run}")
            for call in sandbox.calls
            if not call.startswith("GET") and "/runs/" in call and "tasks" not in call
        ]
        assert writes == [
            "DELETE /runs/{launched}/complete-prerun",
            "POST /runs/{launched}/complete-prerun",
            "PUT /runs/{launched}",
            "DELETE /runs/{run}",
            "DELETE /runs/{run}",
            "PUT /runs/{run}/activate",
        ]
        assert {record.status for record in sandbox.requests} <= {200, 201, 204, 404, 422}


def test_the_sdk_reads_the_other_response_formats(sdk_python: str) -> None:
    # Only formats that its models accept. It fails if progress is a plain number, so production does not send that to
    # the SDK.
    behaviour = Behaviour(
        archive_body="204",
        timestamps="Z",
        pagination_links="absent",
        users_shape="objects",
        prerun_empty="list",
        get_with_tags_shape="list",
        with_folders_shape="folders",
        archived_status="original",
    )
    with Sandbox(behaviour) as sandbox:
        template = sandbox.add_template(
            "Onboarding", ["Call", {"title": "Approve", "task_type": "approval"}], [{"label": "Who"}]
        )
        run_id = sandbox.add_run("Run", template=template)
        done = drive(
            sdk_python,
            {
                "base_url": sandbox.api_url,
                "organization_id": sandbox.organization_id,
                "token": sandbox.token,
                "run": run_id,
                "template": template,
                "member": sandbox.add_member("ann.lee@example.org"),
                "tag": sandbox.add_tag("First"),
                "other_tag": sandbox.add_tag("Second"),
                "folder": sandbox.add_folder("One"),
                "other_folder": sandbox.add_folder("Two"),
            },
        )
        assert (done["archived"], done["finished"], done["reactivated"]) == (True, "complete", ["active", None])


ANSWERS: dict[str, Any] = {
    "Company": "ACME",
    "Notes": "two\nlines",
    "Contact": "ann@acme.example",
    "Start": "2031-01-02T03:04:05.000Z",
    "Plan": "Yearly",
    "Size": {"id": 2, "text": "M"},
    "Modules": [{"id": 1, "text": "SSO", "selected": True}, {"id": 3, "text": "API", "selected": True}],
    "First order": ["Widget", "3"],
    "Reviewers": {"users": [], "guests": ["ann@partner.example"], "groups": []},
    "Contract": [{"filename": "a.pdf", "source": "url", "url": "https://x.example/a.pdf"}],
}
GUEST, NEW_GUEST = "cfo@partner.example", "new@partner.example"


def test_the_sdk_launches_with_answers_and_assignees_and_works_on_the_tasks(sdk_python: str) -> None:
    with Sandbox() as sandbox:
        member = sandbox.add_member("ann.lee@example.org")
        group = sandbox.add_group("Finance")
        template = sandbox.add_template(
            "Onboarding",
            [
                {"title": "Call", "users": [member], "fields": [{"label": "IBAN", "required": True}]},
                {"title": "Approve", "task_type": "approval", "guests": [GUEST], "groups": [group]},
                {"title": "Expires", "task_type": "expiring", "assign_run_starter": False},
            ],
            every_field(required=True),
        )
        fields = {field["label"]: field["id"] for field in sandbox.template(template)["prerun"]}
        done = drive(
            sdk_python,
            {
                "what": "launch",
                "base_url": sandbox.api_url,
                "organization_id": sandbox.organization_id,
                "token": sandbox.token,
                "template": template,
                "member": member,
                "answers": ANSWERS,
                "guests": [NEW_GUEST],
            },
        )
        required = {number: [f"{label} is required"] for label, number in fields.items()}
        deadline = "2099-12-31T23:59:59.000Z"

        def owners(users: list[int], guests: list[str], groups: list[str]) -> dict[str, list[Any]]:
            return {"users": users, "guests": guests, "groups": groups}

        run_id, tasks = done.pop("run"), done.pop("tasks")
        assert [[title, status, due] for title, status, due, _ in tasks] == [
            ["Call", "active", deadline],
            ["Approve", "not-started", deadline],
            ["Expires", "not-started", deadline],
        ]
        assert [{name: whose[name] for name in ("users", "guests", "groups")} for *_, whose in tasks] == [
            owners([member], [NEW_GUEST], []),
            owners([], [GUEST], [group]),
            owners([], [NEW_GUEST], []),
        ]
        assert done == {
            "kickoff": [[field["label"], field["field_type"]] for field in every_field()],
            "steps": [
                ["Call", [member], [], [], True, True],
                ["Approve", [], [GUEST], [group], True, True],
                ["Expires", [], [], [], True, False],
            ],
            "refused": [
                [422, required],
                [422, required],
                [422, {key: why for key, why in required.items() if key != fields["Company"]}],
            ],
            "prerun": {fields[label]: value for label, value in ANSWERS.items()},
            "with": [10, 1],
            "guest tasks": [[GUEST, 1], [NEW_GUEST, 2]],
            "my tasks": [0, 1],
            "found": ["Approve"],
            "unanswered": {sandbox.tasks(run_id)[0]["taskdata"].copy().popitem()[0]: ["IBAN is required"]},
            "answered": "DE1",
            "completer": member,
            "comments": ["Too dear."],
            "rejected": False,
            "expiring": 422,
            "finished": "complete",
        }
        assert len(sandbox.runs()) == 1
        verbs = [event.verb for event in sandbox.organization.events[run_id]]
        assert verbs == ["created", "updated", "completed", "commented", "completed", "completed"]
