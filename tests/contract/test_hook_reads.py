"""Reading: complete lists, live and archived runs, and a connection test that explains what is wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyForbiddenError,
    TallyfyNotFoundError,
    TallyfyServerError,
    TallyfyUnrepeatableError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks import tallyfy
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox

Connect = Callable[..., TallyfyHook]

UNKNOWN = "0123456789abcdef0123456789abcdef"


def names(hook: TallyfyHook, **filters: Any) -> list[str]:
    return [run["name"] for run in hook.iter_runs(**filters)]


class TestFilters:
    @pytest.fixture(autouse=True)
    def _furnished(self, sandbox: Sandbox) -> None:
        self.ann = sandbox.add_member("ann@example.com")
        self.tag, self.other = sandbox.add_tag("Urgent"), sandbox.add_tag("Sales")
        self.folder, self.group = sandbox.add_folder("Audit"), sandbox.add_group("Finance", [self.ann])
        self.template = sandbox.add_template("Invoice")
        form = sandbox.add_template("Form", type="form")
        sandbox.add_run("A+B & Co", template=self.template, days_old=9, tags=[self.tag], owner_id=self.ann)
        sandbox.add_run("AB Corp", status="complete", days_old=8, folders=[self.folder], tags=[self.other])
        sandbox.add_run("A B", status="problem", days_old=7, groups=[self.group])
        sandbox.add_run("Issue", status="issue", days_old=6, starred=True, template=form)
        sandbox.add_run("Gone", status="complete", days_old=5, archived=True, tags=[self.tag])

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ({}, ["A+B & Co", "AB Corp", "A B", "Issue"]),
            ({"q": "A+B & C"}, ["A+B & Co"]),
            ({"q": "a b"}, ["A B"]),
            ({"status": "complete"}, ["AB Corp"]),
            ({"status": "problem"}, ["A B", "Issue"]),
            ({"status": "issue"}, ["Issue"]),
            ({"status": "starred"}, ["Issue"]),
            ({"owners": ["ann"]}, ["A+B & Co"]),
            ({"checklist_id": "template"}, ["A+B & Co"]),
            ({"folder": "folder"}, ["AB Corp"]),
            ({"tag": "tag"}, ["A+B & Co"]),
            ({"tag_ids": ["tag", "other"]}, ["A+B & Co", "AB Corp"]),
            ({"tag_ids": ["tag"], "archived": True}, ["A+B & Co", "Gone"]),
            ({"untagged": True}, ["A B", "Issue"]),
            ({"groups": ["group"]}, ["A B"]),
            ({"type": "form"}, ["Issue"]),
            ({"starred": True}, ["Issue"]),
            ({"sort": "-created_at"}, ["Issue", "A B", "AB Corp", "A+B & Co"]),
            ({"sort": "name"}, ["A B", "A+B & Co", "AB Corp", "Issue"]),
            ({"archived": True}, ["A+B & Co", "AB Corp", "A B", "Issue", "Gone"]),
            ({"archived": "only"}, ["Gone"]),
            ({"status": "archived"}, ["Gone"]),
            ({"status": "complete", "archived": "only"}, ["Gone"]),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("archived_status", ["archived", "original"])
    def test_choose_the_runs(
        self, sandbox: Sandbox, hook: TallyfyHook, archived_status: Any, filters: dict[str, Any], wanted: list[str]
    ) -> None:
        sandbox.behaviour = Behaviour(archived_status=archived_status)
        own = vars(self)
        given = {
            name: [own[item] for item in value]
            if isinstance(value, list)
            else own.get(value, value)
            if value
            else value
            for name, value in filters.items()
        }
        assert names(hook, **given) == wanted
        assert len(sandbox.calls) == 1

    def test_rows_in_the_wrong_state_are_left_out_if_the_server_ignores_archived(
        self, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        rows = [{"id": "1", "name": "live", "archived_at": None}, {"id": "2", "name": "gone", "archived_at": "2026"}]
        sandbox.fail("GET", "/runs", Fault.status(200, {"data": rows}), times=None)
        assert names(hook) == ["live"]
        assert names(hook, archived="only") == ["gone"]
        assert names(hook, archived=True) == ["live", "gone"]

    def test_bad_filter_is_refused_by_the_call_not_by_the_iteration(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError, match="status='stale': choose one of"):
            hook.iter_runs(status="stale")
        assert sandbox.calls == []


@pytest.mark.parametrize("links", ["object", "nulls", "null", "absent"])
class TestPages:
    def test_are_read_to_the_end_by_number(self, sandbox: Sandbox, hook: TallyfyHook, links: Any) -> None:
        sandbox.behaviour = Behaviour(pagination_links=links)
        sandbox.add_runs(7, "Run")
        assert names(hook, per_page=3) == [f"Run {n}" for n in range(1, 8)]
        assert sandbox.calls == [f"GET /runs?sort=created_at&per_page=3&page={n}" for n in (1, 2, 3)]

    @pytest.mark.parametrize("over", ["clamp", "allow"])
    def test_server_decides_the_page_size(self, sandbox: Sandbox, hook: TallyfyHook, links: Any, over: Any) -> None:
        sandbox.behaviour = Behaviour(pagination_links=links, per_page_over_100=over)
        sandbox.add_runs(150)
        assert len(list(hook.iter_runs(per_page=500))) == 150
        assert len(sandbox.calls) == (2 if over == "clamp" else 1)


class TestPagesThatGoWrong:
    @pytest.fixture(autouse=True)
    def _furnished(self, sandbox: Sandbox) -> None:
        self.runs = sandbox.add_runs(6, "Run")

    def test_refused_page_size_is_an_error(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.behaviour = Behaviour(per_page_over_100="422")
        with pytest.raises(TallyfyValidationError, match="per_page: The per page may not be greater than 100"):
            list(hook.iter_runs(per_page=500))
        assert len(names(hook)) == 6

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (Fault.unreadable_page(), "GET /runs answered with JSON that is not a list of objects"),
            (Fault.total_too_high(), "the list is incomplete: Tallyfy counts 7 rows, but its pages had 6"),
            (Fault.short_page(), "the list is incomplete: Tallyfy counts 6 rows, but its pages had 4"),
            (
                Fault.not_json(),
                "GET /runs answered with an HTML page (tried 4 times). Is the connection's host the API base URL",
            ),
        ],
        ids=lambda value: value.name if isinstance(value, Fault) else "",
    )
    def test_bad_pages_are_an_error_and_never_a_short_list(
        self, sandbox: Sandbox, hook: TallyfyHook, fault: Fault, says: str
    ) -> None:
        sandbox.fail("GET", "/runs", fault, times=4, after=1)
        got: list[str] = []
        with pytest.raises(TallyfyServerError) as caught:
            got.extend(run["name"] for run in hook.iter_runs(per_page=2))
        assert says in str(caught.value)
        assert caught.value.http_status == 200
        assert not isinstance(caught.value, AirflowFailException)  # a retry may succeed

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.not_json(),
            Fault.truncated(),
            Fault.drop_before(),
            Fault.server_error(),
            Fault.error_after(),
            Fault.rate_limited("2"),
        ],
        ids=lambda fault: fault.name,
    )
    def test_temporary_failures_are_retried(
        self, sandbox: Sandbox, hook: TallyfyHook, waits: list[float], fault: Fault
    ) -> None:
        sandbox.fail("GET", "/runs", fault, times=3, after=2)
        assert names(hook, per_page=1) == [f"Run {n}" for n in range(1, 7)]
        assert (len(sandbox.calls), len(waits)) == (6 + 3, 3)

    def test_rows_that_move_up_are_not_lost(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.when("GET", "/runs", lambda: sandbox.archive(self.runs[0]), after=1)
        assert names(hook, per_page=2) == [f"Run {n}" for n in (1, 2, 4, 5, 3, 6)]
        assert [call[-6:] for call in sandbox.calls] == ["page=1", "page=2", "page=1", "page=3"]

    def test_archiving_each_run_as_it_comes_archives_all(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        for run in hook.iter_runs(per_page=2):
            hook.archive_run(run["id"])
        assert sandbox.runs(archived=False) == []


class TestGetRun:
    @pytest.mark.parametrize("get_archived", ["200", "404"])
    def test_archived(self, sandbox: Sandbox, hook: TallyfyHook, get_archived: Any) -> None:
        sandbox.behaviour = Behaviour(get_archived=get_archived)
        run_id = sandbox.add_run("Gone", archived=True)
        assert hook.get_run(run_id)["archived_at"]
        assert len(sandbox.calls) == (1 if get_archived == "200" else 2)

    def test_with_relations(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run(tags=[sandbox.add_tag("Urgent")])
        run = hook.get_run(run_id, include=["tags", "tasks"])
        assert [tag["title"] for tag in run["tags"]["data"]] == ["Urgent"]
        assert len(run["tasks"]["data"]) == 3
        assert sandbox.calls == [f"GET /runs/{run_id}?with=tags%2Ctasks"]
        with pytest.raises(TallyfyArgumentError, match="include='tags' is not a list of strings"):
            hook.get_run(run_id, include="tags")

    def test_unknown(self, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyNotFoundError, match=f"There is no run {UNKNOWN}, neither live nor archived"):
            hook.get_run(UNKNOWN)

    def test_returns_the_json_of_tallyfy(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        run_id = sandbox.add_run("Ünïcode ✓ \u2028", summary="line\nline")
        run = hook.get_run(run_id)
        assert json.loads(json.dumps(run)) == run
        assert (run["name"], run["summary"]) == ("Ünïcode ✓ \u2028", "line\nline")


class TestRequest:
    def test_any_endpoint(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        tags = f"/organizations/{hook.organization_id}/tags"
        made = hook.request("post", tags, json={"title": "New"})
        assert made["data"]["title"] == "New"
        found = hook.request("GET", tags, params={"q": "ne w", "page": 1, "all": True, "color": None})
        assert found["meta"]["pagination"]["total"] == 0
        assert hook.request("DELETE", f"{tags}/{made['data']['id']}") is None
        assert sandbox.calls[1] == "GET /tags?q=ne%20w&page=1&all=true"
        assert sandbox.requests[0].headers["Content-Type"] == "application/json"
        assert "Content-Type" not in sandbox.requests[1].headers

    def test_post_that_may_have_been_done_is_not_sent_again(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        body = {"checklist_id": sandbox.add_template(), "name": "Once"}
        for fault in (Fault.drop_after(), Fault.error_after(), Fault.truncated(), Fault.not_json()):
            sandbox.fail("POST", "/runs", fault)
            with pytest.raises(TallyfyUnrepeatableError, match="Tallyfy may or may not have done it") as caught:
                hook.request("POST", f"/organizations/{hook.organization_id}/runs", json=body)
            assert isinstance(caught.value, AirflowFailException)
        assert [run["name"] for run in sandbox.runs()] == ["Once"] * 4
        assert len(sandbox.calls) == 4

    def test_rate_limited_post_is_sent_again(self, sandbox: Sandbox, hook: TallyfyHook, waits: list[float]) -> None:
        sandbox.fail("POST", "/runs", Fault.rate_limited("3"))
        body = {"checklist_id": sandbox.add_template(), "name": "Once"}
        assert hook.request("POST", f"/organizations/{hook.organization_id}/runs", json=body)["data"]["name"] == "Once"
        assert (len(sandbox.runs()), len(sandbox.calls), len(waits)) == (1, 2, 1)
        assert 3 <= waits[0] <= 4


class TestConnectionTest:
    def test_success_names_user_organization_and_role(self, sandbox: Sandbox, connect: Connect) -> None:
        ok, text = connect(sandbox).test_connection()
        assert (ok, text) == (
            True,
            f"Connected to the organization {sandbox.organization.name!r} as Admin Member <admin@sandbox.example>, "
            "role: admin.",
        )
        assert sandbox.calls == ["GET /me", "GET /"]

    def test_light_member_is_warned(self, sandbox: Sandbox, connect: Connect) -> None:
        ok, text = connect(sandbox, password=sandbox.token_for("light")).test_connection()
        assert ok
        assert "role: light. Light members may not archive or activate runs" in text

    @pytest.mark.parametrize("foreign", ["403", "404"])
    def test_wrong_organization(self, sandbox: Sandbox, connect: Connect, foreign: Any) -> None:
        sandbox.behaviour = Behaviour(foreign_organization=foreign)
        ok, text = connect(sandbox, login=UNKNOWN).test_connection()
        assert not ok
        assert f"does not let this token see the organization {UNKNOWN}: check the Organization ID (login)" in text
        # Airflow shows the message in a box of four or five lines, so the advice must not appear twice.
        assert len(text) < 300

    @pytest.mark.parametrize(
        ("overrides", "says"),
        [
            (
                {"password": "revoked"},
                "failed with 401: invalid token. The access token is wrong or expired, or its owner has logged out",
            ),
            ({"password": ""}, "has no access token"),
            ({"login": ""}, "has no Organization ID"),
            ({"host": "http://tallyfy.example.com"}, "would send the access token unencrypted to tallyfy.example.com"),
            ({"host": "https://127.0.0.1"}, "no trusted TLS connection. Check the host"),
            ({"host": "http://127.0.0.1/nowhere"}, "check the Organization ID (login), and that the API base URL"),
            (
                {"port": 1},
                "Tallyfy can't be reached at http://127.0.0.1:1: nothing accepts connections there. Check host",
            ),
            (
                {"host": "https://tallyfy.invalid", "port": None, "extra": {"proxies": "http://127.0.0.1:1"}},
                "the proxy did not forward the request",
            ),
            ({"extra": {"timeout": "soon"}}, "has a wrong extra 'timeout': 'soon'"),
        ],
        ids=str,
    )
    def test_each_mistake_has_its_own_message(
        self, sandbox: Sandbox, connect: Connect, overrides: dict[str, Any], says: str
    ) -> None:
        ok, text = connect(sandbox, **overrides).test_connection()
        assert not ok
        assert says in text
        assert "\n" not in text
        assert sandbox.token not in text

    def test_host_name_that_does_not_exist(
        self, sandbox: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def getaddrinfo(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        ok, text = connect(sandbox, host="https://nonexistent.invalid", port=None).test_connection()
        assert not ok
        assert "the host name can't be resolved. Check the host of the connection" in text
        assert sandbox.token not in text

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (Fault.not_json(), "answered with an HTML page. Is the connection's host the API base URL"),
            (Fault.slow(30), "the answer timed out. Tallyfy may be slow; the extra 'timeout'"),
            (Fault.drop_before(), "the connection was closed before the answer was complete"),
            (Fault.server_error(500, leak=True), "failed with 500: SQLSTATE[HY000] [2002] Connection timed out"),
            (Fault.rate_limited("99"), "Tallyfy asks to wait 99 s."),
            (Fault.redirect("https://login.example.com/?next=x"), "It redirects to https://login.example.com/."),
            (Fault.status(404, "<html><h1>Not Found</h1></html>"), "does not let this token see the organization"),
        ],
        ids=lambda value: value.name if isinstance(value, Fault) else "",
    )
    def test_each_failure_has_its_own_message_and_is_not_retried(
        self, sandbox: Sandbox, connect: Connect, fault: Fault, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tallyfy, "TEST_TIMEOUT", 0.1)
        sandbox.fail("GET", "/me", fault, times=None)
        ok, text = connect(sandbox).test_connection()
        assert not ok
        assert says in text
        assert sandbox.token not in text
        assert "/var/www" not in text
        assert sandbox.calls == ["GET /me"]


def test_user_and_organization(sandbox: Sandbox, hook: TallyfyHook, connect: Connect) -> None:
    assert hook.get_current_user()["email"] == "admin@sandbox.example"
    assert hook.get_organization()["id"] == sandbox.organization_id
    assert hook.get_member()["role"] == "admin"
    with pytest.raises(TallyfyForbiddenError, match="check the Organization ID and the user's role"):
        connect(sandbox, hook={"organization_id": UNKNOWN}).get_organization()
    assert hook.run_url("r1") == f"{sandbox.url}/{sandbox.organization_id}/processes/r1"
