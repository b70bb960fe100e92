"""The sandbox as a person sees it: the overview at ``/`` and the page of a run, and that nobody else notices them."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Fault, Sandbox
from airflow_provider_tallyfy.sandbox.__main__ import describe
from tests.contract._example_organization import AMOUNT, NOTE, Example

# What Chromium sends when somebody opens an address.
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}
HOSTILE = '<script>alert("1")</script>\'"><img src=x onerror=alert(2)>&amp;\u202e\x07'


class Page(HTMLParser):
    """What a browser makes of a page: elements with their attributes, and the text that shows."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.answer = answer
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._shown: list[str] = []
        self._hidden = ""
        self.feed(answer.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden = tag if tag in ("style", "script") else ""
        if tag not in ("a", "b", "bdi", "code", "strong", "time"):
            self._shown.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = ""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._shown.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._shown).split())

    @property
    def runs(self) -> list[str]:
        return [attributes["data-run"] or "" for tag, attributes in self.elements if "data-run" in attributes]

    def all(self, tag: str, attribute: str) -> list[str]:
        return [
            attributes[attribute] or "" for name, attributes in self.elements if name == tag and attribute in attributes
        ]

    @property
    def mark(self) -> str:
        (mark,) = self.all("div", "data-mark")
        return mark


def fetch(sandbox: Sandbox, address: str, query: Mapping[str, str] | None = None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(sandbox.url + address, params=query, headers=BROWSER, timeout=5)


def look(sandbox: Sandbox, address: str = "/", **query: str) -> Page:
    answer = fetch(sandbox, address, query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return Page(answer)


def look_at_run(sandbox: Sandbox, run_id: str) -> Page:
    return look(sandbox, f"/{sandbox.organization_id}/processes/{run_id}")


def api(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.token}", "Accept": "application/json", "X-Tallyfy-Client": "APIClient"}


# -- the overview ----------------------------------------------------------------------------------------------------


def test_the_overview_shows_each_run_with_state_owner_tags_age_and_last_change(
    sandbox: Sandbox, hook: TallyfyHook
) -> None:
    ann = sandbox.add_member("ann.lee@example.com")
    tag = sandbox.add_tag("Urgent", color="#e74c3c")
    template = sandbox.add_template("Invoice")
    old = sandbox.add_run("Invoice 7", template=template, owner_id=ann, tags=[tag], days_old=60, completed_days_ago=45)
    young = sandbox.add_run("Invoice 8", template=template, status="problem")
    page = look(sandbox)
    assert page.runs == [young, old]
    for words in ("Invoice 7 Invoice", "complete", "3 of 3 tasks", "Ann Lee", "Urgent", "60 days", "45 days ago"):
        assert words in page.text
    assert "#e74c3c" in page.all("circle", "fill")
    hook.archive_run(old)
    page = look(sandbox)
    assert page.runs == [old, young]
    assert "archived was complete, 3 of 3" in page.text
    assert "archived by Admin Member" in page.text
    assert re.search(r"DELETE /runs/\w{8}… 200, 0 s ago, Admin Member", page.text)
    assert "2 all 1 problem 1 archived" in page.text


def test_the_overview_can_be_filtered(sandbox: Sandbox, example: Example) -> None:
    ann, ben, _ = example.people
    _, sales, _ = example.tags
    template = sandbox.add_template("Hiring")
    hired = sandbox.add_run("Anna Müller", template=template, owner_id=ben, tags=[sales])
    gone = sandbox.add_run("Anton Berg", template=template, owner_id=ben, archived=True, completed_days_ago=9)
    everything = {example.run_id, hired, gone}

    def shown(**query: str) -> set[str]:
        return set(look(sandbox, **query).runs)

    assert shown() == everything
    assert shown(state="live") == {example.run_id, hired}
    assert shown(state="active") == {example.run_id, hired}
    assert shown(state="complete") == set()
    assert shown(state="archived") == {gone}
    assert shown(template=template) == {hired, gone}
    assert shown(owner=str(ann)) == {example.run_id}
    assert shown(tag=sales) == {hired}
    assert shown(tag="none") == {gone}
    assert shown(text="müller") == shown(text="MÜLLER ") == {hired}
    assert shown(text=gone[:12]) == {gone}
    assert shown(text="an", owner=str(ben), state="live") == {hired}
    assert shown(template="no such", owner="x", state="odd", tag="'", text="<b>") == set()
    page = look(sandbox, state="archived", template=template, owner=str(ben), text="berg & <co>")
    chosen = [attributes["value"] for tag, attributes in page.elements if tag == "option" and "selected" in attributes]
    assert chosen == ["archived", template, str(ben)]
    assert page.all("input", "value") == ["berg & <co>"]
    assert "No run fits these filters." in page.text
    # A tile changes the state alone and keeps what else somebody looks for.
    assert f"/?state=active&template={template}&owner={ben}&text=berg+%26+%3Cco%3E" in page.all("a", "href")


def test_many_runs_come_in_pages_with_a_count(sandbox: Sandbox) -> None:
    runs = sandbox.add_runs(2_345, name="Run", days_old=3)
    first, last, beyond = look(sandbox), look(sandbox, page="47"), look(sandbox, page="4800")
    assert "1 to 50 of 2345" in first.text
    assert "2301 to 2345 of 2345" in last.text
    assert beyond.text == last.text
    assert len(first.answer.content) < 120_000
    seen = [run for page in range(1, 48) for run in look(sandbox, page=str(page)).runs]
    assert sorted(seen) == sorted(runs)
    for odd in ("0", "-1", "²", "1e3", "9" * 30, ""):
        assert look(sandbox, page=odd).runs == first.runs


def test_the_overview_of_an_empty_organization(sandbox: Sandbox) -> None:
    text = look(sandbox).text
    assert "There are no runs yet." in text
    assert "Nobody has asked for anything yet." in text


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (None, True),
        ("*/*", True),
        ("text/html", True),
        ("text/plain", True),
        ("", True),
        ("application/json, text/html", True),
        ("application/json, text/plain, */*", True),
        ("application/json", False),
        ("Application/JSON; charset=utf-8", False),
        ("application/json, application/problem+json;q=0.5", False),
    ],
)
def test_the_pages_are_served_to_clients_that_accept_more_than_json(
    sandbox: Sandbox, example: Example, accept: str | None, is_page: bool
) -> None:
    for address in ("/", f"/{sandbox.organization_id}/processes/{example.run_id}"):
        connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
        connection.request("GET", address, headers={} if accept is None else {"Accept": accept})
        answer = connection.getresponse()
        assert (answer.status, "Invoice 7" in answer.read().decode()) == ((200, True) if is_page else (404, False))
        connection.close()


# -- live ------------------------------------------------------------------------------------------------------------


def test_the_changing_part_follows_what_a_dag_does(sandbox: Sandbox, example: Example, hook: TallyfyHook) -> None:
    for address in ("/", f"/{sandbox.organization_id}/processes/{example.run_id}"):
        hook.activate_run(example.run_id)
        page = look(sandbox, address)
        assert requests.get(f"{sandbox.url}{address}?live={page.mark}", headers=BROWSER, timeout=5).status_code == 204
        hook.archive_run(example.run_id)
        part = look(sandbox, address, live=page.mark)
        assert part.elements[0] == ("div", {"id": "live", "data-mark": part.mark})
        assert not part.all("form", "action")
        assert "archived" in part.text
        assert "archived was active" not in page.text
        assert part.mark != page.mark


def test_the_changing_part_keeps_the_filters(sandbox: Sandbox, example: Example, hook: TallyfyHook) -> None:
    page = look(sandbox, state="active")
    assert page.runs == [example.run_id]
    hook.archive_run(example.run_id)
    assert look(sandbox, state="active", live=page.mark).runs == []


@pytest.mark.parametrize("change", ["add_run", "add_tag_to_run", "complete", "request"])
def test_every_change_updates_the_page(sandbox: Sandbox, example: Example, hook: TallyfyHook, change: str) -> None:
    before = look(sandbox).mark
    changes: dict[str, Any] = {
        "add_run": lambda: sandbox.add_run("New one"),
        "add_tag_to_run": lambda: hook.add_tag_to_run(example.run_id, example.tags[1]),
        "complete": lambda: sandbox.complete(example.run_id),
        "request": lambda: hook.get_run(example.run_id),
    }
    changes[change]()
    assert look(sandbox, live=before).mark != before


# -- the page of a run -----------------------------------------------------------------------------------------------


def test_open_in_tallyfy_leads_to_the_page_of_the_run(sandbox: Sandbox, example: Example, hook: TallyfyHook) -> None:
    address = hook.run_url(example.run_id)
    assert address == f"{sandbox.url}/{sandbox.organization_id}/processes/{example.run_id}"
    assert address.removeprefix(sandbox.url) in look(sandbox).all("a", "href")
    page = look(sandbox, address.removeprefix(sandbox.url))
    for words in (
        *(example.run_id, "Invoice 7", "As agreed", "Template Invoice", "Owner Ann"),
        *("Amount 100", "Note by post", "Members Ann, Ben", "Groups Finance", "Tags Urgent", "Folders Key accounts"),
        *("Collect details active Ann", "Review not started Ann", "created", "s ago by Ann"),
    ):
        assert words in page.text, words


def test_the_history_shows_events_and_requests_of_the_run(
    sandbox: Sandbox, example: Example, hook: TallyfyHook
) -> None:
    other = sandbox.add_run("Another")
    hook.get_run(other)
    hook.update_run(example.run_id, prerun={AMOUNT: "250"}, add_tags=["Sales"])
    sandbox.fail("DELETE", "/runs/*", Fault.drop_after())
    hook.archive_run(example.run_id)
    text = look_at_run(sandbox, example.run_id).text
    history = text[text.index("History") :]
    requests_shown = re.findall(r"(GET|PUT|POST|DELETE) (/[\w/-]+)… (200|no answer \(drop_after\))", history)
    assert {path for _, path, _ in requests_shown} == {f"/runs/{example.run_id[:8]}"}
    assert ("DELETE", f"/runs/{example.run_id[:8]}", "no answer (drop_after)") in requests_shown
    assert requests_shown[-1][0] == "GET"
    assert requests_shown[0][0] == "GET"
    assert history.index("archived") < history.index("drop_after") < history.index("updated") < history.index("PUT")
    assert history.rindex("created") > history.index("PUT")
    assert '"250"' in history
    assert history.count("Admin Member") >= 5
    assert "Another" not in text


def test_tasks_answers_and_issues_of_a_run(sandbox: Sandbox, hook: TallyfyHook) -> None:
    template = sandbox.add_template(
        "Order",
        steps=[{"title": "Ship", "fields": [{"id": NOTE, "label": "Tracking"}]}, "Bill"],
        kickoff_fields=[{"id": AMOUNT, "label": "Size", "field_type": "dropdown", "options": ["S", "L"]}],
    )
    run_id = sandbox.add_run("Order 1", template=template, prerun={AMOUNT: {"id": 2, "text": "L"}})
    ship, _ = sandbox.tasks(run_id)
    base = f"{sandbox.api_url}/organizations/{sandbox.organization_id}"
    headers = api(sandbox)
    requests.put(
        f"{base}/runs/{run_id}/tasks/{ship['id']}", json={"taskdata": {NOTE: "X1"}}, headers=headers, timeout=5
    )
    requests.post(f"{base}/runs/{run_id}/completed-tasks", json={"task_id": ship["id"]}, headers=headers, timeout=5)
    requests.post(f"{base}/runs/{run_id}/problem", json={"content": "Box is wet"}, headers=headers, timeout=5)
    text = look_at_run(sandbox, run_id).text
    for words in (
        *("Size L", "Ship completed Admin Member 0 s ago by Admin Member Tracking: X1"),
        *("1 of 2 tasks", "Box is wet issue, open the run Admin Member"),
    ):
        assert words in text, words


def test_a_long_history_is_capped_with_a_count(sandbox: Sandbox, hook: TallyfyHook) -> None:
    run_id = sandbox.add_run("Polled")
    for _ in range(120):
        hook.get_run(run_id)
    page = look_at_run(sandbox, run_id)
    assert "and 21 earlier entries" in page.text
    assert len(re.findall(r"GET /runs/", page.text)) == 100


def test_unknown_addresses_show_an_explanation(sandbox: Sandbox) -> None:
    for organization_id, words in ((sandbox.organization_id, "No such run"), ("0" * 32, "another organization")):
        answer = fetch(sandbox, f"/{organization_id}/processes/{'1' * 32}")
        assert answer.status_code == 404
        assert words in Page(answer).text


# -- safety ----------------------------------------------------------------------------------------------------------


def test_hostile_names_are_escaped_everywhere(sandbox: Sandbox) -> None:
    who = sandbox.add_member("eve@example.com", first_name=HOSTILE, last_name=HOSTILE)
    tag = sandbox.add_tag(HOSTILE, color='red"/><script>alert(3)</script>')
    folder, group = sandbox.add_folder(HOSTILE), sandbox.add_group(HOSTILE, [who])
    template = sandbox.add_template(
        HOSTILE, steps=[{"title": HOSTILE, "fields": [{"id": NOTE, "label": HOSTILE}]}], kickoff_fields=[HOSTILE]
    )
    sandbox.organization.name = HOSTILE
    run_id = sandbox.add_run(
        HOSTILE, template=template, owner_id=who, users=[who], groups=[group], tags=[tag], folders=[folder],
        prerun={HOSTILE: HOSTILE, "unknown": {"<i>": ["<u>", None]}}, summary=HOSTILE,
    )  # fmt: skip
    (task,) = sandbox.tasks(run_id)
    base, headers = f"{sandbox.api_url}/organizations/{sandbox.organization_id}", api(sandbox)
    sent: dict[str, Any] = {
        "json": {"content": HOSTILE, "taskdata": {NOTE: HOSTILE}, "name": "\ud800"},
        "headers": headers,
        "timeout": 5,
    }
    requests.put(f"{base}/runs/{run_id}/tasks/{task['id']}", **sent)
    requests.post(f"{base}/runs/{run_id}/comment", **sent)
    requests.get(f"{base}/runs/{run_id}", params={"<script>": HOSTILE}, headers=headers, timeout=5)
    requests.request("GET", f"{sandbox.url}/<script>alert(4)</script>/{run_id}", headers=headers, timeout=5)
    for page in (look(sandbox, text="<script>"), look(sandbox), look_at_run(sandbox, run_id)):
        assert [tag for tag, _ in page.elements].count("script") == 1
        assert not {"img", "b>", "i", "u"} & {tag for tag, _ in page.elements}
        names = {attribute for _, attributes in page.elements for attribute in attributes}
        assert not {name for name in names if name.startswith("on")}
        assert all(link == "" or re.match(r"/(?!/)", link) for link in page.all("a", "href"))
        assert set(page.all("circle", "fill")) <= {"#888888"}
        assert "\x07" not in page.answer.text
    assert page.text.count('alert("1")') >= 10


def test_no_page_shows_a_token(sandbox: Sandbox) -> None:
    secret = sandbox.token_of(sandbox.add_member("bot@example.com"))
    tokens = [secret, *(sandbox.token_for(role) for role in ("admin", "standard", "light"))]
    run_id = sandbox.add_run(f"Named {secret}", summary=sandbox.token)
    base = f"{sandbox.url}/organizations/{sandbox.organization_id}/runs/{run_id}"
    requests.put(base, json={"summary": f"Bearer {sandbox.token}"}, headers=api(sandbox), timeout=5)
    requests.get(f"{base}?access_token={secret}", headers={"Authorization": f"Bearer {secret}"}, timeout=5)
    requests.get(f"{base}/{secret}", headers={"Authorization": secret}, timeout=5)
    sandbox.revoke(secret)
    for page in (look(sandbox), look(sandbox, text=secret), look(sandbox, live="x"), look_at_run(sandbox, run_id)):
        for token in tokens:
            assert token not in page.answer.text
            assert token[-40:] not in page.answer.text
    assert "unknown token" in page.text
    assert "***" in page.text


def test_security_policy_allows_only_own_content(sandbox: Sandbox) -> None:
    page = look(sandbox)
    policy = page.answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'", policy)
    assert "://" not in re.sub(r"http://www\.w3\.org/2000/svg", "", page.answer.text)
    assert not page.all("script", "src")
    assert not [attributes for _, attributes in page.elements if "style" in attributes]
    assert page.answer.headers["Cache-Control"] == "no-store"


# -- for everybody ---------------------------------------------------------------------------------------------------


def test_the_pages_are_accessible_to_screen_readers(sandbox: Sandbox, example: Example) -> None:
    for page in (look(sandbox), look_at_run(sandbox, example.run_id)):
        tags = [tag for tag, _ in page.elements]
        assert tags.count("h1") == tags.count("main") == 1
        assert page.all("html", "lang") == ["en"]
        labelled = set(page.all("label", "for"))
        fields = [attributes["id"] for tag, attributes in page.elements if tag in ("input", "select")]
        assert labelled == set(fields)
        assert tags.count("caption") == tags.count("table")
        assert set(page.all("th", "scope")) == {"col", "row"}
        assert len(page.all("th", "scope")) == tags.count("th")
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        described = [value for tag in ("section",) for value in page.all(tag, "aria-labelledby")]
        assert set(described) <= set(ids)
        assert page.all("meta", "content")[0] == "width=device-width, initial-scale=1"
        assert "is not Tallyfy" in page.text


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_enough_contrast_in_light_and_dark(sandbox: Sandbox) -> None:
    blocks = re.findall(r":root \{(.*?)\}", look(sandbox).answer.text, re.DOTALL)
    schemes = [dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in blocks]
    assert len(schemes) == 2
    pairs = [(text, behind) for text in ("ink", "soft", "link", "green-ink", "red-ink") for behind in ("back", "card")]
    pairs += [(f"{color}-ink", color) for color in ("blue", "green", "amber", "red", "grey", "strip")]
    for colors in schemes:
        for text, behind in [*pairs, ("ink", "fresh"), ("soft", "fresh"), ("link", "fresh")]:
            light, dark = sorted((_luminance(colors[text]), _luminance(colors[behind])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)


# -- out of the way --------------------------------------------------------------------------------------------------


def test_the_pages_do_not_affect_the_api(sandbox: Sandbox, example: Example) -> None:
    page = f"/{sandbox.organization_id}/processes/{example.run_id}"
    headers = api(sandbox)
    for address in ("/", page, "/api/", f"/api{page}"):
        answer = requests.get(sandbox.url + address, headers=headers, timeout=5)
        assert (answer.status_code, answer.json()["code"]) == (404, "ENDPOINT_NOT_FOUND")
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        assert requests.request(method, sandbox.url + page, headers=BROWSER, timeout=5).status_code == 404
    elsewhere = ("/index.html", "/processes/x", f"{page}/", f"{page}/tasks", f"/api{page}", "/favicon.ico")
    for address in elsewhere:
        answer = requests.get(sandbox.url + address, headers=BROWSER, timeout=5)
        assert (answer.status_code, "Sandbox</strong>" in answer.text) == (404, False), address
    run = f"{sandbox.url}/organizations/{sandbox.organization_id}/runs/{example.run_id}"
    assert requests.get(run, headers={**headers, "Accept": "text/html"}, timeout=5).status_code == 401


def test_viewing_a_page_changes_nothing(sandbox: Sandbox, example: Example) -> None:
    with Sandbox(seed=5) as watched, Sandbox(seed=5) as alone:
        for each in (watched, alone):
            each.add_runs(3, name="Run")
        for run in watched.runs():
            look_at_run(watched, run["id"])
        look(watched)
        for each in (watched, alone):
            each.tasks(each.runs()[0]["id"])
        assert watched.add_run() == alone.add_run()
        assert watched.requests == []
    before = sandbox.run(example.run_id)
    sandbox.fail("*", "*", Fault.drop_before(), times=None)
    look_at_run(sandbox, example.run_id)
    assert sandbox.run(example.run_id) == before


def test_latency_and_rate_limit_do_not_apply_to_pages(example: Example) -> None:
    # A page that waited would run into the time-out of the one who looks.
    with Sandbox(latency=60, rate_limit=(1, 60)) as slow:
        for _ in range(5):
            look(slow)


def test_page_size_does_not_grow_with_the_organization(sandbox: Sandbox) -> None:
    sandbox.add_runs(500, name="Run", completed_days_ago=40)
    small = len(requests.get(sandbox.url, headers=BROWSER, timeout=5).content)
    sandbox.add_runs(20_000, name="Run", completed_days_ago=40)
    assert len(requests.get(sandbox.url, headers=BROWSER, timeout=5).content) < 1.1 * small
    unchanged = requests.get(f"{sandbox.url}/?live={look(sandbox).mark}", headers=BROWSER, timeout=5)
    assert (unchanged.status_code, unchanged.content) == (204, b"")


# -- where it is -----------------------------------------------------------------------------------------------------


def test_the_command_prints_the_address_of_the_page(sandbox: Sandbox) -> None:
    assert f"  Page           {sandbox.url}/\n" in describe(sandbox)


def test_the_pages_need_no_source_checkout(tmp_path: Path) -> None:
    # Their style and script are data of the package: found wherever it is imported from.
    script = (
        "from airflow_provider_tallyfy.sandbox.pages.site import _asset;"
        "assert len(_asset('page.css')) > 2000 and 'use strict' in _asset('page.js')"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)
