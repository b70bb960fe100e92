"""What Airflow is told about this provider. Loaded by every Airflow process, so it imports no Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy import connection_form

_INTEGRATION = "Tallyfy"


def get_provider_info() -> dict[str, Any]:
    """Return the registration that the entry point ``apache_airflow_provider`` stands for.

    Keys that an Airflow version doesn't know are ignored by it, so there is one dict for all of them.
    """
    return {
        # Airflow breaks off the discovery of all providers if this is not the name of the distribution.
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
                # From here on for Airflow 3.2 and later. Earlier ones ask the hook for its form, which answers from
                # the same tables.
                "hook-name": connection_form.HOOK_NAME,
                "ui-field-behaviour": connection_form.provider_info_field_behaviour(),
                "conn-fields": connection_form.conn_fields(),
            }
        ],
        # Airflow 2.11 refuses to load a stored DAG whose operators have a link that is not listed here.
        "extra-links": ["airflow_provider_tallyfy.links.tallyfy.TallyfyRunLink"],
        # For listings only.
        "operators": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_tallyfy.operators.tallyfy"]}
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_tallyfy.hooks.tallyfy"]}],
    }
