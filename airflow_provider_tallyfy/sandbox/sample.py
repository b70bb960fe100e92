"""A believable organization: what a mid-sized company's Tallyfy looks like on a working day."""

from __future__ import annotations

import datetime
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.sandbox.contents import Contents

if TYPE_CHECKING:
    from airflow_provider_tallyfy.sandbox.contents import RunAttributes


@dataclass(frozen=True)
class _Blueprint:
    title: str
    subject: str
    subjects: tuple[str, ...]
    steps: tuple[Any, ...]
    fields: tuple[Any, ...]
    tag: str
    weight: int


_COMPANIES = (
    "ACME Corp",
    "Globex",
    "Initech",
    "Umbrella Foods",
    "Hooli",
    "Vandelay Imports",
    "Stark Metals",
    "Wayne Logistics",
    "Tyrell Optics",
    "Cyberdyne Clinics",
    "Soylent Bakeries",
    "Wonka Packaging",
    "Duff Breweries",
    "Oceanic Travel",
    "Massive Dynamic",
    "Pied Piper",
)
_PEOPLE = (
    "Ana Souza",
    "Ben Okafor",
    "Chloe Martin",
    "Dinesh Rao",
    "Elif Demir",
    "Farid Haddad",
    "Grace Kim",
    "Hugo Lindqvist",
    "Ines Moreau",
    "Jonas Weber",
    "Kaori Tanaka",
    "Liam Walsh",
)
_BLUEPRINTS = (
    _Blueprint(
        "Customer Onboarding",
        "Onboarding",
        _COMPANIES,
        (
            "Send welcome pack",
            "Schedule kick-off call",
            {"title": "Set up workspace", "fields": [{"label": "Workspace URL"}]},
            "Import data",
            {"title": "Go-live approval", "task_type": "approval"},
            "First-month review",
        ),
        (
            {"label": "Customer", "required": True},
            {"label": "Plan", "field_type": "dropdown", "options": ["Starter", "Business", "Enterprise"]},
            {"label": "Go-live date", "field_type": "date"},
        ),
        "Sales",
        5,
    ),
    _Blueprint(
        "Vendor approval",
        "Vendor",
        _COMPANIES,
        (
            "Collect documents",
            "Check sanctions list",
            {"title": "Approve spend", "task_type": "approval"},
            "Create in ERP",
        ),
        ({"label": "Vendor name", "required": True}, {"label": "Yearly spend (EUR)"}),
        "Finance",
        3,
    ),
    _Blueprint(
        "Employee offboarding",
        "Offboarding",
        _PEOPLE,
        ("Announce leave", "Collect laptop", "Revoke access", "Exit interview", "Final payslip"),
        ({"label": "Employee", "required": True}, {"label": "Last day", "field_type": "date"}),
        "People",
        2,
    ),
    _Blueprint(
        "Month-end close",
        "Close",
        (),  # the month before it began
        (
            "Post accruals",
            "Reconcile bank",
            "Review intercompany",
            {"title": "Controller sign-off", "task_type": "approval"},
        ),
        ({"label": "Period", "required": True},),
        "Finance",
        2,
    ),
    _Blueprint(
        "Content review",
        "Article",
        ("Pricing page", "Release notes", "Case study", "Security FAQ", "Partner guide", "Hiring post"),
        ("Draft", "Edit", "Legal check", "Publish"),
        (),
        "Marketing",
        1,
    ),
)
# What a DAG may launch: nobody has yet.
_TO_LAUNCH: tuple[tuple[str, tuple[Any, ...], tuple[Any, ...]], ...] = (
    (
        "Onboarding",
        (
            {"title": "Set up workspace", "users": ["omar.said@northwind.example"], "fields": ["Workspace URL"]},
            {"title": "Approve discount", "task_type": "approval", "users": ["maya.fischer@northwind.example"]},
            {"title": "Sign the contract", "deadline_days": 7},
            {"title": "Internal hand-over", "allow_guest_owners": False},
        ),
        (
            {"label": "Company", "required": True},
            {"label": "Contact", "field_type": "email"},
            {"label": "Size", "field_type": "dropdown", "options": ["S", "M", "L"], "required": True},
            {"label": "Modules", "field_type": "multiselect", "options": ["SSO", "Audit", "API"]},
            {"label": "Billing", "field_type": "radio", "options": ["Monthly", "Yearly"]},
            {"label": "Start", "field_type": "date"},
            {"label": "Notes", "field_type": "textarea"},
        ),
    ),
    (
        "New hire",
        (
            {
                "title": "Order equipment",
                "users": ["tom.becker@northwind.example"],
                "fields": [{"label": "Serial number", "required": True}],
            },
            {
                "title": "Create accounts",
                "users": ["omar.said@northwind.example"],
                "fields": [{"label": "Work e-mail", "field_type": "email"}],
            },
            {"title": "Approve access", "task_type": "approval", "users": ["priya.nair@northwind.example"]},
            "First-day check",
        ),
        (
            {"label": "Name", "required": True},
            {"label": "Private e-mail", "field_type": "email"},
            {"label": "Team", "field_type": "dropdown", "options": ["Engineering", "Finance", "People", "Sales"]},
            {"label": "Equipment", "field_type": "multiselect", "options": ["Laptop", "Phone", "Headset", "Screen"]},
            {"label": "Start", "field_type": "date", "required": True},
            {"label": "Notes", "field_type": "textarea"},
        ),
    ),
)
_MEMBERS = (
    ("maya.fischer", "admin"),
    ("omar.said", "standard"),
    ("priya.nair", "standard"),
    ("tom.becker", "standard"),
    ("lucia.romano", "light"),
)


def sample_organization(sandbox: Contents, seed: int = 1, runs: int = 60) -> None:
    """Fill a sandbox with members, templates, tags, folders, and runs of every age and state.

    About a third of the runs are complete and untouched for more than a month: what a stale-run sweep is after. Two
    templates, "Onboarding" and "New hire", have no runs yet: they are there to launch, with kick-off fields of most
    types and steps that belong to somebody. The same seed gives the same organization but for its ids, which are the
    sandbox's, and the time of day.

    :param sandbox: an empty one.
    :param seed: of the random choices.
    :param runs: how many runs.
    """
    chance = random.Random(seed)
    sandbox.organization.name = "Northwind Traders (sandbox)"
    members = [sandbox.add_member(f"{name}@northwind.example", role) for name, role in _MEMBERS]
    owners = members[:4]
    finance = sandbox.add_group("Finance team", members[1:3])
    tags = {
        title: sandbox.add_tag(title, color=color)
        for title, color in (
            ("Sales", "#3498db"),
            ("Finance", "#2ecc71"),
            ("People", "#9b59b6"),
            ("Marketing", "#e67e22"),
            ("Urgent", "#e74c3c"),
            ("Keep", "#f1c40f"),
        )
    }
    folders = [sandbox.add_folder(name) for name in ("Key accounts", "Renewals", "Audit")]
    sandbox.add_folder("Operations", folder_type="checklist")
    templates = [
        sandbox.add_template(
            blueprint.title, blueprint.steps, blueprint.fields, owner_id=members[0], days_old=chance.uniform(300, 700)
        )
        for blueprint in _BLUEPRINTS
    ]

    weights = [blueprint.weight for blueprint in _BLUEPRINTS]
    names: Counter[str] = Counter()
    for number in range(runs):
        which = chance.choices(range(len(_BLUEPRINTS)), weights)[0]
        blueprint = _BLUEPRINTS[which]
        state = _state(chance, number, len(blueprint.steps))
        subject = chance.choice(blueprint.subjects or (_month_before(state["days_old"]),))
        name = f"{blueprint.subject} - {subject}"
        names[name] += 1
        if names[name] > 1:
            name += f" ({names[name]})"
        labels = [tags[blueprint.tag]]
        if chance.random() < 0.12:
            labels.append(tags["Urgent"])
        if chance.random() < 0.08:
            labels.append(tags["Keep"])
        attributes: RunAttributes = {
            "template": templates[which],
            "owner_id": chance.choice(owners),
            "tags": labels if chance.random() < 0.9 else (),
            "folders": [chance.choice(folders)] if chance.random() < 0.3 else (),
            "users": chance.sample(owners, chance.randint(0, 2)),
            "groups": [finance] if blueprint.tag == "Finance" and chance.random() < 0.5 else (),
            "prerun": {blueprint.fields[0]["label"]: subject} if blueprint.fields else None,
            "starred": chance.random() < 0.1,
            "summary": "" if chance.random() < 0.7 else "Handed over by the previous owner; see the comments.",
            **state,
        }
        sandbox.add_run(name, **attributes)
    # After all others, so that a seed still gives the same runs.
    for title, steps, fields in _TO_LAUNCH:
        sandbox.add_template(title, steps, fields, owner_id=members[0], days_old=120)


def _month_before(days_old: float) -> str:
    """The month that ended before a run began: what its month-end close is about."""
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days_old)
    return (began.replace(day=1) - datetime.timedelta(days=1)).strftime("%B %Y")


def _state(chance: random.Random, number: int, steps: int) -> RunAttributes:
    """Age and state of a run; taken in turn, so that a small organization has one of each."""
    kind = number % 9
    if kind in (0, 3, 6):  # stale: finished long ago, nobody has looked since
        finished = chance.uniform(35, 240)
        return {"days_old": finished + chance.uniform(5, 60), "completed_days_ago": finished}
    if kind == 1:  # finished lately
        finished = chance.uniform(0.2, 20)
        return {"days_old": finished + chance.uniform(3, 30), "completed_days_ago": finished}
    if kind == 2:  # finished long ago, but somebody came back to it
        return {
            "days_old": chance.uniform(90, 200),
            "completed_days_ago": 60.0,
            "unmodified_days": chance.uniform(0.1, 5),
        }
    if kind == 4 and number % 2:  # archived
        finished = chance.uniform(60, 300)
        return {"days_old": finished + 20, "completed_days_ago": finished, "archived": True}
    if kind == 5:  # in trouble
        status = ("problem", "issue", "delayed")[number // 9 % 3]
        age = chance.uniform(3, 40)
        return {"status": status, "days_old": age, "unmodified_days": age / 3, "done": chance.randint(0, steps - 1)}
    age = chance.uniform(0.1, 30)  # under way
    return {"days_old": age, "unmodified_days": chance.uniform(0.02, age), "done": chance.randint(0, steps - 1)}
