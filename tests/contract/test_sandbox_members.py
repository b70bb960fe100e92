"""Members and groups by name, tasks by assignee, and the search over several kinds."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.contract._plain_requests import Ask, errors


@pytest.mark.parametrize("path", ["/users", "/users-list"])
def test_members_are_found_by_name_and_email_in_pages(sandbox: Sandbox, ask: Ask, path: str) -> None:
    ann = sandbox.add_member("ann.lee@example.com")
    anton = sandbox.add_member("sales@example.com", first_name="Anton", last_name="Berg")

    def ids(query: str) -> list[int]:
        return [row["id"] for row in ask("GET", f"{path}?{query}")[1]["data"]]

    assert len(ids("")) == 5
    assert ids("q=ANN.lee%40") == ids("q=ann%20l") == [ann]
    assert ids("q=sales") == ids("q=Anton%20Berg") == [anton]
    assert ids("q=nobody") == []
    answer = ask("GET", f"{path}?q=example.com&per_page=1&page=2")[1]
    assert [row["id"] for row in answer["data"]] == [anton]
    assert (answer["meta"]["pagination"]["total"], answer["meta"]["pagination"]["total_pages"]) == (2, 2)
    # A name and an address are two texts: nothing spans both.
    assert ids("q=leeann") == ids("q=lee%0Aann") == []


def test_groups_are_found_by_name_in_pages(sandbox: Sandbox, ask: Ask) -> None:
    finance, ops = sandbox.add_group("Finance team"), sandbox.add_group("Ops team")

    def ids(query: str) -> list[str]:
        return [row["id"] for row in ask("GET", f"/groups?{query}")[1]["data"]]

    assert ids("") == ids("q=TEAM") == [finance, ops]
    assert ids("q=fin") == [finance]
    assert ids("q=team&per_page=1&page=2") == [ops]
    assert ids("q=sales") == []


def test_tasks_of_an_assignee(sandbox: Sandbox, ask: Ask) -> None:
    ann = sandbox.add_member("ann@example.com")
    admin = ask("GET", "/me")[1]["data"]["id"]
    mine, hers = sandbox.add_run("Mine"), sandbox.add_run("Hers", owner_id=ann)

    def runs(query: str) -> set[str]:
        return {row["run_id"] for row in ask("GET", f"/tasks?{query}&per_page=100")[1]["data"]}

    assert runs("") == {mine, hers}
    assert runs("assignee=me") == runs(f"assignee={admin}") == {mine}
    assert runs(f"assignee={ann}") == {hers}
    assert runs("assignee=nobody") == set()
    assert ask("GET", "/tasks?assignee=me", role="light")[1]["data"] == []
    # Its other filters still count.
    assert len(ask("GET", "/tasks?assignee=me&status=complete")[1]["data"]) == 0


def test_the_search_takes_several_kinds(sandbox: Sandbox, ask: Ask) -> None:
    template = sandbox.add_template("Onboarding", ["Onboard them", "Call"])
    run_id = sandbox.add_run("Onboarding ACME", template=template)
    sandbox.add_run("Onboarding of old", template=template, archived=True)
    status, found = ask("GET", "/search?on=process,task,blueprint&search=onboard")
    assert (status, list(found)) == (200, ["process", "task", "blueprint"])
    assert [row["id"] for row in found["process"]["data"]] == [run_id]
    assert [row["name"] for row in found["task"]["data"]] == ["Onboard them"]
    assert [row["id"] for row in found["blueprint"]["data"]] == [template]
    assert {found[kind]["meta"]["pagination"]["total"] for kind in found} == {1}
    assert list(ask("GET", "/search?on=process&search=acme")[1]) == ["process"]
    assert list(ask("GET", "/search?on=process,%20task&search=acme")[1]) == ["process", "task"]
    for wrong in ("process,nonsense", "", "process,", "run"):
        assert "on" in errors(ask("GET", f"/search?on={wrong}&search=x")[1])
