"""Admin > Connections, as a person uses it who has not read the README."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from airflow_provider_tallyfy import connection_form
from airflow_provider_tallyfy.sandbox import Sandbox
from dev.airflow_stack import Airflow
from tests.e2e._ui import Ui
from tests.e2e.conftest import Connect, Shoot

NOBODYS = "0" * 32


@pytest.mark.picture
def test_form_explains_every_field(ui: Ui, shoot: Shoot) -> None:
    form = ui.connection_form()
    for field in connection_form.STANDARD_FIELDS:
        box = form.get_by_label(field.label or field.name.capitalize(), exact=True)
        expect(box).to_be_visible()
        expect(box).to_have_attribute("placeholder", field.placeholder)
        # A placeholder that is too long for its box is cut off and cannot be scrolled.
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth"), field.placeholder
    expect(form.get_by_label("Schema")).to_have_count(0)
    expect(form.get_by_label("Access token", exact=True)).to_have_attribute("type", "password")

    form.get_by_label("Connection ID").fill("tallyfy_default")
    form.get_by_label("Organization ID").fill("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    form.get_by_label("Access token", exact=True).fill("what Tallyfy shows there")
    form.get_by_label("Port").fill("443")
    form.get_by_label("Port").blur()
    shoot(ui.page, "connection-form")

    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for extra in connection_form.EXTRA_FIELDS:
        expect(form.get_by_text(extra.label, exact=True)).to_be_visible()
        expect(form.get_by_text(extra.description, exact=True)).to_be_visible()


def test_typed_in_saved_and_tested(ui: Ui, sandbox: Sandbox) -> None:
    form = ui.connection_form()
    form.get_by_label("Connection ID").fill("e2e_typed")
    form.get_by_label("API base URL").fill("http://127.0.0.1")
    form.get_by_label("Organization ID").fill(sandbox.organization_id)
    form.get_by_label("Access token", exact=True).fill(sandbox.token)
    form.get_by_label("Port").fill(str(sandbox.port))
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    form.locator("input[name=element_web_url]").fill(sandbox.url)
    form.locator("input[name=element_web_url]").blur()
    ui.save(form)

    answer, toast = ui.test_connection("e2e_typed")
    assert answer.json()["status"] is True
    assert "Connected to the organization 'Northwind Traders (sandbox)' as Admin Member" in toast
    assert "role: admin." in toast
    assert sandbox.calls == ["GET /me", "GET /"]

    # Blank boxes are stored as null, and mean the default.
    stored = json.loads(ui.airflow.rest("GET", "/connections/e2e_typed")["extra"])
    assert stored == {**{field.name: None for field in connection_form.EXTRA_FIELDS}, "web_url": sandbox.url}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"password": "no-such-token"},
            "The access token is wrong or expired, or its owner has logged out of the Tallyfy web app (which deletes "
            "a personal token). Put a new one (Tallyfy > Settings > Integrations > REST API) into the connection's "
            "password.",
        ),
        (
            {"login": NOBODYS},
            f"does not let this token see the organization {NOBODYS}: check the Organization ID (login), and that the "
            "API base URL (host) is right. [GET /organizations/{org}/me failed with 403: You are not a member of this "
            "organization.]",
        ),
        (
            {"port": 1},
            "Tallyfy can't be reached at http://127.0.0.1:1: nothing accepts connections there. Check host and port of "
            "the connection, and firewalls in between.",
        ),
    ],
    ids=["token", "organization", "host"],
)
def test_each_mistake_is_explained_in_the_toast(
    ui: Ui, sandbox: Sandbox, connect: Connect, wrong: dict[str, Any], says: str
) -> None:
    connect("e2e_wrong", sandbox, **wrong)
    answer, toast = ui.test_connection("e2e_wrong")
    assert answer.json()["status"] is False
    assert "Test Connection Failed" in toast
    assert says in toast
    box = ui.page.locator("[data-scope=toast][data-part=root]", has_text="Test Connection").bounding_box()
    assert box is not None
    assert box["height"] < 300, "the toast is too long to read"


def test_saving_again_keeps_token_and_unset_extras(ui: Ui, sandbox: Sandbox, connect: Connect) -> None:
    connect("e2e_edited", sandbox, extra={"web_url": sandbox.url, "timeout": 20})
    ui.visit("/connections")
    row = ui.page.get_by_role("row").filter(has=ui.page.get_by_text("e2e_edited", exact=True))
    row.get_by_role("button", name="Edit Connection").click()
    form = ui.page.get_by_role("dialog")
    form.get_by_label("Description").fill("for the nightly sweep")
    form.get_by_label("Description").blur()
    ui.save(form)

    after = ui.airflow.rest("GET", "/connections/e2e_edited")
    assert after["description"] == "for the nightly sweep"
    assert (after["login"], after["port"]) == (sandbox.organization_id, sandbox.port)
    extras = {name: value for name, value in json.loads(after["extra"]).items() if value is not None}
    assert extras == {"web_url": sandbox.url, "timeout": 20}
    _, toast = ui.test_connection("e2e_edited")
    assert "Connected to the organization" in toast


def test_without_a_port(ui: Ui, airflow3: Airflow, sandbox: Sandbox, connect: Connect) -> None:
    connect("e2e_portless", sandbox, host=sandbox.url, port=None)
    # A bug of Airflow 3.3.1 and 3.3.2. When this test fails, the advice in the form and in the README is obsolete.
    answer, toast = ui.test_connection("e2e_portless")
    assert (answer.status, "Bad Request" in toast) == (400, True)
    assert sandbox.calls == []
    advice = next(field.placeholder for field in connection_form.STANDARD_FIELDS if field.name == "port")
    assert "Test button" in advice

    tested = airflow3.cli("connections", "test", "e2e_portless")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "Connection success!" in tested.stdout
    assert sandbox.calls == ["GET /me", "GET /"]
