"""Launch one Tallyfy run for each new hire, and read people's answers.

``new_hires`` stands for your HR system: it makes up a list of people. ``launch`` runs one mapped task for each of them.
It answers the kick-off form by the labels that people see in Tallyfy, and assigns one step to the manager, who may be a
guest. A launch happens once: a task that is retried or cleared finds the run that it launched before, and adopts it.
``read_answers`` returns each run with its answers by label. Clear this task later to read newer answers.

Needs: the connection ``tallyfy_default``, and a template with the fields and the step that are named below, such as
"New hire" in the sandbox.

Params:

* ``template``: title or id of the template.
* ``hires``: how many people to make up.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow import DAG
from airflow.models import Param

try:
    from airflow.sdk import task
except ImportError:
    from airflow.decorators import task  # type: ignore[attr-defined, no-redef]  # only Airflow 2.11 has it here

from airflow_provider_tallyfy.operators.tallyfy import TallyfyGetRunOperator, TallyfyLaunchRunOperator

NAMES = ("Ada Byron", "Alan Mathison", "Grace Murray", "Edsger Wybe", "Barbara Jane", "Donald Ervin")
TEAMS = ("Engineering", "Finance", "Sales")

with DAG(
    "tallyfy_onboarding",
    description="Launch one Tallyfy run for each new hire, and read people's answers",
    schedule=None,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["tallyfy", "example"],
    params={
        "template": Param("New hire", type="string", minLength=1, title="Template", description="Title or id"),
        "hires": Param(3, type="integer", minimum=1, maximum=1024, title="Hires", description="How many to make up"),
    },
    doc_md=__doc__,
) as dag:

    @task
    def new_hires(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Make up people, and return the arguments of each launch."""
        assert params is not None
        people = []
        for number in range(params["hires"]):
            name = NAMES[number % len(NAMES)] + (f" {number + 1}" if number >= len(NAMES) else "")
            people.append(
                {
                    "name": f"Onboarding of {name}",
                    "answers": {
                        "Name": name,
                        "Private e-mail": f"hire{number + 1}@example.com",
                        "Team": TEAMS[number % len(TEAMS)],
                        "Equipment": ["Laptop", "Headset"],
                        "Start": (date(2027, 1, 4) + timedelta(weeks=number)).isoformat(),
                    },
                    "assignees": {"First-day check": [f"manager{number % 2 + 1}@example.com"]},
                }
            )
        return people

    launch = TallyfyLaunchRunOperator.partial(
        task_id="launch", template="{{ params.template }}", max_active_tis_per_dag=4
    ).expand_kwargs(new_hires())

    # One mapped task per run, so that each run has its own row and button in Airflow.
    read_answers = TallyfyGetRunOperator.partial(task_id="read_answers", max_active_tis_per_dag=4).expand(
        run_id=launch.output.map(lambda run: run["id"])
    )
