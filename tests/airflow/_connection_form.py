"""Prints, as JSON, the Tallyfy connection form as the installed Airflow would show it to a person.

Run as a script by test_provider_listed.py, in a process of its own: some versions replace modules to get at the form,
and it matters which modules have been imported for it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from typing import Any


def form_of_airflow_3() -> dict[str, Any]:
    """What the API server's own form service hands to the browser."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    [ours] = [form for form in HookMetaService.hook_meta_data() if form.connection_type == "tallyfy"]
    return ours.model_dump()


def form_of_airflow_2() -> dict[str, Any]:
    """What the web server puts into its page, brought into the shape of the above."""
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
    # What Airflow prints while it is imported is not part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        import airflow

        form = form_of_airflow_2() if airflow.__version__.startswith("2.") else form_of_airflow_3()
    json.dump({"form": form, "modules": sorted(sys.modules)}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
