"""Tallyfy's own SDK works with the sandbox. If an operation fails there, the sandbox has a bug."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox

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
