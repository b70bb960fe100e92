"""Prints, as JSON, the Tallyfy connection form as the installed Airflow would show it to a person.

test_provider_listed.py runs it in a separate process, because some versions replace modules to build the form, and the
test checks which modules were imported.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from typing import Any


def form_of_airflow_3() -> dict[str, Any]:
    """Return what the API server's form service sends to the browser."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    [ours] = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "tallyfy"]
    return ours.model_dump()


def form_of_airflow_2() -> dict[str, Any]:
    """Return what the web server puts into its page, in the same format."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    hook, behaviour = manager.hooks["tallyfy"], manager.field_behaviours["tallyfy"]
    assert hook is not None
    widgets = {key: widget for key, widget in manager.connection_form_widgets.items() if "__tallyfy__" in key}
    columns = ("description", "schema", "host", "port", "login", "password")
    return {
        "hook_name": hook.hook_name,
        "standard_fields": {
            ("url_schema" if column == "schema" else column): {
                "hidden": column in behaviour["hidden_fields"],
                "title": behaviour["relabeling"].get(column),
                "placeholder": behaviour["placeholders"].get(column),
            }
            for column in columns
        },
        "extra_fields": {
            widget.field_name: {
                "schema": {"title": str(widget.field.args[0])},
                "description": widget.field.kwargs["description"],
                "placeholder": behaviour["placeholders"].get(key),
            }
            for key, widget in widgets.items()
        },
    }


def main() -> None:
    warnings.simplefilter("ignore")
    # Output of Airflow during its import is not part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        import airflow

        form = form_of_airflow_2() if airflow.__version__.startswith("2.") else form_of_airflow_3()
    json.dump({"form": form, "modules": sorted(sys.modules)}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
