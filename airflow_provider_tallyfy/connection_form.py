"""The form of a Tallyfy connection under Admin > Connections.

Airflow asks for the form in two ways. From 3.2 on it reads ``conn-fields`` and ``ui-field-behaviour`` of the provider
info (3.3 does not even import the hook). Up to 3.1 it calls the hook's ``get_connection_form_widgets()`` and
``get_ui_field_behaviour()``. All four are built from the tables below, so users of all versions see the same form.

Nothing here imports Airflow or WTForms at module level: every Airflow process loads this module at start-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

CONN_TYPE: Final = "tallyfy"
HOOK_NAME: Final = "Tallyfy"


@dataclass(frozen=True)
class StandardField:
    """A field that every Airflow connection has.

    :param name: name of the field in Airflow.
    :param label: label in the form; ``None`` keeps Airflow's own label.
    :param placeholder: shown while the box is empty. In Airflow 3 a standard field has no other help text, so the
        placeholder says where to find the value instead of giving an example.
    """

    name: str
    label: str | None
    placeholder: str


@dataclass(frozen=True)
class ExtraField:
    """A field that is stored in the connection's ``extra`` under ``name``. All of these are optional.

    :param name: key in ``extra``.
    :param label: label in the form.
    :param description: help text below the box, which also says what a blank box means.
    :param placeholder: shown while the box is empty. Only Airflow 2.11 shows it.
    :param kind: JSON type of the value.
    :param minimum: smallest number that the form accepts.
    :param maximum: largest number that the form accepts.
    """

    name: str
    label: str
    description: str
    placeholder: str
    kind: Literal["string", "number", "integer"] = "string"
    minimum: int | None = None
    maximum: int | None = None


STANDARD_FIELDS: Final = (
    StandardField("host", "API base URL", "Blank: https://go.tallyfy.com/api"),
    # Visible and to be filled in, because of a bug in Airflow 3.3.1 and 3.3.2: for an empty box the Test button sends
    # port 0 and answers "Bad Request", because the saved connection has no port.
    StandardField("port", None, "Type 443: without it, the Test button of Airflow 3.3 fails"),
    StandardField("login", "Organization ID", "32 characters, from Tallyfy > Settings > Integrations > REST API"),
    StandardField("password", "Access token", "From the same page; logging out of Tallyfy ends a personal one"),
)

#: The scheme is part of the base URL. A second box for it could contradict that.
HIDDEN_FIELDS: Final = ("schema",)

EXTRA_FIELDS: Final = (
    ExtraField(
        "timeout",
        "Request timeout (seconds)",
        "How long a request may wait for the next bytes from Tallyfy, in seconds. The whole request may take five "
        "times as long. Blank: 60.",
        "60",
        kind="number",
        minimum=1,
    ),
    ExtraField(
        "max_retries",
        "Retries per request",
        "How often a request is repeated before the task fails, if Tallyfy is busy, rate-limits requests or cannot be "
        "reached. 0: never. Blank: 3.",
        "3",
        kind="integer",
        minimum=0,
        maximum=20,
    ),
    # Text, not a switch: the form stores an unchanged switch as false, which would turn off the certificate check
    # for everybody who saves the form.
    ExtraField(
        "verify",
        "TLS certificate check",
        "Blank: the certificate of the API is checked, which is right for Tallyfy itself. Path of a CA bundle file: "
        "the certificate is checked against that, for networks that inspect TLS. The word false: it is not checked, "
        "and anybody on the way can read the token.",
        "blank, or /path/to/ca-bundle.pem",
    ),
    ExtraField(
        "cert",
        "Client certificate",
        "Path of a PEM file with a certificate and its unencrypted private key, if a gateway in front of the API "
        "requires one. Blank: none.",
        "/path/to/client.pem",
    ),
    ExtraField(
        "proxies",
        "Proxy",
        "URL of the proxy for http and https, for example http://proxy.example.com:3128, or a JSON object with one "
        "URL per scheme. Blank: HTTPS_PROXY and NO_PROXY of the worker apply. An API on the worker itself is reached "
        "without a proxy.",
        "http://proxy.example.com:3128",
    ),
    ExtraField(
        "web_url",
        "Tallyfy web address",
        "Base URL of the web app that the button Open in Tallyfy opens. Blank: https://go.tallyfy.com.",
        "https://go.tallyfy.com",
    ),
)


def conn_fields() -> dict[str, dict[str, Any]]:
    """Return the extra fields as ``conn-fields`` of the provider info (Airflow 3.2 and later)."""
    fields = {}
    for field in EXTRA_FIELDS:
        schema: dict[str, Any] = {"type": [field.kind, "null"]}
        limits = {"minimum": field.minimum, "maximum": field.maximum}
        schema.update({name: limit for name, limit in limits.items() if limit is not None})
        fields[field.name] = {"label": field.label, "description": field.description, "schema": schema}
    return fields


def ui_field_behaviour() -> dict[str, Any]:
    """Return the result of the hook's ``get_ui_field_behaviour()`` (Airflow 2.11 to 3.1).

    Each call returns a new dict, because Airflow 2.11 renames placeholders in it.
    """
    return {
        "hidden_fields": list(HIDDEN_FIELDS),
        "relabeling": {field.name: field.label for field in STANDARD_FIELDS if field.label},
        "placeholders": {field.name: field.placeholder for field in (*STANDARD_FIELDS, *EXTRA_FIELDS)},
    }


def provider_info_field_behaviour() -> dict[str, Any]:
    """Return the same as ``ui-field-behaviour`` of the provider info, whose keys have hyphens."""
    return {key.replace("_", "-"): value for key, value in ui_field_behaviour().items()}


def connection_form_widgets() -> dict[str, Any]:
    """Return the result of the hook's ``get_connection_form_widgets()`` (Airflow 2.11 to 3.1).

    * The keys have no prefix. Airflow 2.11 adds ``extra__tallyfy__`` to them in the page and removes it when it stores
      the values; a key that already has the prefix would be stored with it.
    * Every box is a text box, also for numbers. When the form is opened again, Airflow 2.11 loses a stored number 0
      (it counts as "nothing stored") but keeps the text "0". A blank number box is stored as null.
    * Airflow 3.0 and 3.1 call this with replacements for WTForms, Flask-Babel and Flask-AppBuilder. These have only the
      names used here, and show a field as required unless it has the validator ``Optional``.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import StringField
    from wtforms.validators import Optional

    widgets = {}
    for field in EXTRA_FIELDS:
        validators: list[Any] = [Optional()]
        if field.kind != "string":
            validators.append(_number_validator(field))
        widgets[field.name] = StringField(
            lazy_gettext(field.label),
            validators=validators,
            description=field.description,
            widget=BS3TextFieldWidget(),
        )
    return widgets


def _number_validator(field: ExtraField) -> Callable[[Any, Any], None]:
    """Return a WTForms validator that accepts only numbers in a text box."""
    convert, noun = (int, "a whole number") if field.kind == "integer" else (float, "a number")
    least, most = field.minimum, field.maximum
    limits = ("" if least is None else f" from {least}") + ("" if most is None else f" to {most}")

    def check(_form: Any, box: Any) -> None:
        from wtforms.validators import ValidationError

        try:
            value = convert(box.data)
            # Written so that "nan" is refused too: every comparison with it is false.
            ok = (least is None or value >= least) and (most is None or value <= most)
        except ValueError:
            ok = False
        if not ok:
            raise ValidationError(f"{field.label} must be {noun}{limits}, or blank.")

    return check
