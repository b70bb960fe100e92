"""An organization with members, groups, tags, folders and a run, and functions to inspect it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.sandbox import Sandbox

UNKNOWN = "0123456789abcdef0123456789abcdef"
AMOUNT, NOTE = "a" * 32, "b" * 32


@dataclass(frozen=True)
class Example:
    """The ids of the members, groups, tags (the last one is public) and folders, and of a run that has some of each."""

    run_id: str
    people: tuple[int, int, int]
    groups: tuple[str, str]
    tags: tuple[str, str, str]
    folders: tuple[str, str]


def add_example_organization(sandbox: Sandbox) -> Example:
    """Add members, groups, tags, folders and a run to a sandbox."""
    ann, ben, cat = (sandbox.add_member(f"{name}@example.com") for name in ("ann", "ben", "cat"))
    finance, legal = sandbox.add_group("Finance", [ann]), sandbox.add_group("Legal", [ben])
    tags = (sandbox.add_tag("Urgent"), sandbox.add_tag("Sales"), sandbox.add_tag("Public one", tag_type="public"))
    folders = (sandbox.add_folder("Key accounts"), sandbox.add_folder("Audit"))
    template = sandbox.add_template(
        "Invoice", kickoff_fields=({"id": AMOUNT, "label": "Amount"}, {"id": NOTE, "label": "Note"})
    )
    run_id = sandbox.add_run(
        "Invoice 7",
        template=template,
        owner_id=ann,
        users=[ann, ben],
        groups=[finance],
        tags=tags[:1],
        folders=folders[:1],
        prerun={AMOUNT: "100", NOTE: "by post"},
        summary="As agreed",
    )
    return Example(run_id, (ann, ben, cat), (finance, legal), tags, folders)


def truth(sandbox: Sandbox, run_id: str) -> dict[str, Any]:
    """Return the true state of a run, whatever the API shows."""
    run = sandbox.run(run_id)
    assert run is not None
    return run


def bodies(sandbox: Sandbox) -> list[Any]:
    """Return the bodies of all PUT requests."""
    return [record.json for record in sandbox.requests if record.method == "PUT"]


def methods(sandbox: Sandbox) -> list[str]:
    """Return the methods of all requests."""
    return [record.method for record in sandbox.requests]
