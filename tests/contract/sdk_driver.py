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


def main() -> None:
    """Read the plan, call the SDK, print the results."""
    plan = json.loads(sys.argv[1])
    with TallyfySDK(api_key=plan["token"], base_url=plan["base_url"], max_retries=1, retry_delay=0.01) as sdk:
        print(json.dumps(drive(sdk, plan)))


if __name__ == "__main__":
    main()
