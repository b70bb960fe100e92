"""The provider info that Airflow reads is correct."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points, metadata, version
from pathlib import Path
from types import ModuleType
from typing import Any

import airflow
import jsonschema
import pytest

import airflow_provider_tallyfy
from airflow_provider_tallyfy import connection_form
from airflow_provider_tallyfy.get_provider_info import get_provider_info

DISTRIBUTION = "airflow-provider-tallyfy"
INFO = get_provider_info()
[CONNECTION_TYPE] = INFO["connection-types"]


def dotted_paths() -> Iterator[str]:
    yield CONNECTION_TYPE["hook-class-name"]
    yield from INFO["extra-links"]
    for kind in ("operators", "hooks"):
        for group in INFO[kind]:
            yield from group["python-modules"]


def imported(path: str) -> Any:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def installed_schema(name: str) -> Any:
    return json.loads((Path(airflow.__file__).parent / name).read_text())


class TestInfo:
    def test_is_valid_for_the_installed_airflow(self) -> None:
        jsonschema.validate(INFO, installed_schema("provider_info.schema.json"))

    def test_connection_form_is_valid_for_the_installed_airflow(self) -> None:
        # This stricter schema is for Airflow's own providers. It is the only one that says what a form field may be,
        # from 3.2 on. Earlier versions have no rules for it, and do not read it.
        schema = installed_schema("provider.yaml.schema.json")["properties"]["connection-types"]
        jsonschema.validate(INFO["connection-types"], schema)
        knows_forms = "conn-fields" in schema["items"]["properties"]
        assert knows_forms == (tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 2))

    @pytest.mark.parametrize("path", sorted(set(dotted_paths())))
    def test_every_path_in_it_can_be_imported(self, path: str) -> None:
        imported(path)

    def test_agrees_with_the_hook(self) -> None:
        hook = imported(CONNECTION_TYPE["hook-class-name"])
        assert hook.conn_type == CONNECTION_TYPE["connection-type"] == "tallyfy"
        assert hook.hook_name == CONNECTION_TYPE["hook-name"]
        assert (hook.conn_name_attr, hook.default_conn_name) == ("tallyfy_conn_id", "tallyfy_default")

    def test_lists_the_link_under_the_name_that_the_operators_use(self) -> None:
        operators = imported("airflow_provider_tallyfy.operators.tallyfy")
        links = {
            f"{type(link).__module__}.{type(link).__qualname__}"
            for name in operators.__all__
            for link in getattr(operators, name).operator_extra_links
        }
        assert links == set(INFO["extra-links"])

    def test_two_calls_return_independent_objects(self) -> None:
        get_provider_info()["connection-types"][0]["conn-fields"].clear()
        assert get_provider_info() == INFO


class TestDistribution:
    def test_has_the_name_and_version_of_the_package(self) -> None:
        assert INFO["package-name"] == metadata(DISTRIBUTION)["Name"] == DISTRIBUTION
        assert version(DISTRIBUTION) == airflow_provider_tallyfy.__version__

    def test_links_to_the_documentation(self) -> None:
        labels = [url.partition(",")[0] for url in metadata(DISTRIBUTION).get_all("Project-URL") or []]
        assert "Documentation" in labels

    def test_entry_point_returns_the_provider_info(self) -> None:
        [entry_point] = entry_points(
            group="apache_airflow_provider", module="airflow_provider_tallyfy.get_provider_info"
        )
        assert entry_point.load() is get_provider_info

    def test_entry_point_loads_without_airflow(self) -> None:
        # Every Airflow process loads all entry points at start-up, although most never use a hook.
        script = (
            "import sys; from importlib.metadata import entry_points;"
            "[e] = [e for e in entry_points(group='apache_airflow_provider') if 'tallyfy' in e.value];"
            "print(e.load()()['package-name']);"
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        )
        command = [sys.executable, "-c", script]
        name, modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert name == DISTRIBUTION
        assert {"airflow", "requests", "aiohttp", "wtforms", "flask_appbuilder"}.isdisjoint(modules.split())

    def test_is_marked_as_typed(self) -> None:
        assert (Path(airflow_provider_tallyfy.__file__).parent / "py.typed").exists()


class Box:
    """A stand-in for a WTForms field, which records its arguments."""

    def __init__(self, label: str, *, validators: list[Any], description: str, widget: Any) -> None:
        self.label, self.validators, self.description, self.widget = label, validators, description, widget


@pytest.fixture
def widgets(monkeypatch: pytest.MonkeyPatch) -> dict[str, Box]:
    """The form of Airflow 2.11 to 3.1, made with stand-ins for WTForms and Flask, as 3.0 and 3.1 themselves do."""
    names: dict[str, dict[str, Any]] = {
        "wtforms": {"StringField": Box},
        "wtforms.validators": {"Optional": type("Optional", (), {}), "ValidationError": ValueError},
        "flask_babel": {"lazy_gettext": str},
        "flask_appbuilder": {},
        "flask_appbuilder.fieldwidgets": {"BS3TextFieldWidget": type("BS3TextFieldWidget", (), {})},
    }
    for name, content in names.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return connection_form.connection_form_widgets()


class TestForm:
    def test_both_forms_have_the_same_fields(self, widgets: dict[str, Box]) -> None:
        new = CONNECTION_TYPE["conn-fields"]
        assert [(name, box.label, box.description) for name, box in widgets.items()] == [
            (name, field["label"], field["description"]) for name, field in new.items()
        ]

    def test_both_forms_have_the_same_labels_and_hidden_fields(self) -> None:
        old, new = connection_form.ui_field_behaviour(), CONNECTION_TYPE["ui-field-behaviour"]
        assert {key.replace("_", "-"): value for key, value in old.items()} == new
        assert set(new) == {"hidden-fields", "relabeling", "placeholders"}

    def test_hook_uses_the_same_tables(self, widgets: dict[str, Box]) -> None:
        hook = imported(CONNECTION_TYPE["hook-class-name"])
        # Airflow ignores inherited ones, so the class must define them itself.
        assert {"get_connection_form_widgets", "get_ui_field_behaviour"} <= set(vars(hook))
        assert hook.get_ui_field_behaviour() == connection_form.ui_field_behaviour()
        assert list(hook.get_connection_form_widgets()) == list(widgets)

    def test_every_extra_may_stay_blank(self, widgets: dict[str, Box]) -> None:
        for name, box in widgets.items():
            assert type(box.validators[0]).__name__ == "Optional"
            assert "null" in CONNECTION_TYPE["conn-fields"][name]["schema"]["type"]

    def test_port_is_visible(self) -> None:
        # Airflow 3.3.1's and 3.3.2's Test button works only for a connection that has a port stored.
        assert CONNECTION_TYPE["ui-field-behaviour"]["hidden-fields"] == ["schema"]
        assert CONNECTION_TYPE["ui-field-behaviour"]["placeholders"]["port"].startswith("Type 443")

    def test_verify_is_a_text_field(self) -> None:
        # The form stores false for a switch that nobody has touched.
        assert CONNECTION_TYPE["conn-fields"]["verify"]["schema"]["type"] == ["string", "null"]

    def test_describes_the_meaning_of_a_blank_field(self) -> None:
        from airflow_provider_tallyfy import connection

        fields = CONNECTION_TYPE["conn-fields"]
        assert all("Blank: " in field["description"] for field in fields.values())
        assert f"Blank: {connection.DEFAULT_TIMEOUT:g}." in fields["timeout"]["description"]
        assert f"Blank: {connection.DEFAULT_MAX_RETRIES}." in fields["max_retries"]["description"]
        assert f"Blank: {connection.DEFAULT_WEB_URL}." in fields["web_url"]["description"]
        assert fields["max_retries"]["schema"]["maximum"] == connection.MOST_RETRIES
        assert CONNECTION_TYPE["ui-field-behaviour"]["placeholders"]["host"] == f"Blank: {connection.DEFAULT_BASE_URL}"

    @pytest.mark.parametrize(
        ("name", "text", "fits"),
        [
            ("timeout", "60", True),
            ("timeout", "2.5", True),
            ("timeout", "0", False),
            ("timeout", "nan", False),
            ("timeout", "1 minute", False),
            ("max_retries", "0", True),
            ("max_retries", "20", True),
            ("max_retries", "21", False),
            ("max_retries", "-1", False),
            ("max_retries", "2.5", False),
        ],
    )
    def test_old_form_checks_numbers_itself(self, widgets: dict[str, Box], name: str, text: str, fits: bool) -> None:
        box = widgets[name]
        [check] = box.validators[1:]
        filled = Box(box.label, validators=[], description="", widget=None)
        vars(filled)["data"] = text
        if fits:
            check(None, filled)
        else:
            with pytest.raises(ValueError, match=f"^{box.label.split('(')[0].strip()}.* must be .*, or blank"):
                check(None, filled)
