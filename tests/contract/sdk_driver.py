"""Calls a Tallyfy organization with Tallyfy's own SDK and prints the results as JSON.

Runs in a separate environment, because the SDK pins a dependency: ``python sdk_driver.py PLAN``, where PLAN
is JSON with ``base_url``, ``organization_id``, ``token`` and the ids to work on. Imports nothing of this project.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from tallyfy import TallyfyError, TallyfySDK  # type: ignore[import-not-found,unused-ignore]


def drive(sdk: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """Call every operation; return the results by operation."""
    org = plan["organization_id"]
    done: dict[str, Any] = {"me": sdk.get_current_user_info(org).role, "organization": sdk.get_organization(org).name}
    done["organizations"] = [item.id for item in sdk.get_current_user_organizations().data]

    pages: list[Any] = []
    while not pages or len(pages) < pages[-1].meta.total_pages:
        pages.append(sdk.get_organization_runs(org, per_page=7, page=len(pages) + 1))
    done["listed"] = [run.id for page in pages for run in page.data]
    done["total"] = pages[-1].meta.total
    done["filtered"] = [
        run.id for run in sdk.get_organization_runs(org, status="complete", sort="-created_at", starred=True).data
    ]
    done["found"] = [item.id for item in sdk.search_processes(org, "ACME + Söhne").data]

    template = sdk.get_template(org, plan["template"])
    field = template.prerun[0]
    done["template"] = [template.title, field.extra["label"], len(sdk.get_template_steps(org, plan["template"]))]
    launched = sdk.launch_process(
        org,
        plan["template"],
        "Launched by the SDK",
        owner_id=plan["member"],
        prerun={field.id: "ACME"},
        tags=[plan["tag"]],
        users=[plan["member"]],
        folders=[plan["folder"]],
    )
    done["launched"] = dataclasses.asdict(launched)

    run = sdk.get_process(org, launched.id, with_="tags,tasks,checklist,folders,next_task,form_fields")
    done["get"] = dataclasses.asdict(run)
    done["tasks"] = [task.title for task in sdk.get_tasks_for_process(org, launched.id).data]
    first, second = sdk.get_tasks_for_process(org, launched.id, sort="position").data
    done["task"] = sdk.get_task(org, launched.id, first.id, with_="step,form_fields").step.title
    done["completed"] = sdk.complete_task(org, launched.id, first.id).status
    done["reopened"] = sdk.reopen_task(org, launched.id, first.id).status
    sdk.complete_task(org, launched.id, first.id)
    try:
        sdk.complete_task(org, launched.id, second.id)
    except TallyfyError as error:
        done["unapproved"] = [error.status_code, str(error)]
    issue = sdk.report_task_issue(org, second.id, "wrong amount")
    done["troubled"] = sdk.get_process(org, launched.id).status
    sdk.threads.resolve_task_issues(org, second.id, issue.id)
    sdk.complete_task(org, launched.id, second.id, is_approved=True)
    done["finished"] = sdk.get_process(org, launched.id).status
    done["kick_off"] = [sdk.reopen_kickoff_form(org, launched.id), sdk.complete_kickoff_form(org, launched.id)]

    done["tagged"] = sdk.tag_process(org, launched.id, plan["other_tag"])
    done["untagged"] = sdk.untag_process(org, launched.id, plan["tag"])
    done["template_tagged"] = sdk.tag_template(org, plan["template"], plan["tag"])
    done["template_untagged"] = sdk.untag_template(org, plan["tag"], template_id=plan["template"])
    relation = sdk.add_object_to_folder(org, plan["other_folder"], launched.id, "run")
    done["filed"] = type(relation["id"]).__name__
    done["unfiled"] = sdk.remove_object_from_folder(org, relation["id"])
    tag = sdk.create_tag(org, "From the SDK", color="#123456")
    done["tags"] = sorted(item.title for item in sdk.get_tags(org, page=None))
    sdk.delete_tag(org, tag.id)
    done["folders"] = [item.name for item in sdk.get_folders(org, folder_type="run")]

    done["updated"] = sdk.update_process(org, launched.id, name="Renamed by the SDK", starred=True).name
    done["archived"] = sdk.archive_process(org, plan["run"])
    done["archived_list"] = [item.id for item in sdk.get_organization_runs(org, archived="only").data]
    try:
        sdk.archive_process(org, plan["run"])
    except TallyfyError as error:
        done["archived_twice"] = error.status_code
    reactivated = sdk.reactivate_process(org, plan["run"])
    done["reactivated"] = [reactivated.status, reactivated.archived_at]
    return done


def launch(sdk: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """Launching with every kind of answer and assignee, and what people do then."""
    org, template = plan["organization_id"], plan["template"]
    kickoff = sdk.get_kickoff_form_fields(org, template)
    done: dict[str, Any] = {"kickoff": [[field["label"], field["field_type"]] for field in kickoff]}
    steps = sdk.get_template_steps(org, template)
    done["steps"] = [
        [step.title, step.assignees, step.guests, step.groups, step.allow_guest_owners, step.assign_run_starter]
        for step in steps
    ]
    for prerun in ({}, {"Company": "by label"}, {kickoff[0]["id"]: ["a list"]}):
        try:
            sdk.launch_process(org, template, "Refused", prerun=prerun)
        except TallyfyError as error:
            done.setdefault("refused", []).append([error.status_code, error.response_data["errors"]])
    prerun = {field["id"]: plan["answers"][field["label"]] for field in kickoff}
    # Every step, as Tallyfy's MCP server does: a partial map would leave the others out.
    tasks = {
        step.id: {
            "owners": {"users": step.assignees, "guests": step.guests or plan["guests"], "groups": step.groups},
            "deadline": "2099-12-31 23:59:59",
        }
        for step in steps
    }
    run = sdk.launch_process(org, template, "Launched", prerun=prerun, tasks=tasks)
    done["prerun"] = run.prerun
    read = sdk.get_process(org, run.id, with_="ko_form_fields,form_fields,tasks,tasks.form_fields")
    done["with"] = [len(read.extra[name]["data"]) for name in ("ko_form_fields", "form_fields")]
    found = sdk.get_tasks_for_process(org, run.id, sort="position", with_="form_fields").data
    done["tasks"] = [[task.title, task.status, task.deadline, dataclasses.asdict(task.owners)] for task in found]

    call, approve, expires = found
    done["guest tasks"] = [
        [guest.email, len(sdk.get_guest_tasks(org, guest.guest_id).data)]
        for guest in sdk.get_organization_guests(org).data
    ]
    done["my tasks"] = len(sdk.get_my_tasks(org).data), len(sdk.get_user_tasks(org, plan["member"]).data)
    done["found"] = [item.name for item in sdk.search_tasks(org, "approve").data]
    try:
        sdk.complete_task(org, run.id, call.id)
    except TallyfyError as error:
        done["unanswered"] = error.response_data["errors"]
    field = sdk.get_task(org, run.id, call.id, with_="form_fields").extra["form_fields"]["data"][0]
    done["answered"] = sdk.update_task(org, run.id, call.id, taskdata={field["id"]: "DE1"}).taskdata[field["id"]]
    done["completer"] = sdk.complete_task(org, run.id, call.id, override_user=plan["member"]).completer_id
    sdk.add_task_comment(org, approve.id, "Too dear.")
    done["comments"] = [one.content for one in sdk.get_task_comments(org, run.id, approve.id)]
    done["rejected"] = sdk.complete_task(org, run.id, approve.id, is_approved=False).is_approved
    try:
        sdk.complete_task(org, run.id, expires.id, is_approved=False)
    except TallyfyError as error:
        done["expiring"] = error.status_code
    sdk.complete_task(org, run.id, expires.id)
    done["finished"] = sdk.get_process(org, run.id).status
    done["run"] = run.id
    return done


def main() -> None:
    """Read the plan, call the SDK, print the results."""
    plan = json.loads(sys.argv[1])
    with TallyfySDK(api_key=plan["token"], base_url=plan["base_url"], max_retries=1, retry_delay=0.01) as sdk:
        print(json.dumps({"drive": drive, "launch": launch}[plan.get("what", "drive")](sdk, plan)))


if __name__ == "__main__":
    main()
