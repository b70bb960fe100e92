"""A real Airflow finds the provider and shows it: on the command line and in the connection form."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import airflow
import pytest

import airflow_provider_tallyfy
from airflow_provider_tallyfy import connection_form

DISTRIBUTION = "airflow-provider-tallyfy"
HOOK = "airflow_provider_tallyfy.hooks.tallyfy"
AIRFLOW = tuple(map(int, airflow.__version__.split(".")[:2]))
# From 3.2 on, the form comes from the provider info. Earlier versions need WTForms, which 2.11 and the FAB provider
# install. Without it, the command line of 3.0 and 3.1 and the form of 3.0 show nothing for any provider. The form
# service of 3.1 uses replacements.
HAS_WTFORMS = find_spec("wtforms") is not None
COMMAND_LINE_KNOWS_FORMS = AIRFLOW >= (3, 2) or HAS_WTFORMS
HAS_FORMS = AIRFLOW >= (3, 1) or HAS_WTFORMS


def answer_of(script: str, *arguments: str) -> Any:
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, f"{outcome.stdout}\n{outcome.stderr}"
    return json.loads(outcome.stdout)


@pytest.fixture(scope="module")
def cli(airflow_home: Path) -> Any:
    commands = ("list", f"get {DISTRIBUTION} --full", "hooks", "links", "behaviours", "widgets")
    return answer_of("_providers_cli.py", *commands)


@pytest.fixture(scope="module")
def shown(airflow_home: Path) -> Any:
    return answer_of("_connection_form.py")


class TestCommandLine:
    def test_list(self, cli: Any) -> None:
        [row] = [row for row in cli["list"] if row["package_name"] == DISTRIBUTION]
        assert row["version"] == airflow_provider_tallyfy.__version__

    def test_get(self, cli: Any) -> None:
        [info] = cli[f"get {DISTRIBUTION} --full"]
        assert info["package-name"] == DISTRIBUTION
        assert info["name"] == "Tallyfy"

    def test_hooks(self, cli: Any) -> None:
        [row] = [row for row in cli["hooks"] if row["connection_type"] == "tallyfy"]
        assert row["class"] == f"{HOOK}.TallyfyHook"
        assert row["conn_id_attribute_name"] == "tallyfy_conn_id"
        assert (row["hook_name"], row["package_name"]) == ("Tallyfy", DISTRIBUTION)

    def test_links(self, cli: Any) -> None:
        assert {"extra_link_class_name": "airflow_provider_tallyfy.links.tallyfy.TallyfyRunLink"} in cli["links"]

    def test_behaviours(self, cli: Any) -> None:
        if COMMAND_LINE_KNOWS_FORMS:
            assert {"field_behaviours": "tallyfy"} in cli["behaviours"]
        else:
            assert cli["behaviours"] == []

    def test_widgets(self, cli: Any) -> None:
        names = {row["connection_parameter_name"] for row in cli["widgets"] if row["package_name"] == DISTRIBUTION}
        if COMMAND_LINE_KNOWS_FORMS:
            assert names == {f"extra__tallyfy__{field.name}" for field in connection_form.EXTRA_FIELDS}
        else:
            assert cli["widgets"] == []


class TestForm:
    def test_connection_type_has_its_name(self, shown: Any) -> None:
        assert shown["form"]["hook_name"] == "Tallyfy"

    def test_standard_fields_are_labelled(self, shown: Any) -> None:
        fields = shown["form"]["standard_fields"]
        if not HAS_FORMS:
            assert fields is None
            return
        for field in connection_form.STANDARD_FIELDS:
            assert fields[field.name] == {"hidden": False, "title": field.label, "placeholder": field.placeholder}
        assert fields["url_schema"]["hidden"] is True

    def test_extra_fields_are_labelled_and_explained(self, shown: Any) -> None:
        fields = shown["form"]["extra_fields"]
        if not HAS_FORMS:
            assert fields is None
            return
        assert {name: (field["schema"]["title"], field["description"]) for name, field in fields.items()} == {
            field.name: (field.label, field.description) for field in connection_form.EXTRA_FIELDS
        }

    def test_hook_is_imported_for_it_only_where_airflow_needs_that(self, shown: Any) -> None:
        assert (HOOK in shown["modules"]) == (AIRFLOW < (3, 3))
