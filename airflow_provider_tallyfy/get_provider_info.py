"""The registration of this provider. Every Airflow process loads this module, so it does not import Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy import connection_form

_INTEGRATION = "Tallyfy"


def get_provider_info() -> dict[str, Any]:
    """Return the provider info, for the entry point ``apache_airflow_provider``.

    Airflow ignores keys that its version does not know, so one dict serves all versions.
    """
    return {
        # Must be the name of the distribution. Otherwise Airflow stops the discovery of all providers.
        "package-name": "airflow-provider-tallyfy",
        "name": "Tallyfy",
        "description": "Archive, restore and update Tallyfy processes (runs) from Airflow.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://tallyfy.com/products/pro/integrations/open-api/",
                "tags": ["service"],
            }
        ],
        "connection-types": [
            {
                "connection-type": connection_form.CONN_TYPE,
                "hook-class-name": "airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook",
                # The rest is for Airflow 3.2 and later. Earlier versions ask the hook for its form, which is built
                # from the same tables.
                "hook-name": connection_form.HOOK_NAME,
                "ui-field-behaviour": connection_form.provider_info_field_behaviour(),
                "conn-fields": connection_form.conn_fields(),
            }
        ],
        # Airflow 2.11 does not load a stored DAG if its operators have a link that is not listed here.
        "extra-links": ["airflow_provider_tallyfy.links.tallyfy.TallyfyRunLink"],
        # Airflow only displays these.
        "operators": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_tallyfy.operators.tallyfy"]}
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_tallyfy.hooks.tallyfy"]}],
    }
