"""The "Tallyfy" connection form: what a person sees under Admin > Connections, written down once.

Airflow asks for the form in two shapes. From 3.2 it reads ``conn-fields`` and ``ui-field-behaviour`` of the provider
info (3.3 without so much as importing the hook); up to 3.1 it calls the hook's ``get_connection_form_widgets()`` and
``get_ui_field_behaviour()``. All four are built from the tables below, so a user of any version sees one form.

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
    """One of the columns that every Airflow connection has.

    :param name: the column.
    :param label: what the form calls it; ``None`` keeps Airflow's own word.
    :param placeholder: shown while the box is empty. In Airflow 3 it is the only help that a standard field can
        have, so it says where the value is to be found rather than what one looks like.
    """

    name: str
    label: str | None
    placeholder: str


@dataclass(frozen=True)
class ExtraField:
    """A field that is stored in the connection's ``extra`` under ``name``. All of them may stay blank.

    :param name: key in ``extra``.
    :param label: what the form calls it.
    :param description: help below the box; says what a blank box means.
    :param placeholder: shown while the box is empty, by Airflow 2.11 alone.
    :param kind: JSON type of the value.
    :param minimum: least number that the form takes.
    :param maximum: greatest number that the form takes.
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
    # Must not be hidden, and is to be filled in: the Test button of Airflow 3.3.1 and 3.3.2 sends port 0 for an empty
    # box, and then answers "Bad Request" because the saved connection has none.
    StandardField("port", None, "Type 443: without it, the Test button of Airflow 3.3 fails"),
    StandardField("login", "Organization ID", "32 characters, from Tallyfy > Settings > Integrations > REST API"),
    StandardField("password", "Access token", "From the same page; logging out of Tallyfy ends a personal one"),
)

#: The scheme is part of the base URL; a second box for it would only invite contradictions.
HIDDEN_FIELDS: Final = ("schema",)

EXTRA_FIELDS: Final = (
    ExtraField(
        "timeout",
        "Request timeout (seconds)",
        "How long one request may wait for the next bytes from Tallyfy, in seconds; it ends after five times as long "
        "in any case. Blank: 60.",
        "60",
        kind="number",
        minimum=1,
    ),
    ExtraField(
        "max_retries",
        "Retries per request",
        "How often a request is repeated when Tallyfy is busy, limits the rate or can't be reached, before the task "
        "fails. 0: never. Blank: 3.",
        "3",
        kind="integer",
        minimum=0,
        maximum=20,
    ),
    # Text, not a switch: an unchanged switch is stored as false, which would turn the certificate check off for
    # everybody who saves the form.
    ExtraField(
        "verify",
        "TLS certificate check",
        "Blank: the certificate of the API is checked, which is right for Tallyfy itself. Path of a CA bundle file: "
        "checked against that, for networks that inspect TLS. The word false: not checked, so that anybody in "
        "between can read the token.",
        "blank, or /path/to/ca-bundle.pem",
    ),
    ExtraField(
        "cert",
        "Client certificate",
        "Path of a PEM file with certificate and unencrypted private key, if a gateway before the API asks for one. "
        "Blank: none.",
        "/path/to/client.pem",
    ),
    ExtraField(
        "proxies",
        "Proxy",
        "URL of the proxy for http and https, for example http://proxy.example.com:3128, or a JSON object with one "
        "URL per scheme. Blank: as HTTPS_PROXY and NO_PROXY on the worker say. An API on the worker itself is reached "
        "without a proxy.",
        "http://proxy.example.com:3128",
    ),
    ExtraField(
        "web_url",
        "Tallyfy web address",
        "Base of the web app that Open in Tallyfy leads to. Blank: https://go.tallyfy.com.",
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
    """Return what the hook's ``get_ui_field_behaviour()`` is to say (Airflow 2.11 to 3.1).

    A new dict at each call: Airflow 2.11 renames placeholders in the one that it is given.
    """
    return {
        "hidden_fields": list(HIDDEN_FIELDS),
        "relabeling": {field.name: field.label for field in STANDARD_FIELDS if field.label},
        "placeholders": {field.name: field.placeholder for field in (*STANDARD_FIELDS, *EXTRA_FIELDS)},
    }


def provider_info_field_behaviour() -> dict[str, Any]:
    """Return the same as ``ui-field-behaviour`` of the provider info, whose keys are spelt with hyphens."""
    return {key.replace("_", "-"): value for key, value in ui_field_behaviour().items()}


def connection_form_widgets() -> dict[str, Any]:
    """Return what the hook's ``get_connection_form_widgets()`` is to say (Airflow 2.11 to 3.1).

    * The keys are bare names. Airflow 2.11 puts ``extra__tallyfy__`` before them in the page and takes it off again
      when it stores; a key that already had the prefix would be stored with it.
    * Every box is a text box, numbers included. Airflow 2.11 loses a stored number 0 when the form is opened again
      (it takes 0 for "nothing stored"), but keeps the text "0"; and a number box left blank is stored as null.
    * Airflow 3.0 and 3.1 call this with stand-ins for WTForms, Flask-Babel and Flask-AppBuilder, which know these
      names only and take a validator for granted unless it is ``Optional``.
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
    """Return a WTForms validator that has the text box of a number refuse anything else."""
    convert, noun = (int, "a whole number") if field.kind == "integer" else (float, "a number")
    least, most = field.minimum, field.maximum
    limits = ("" if least is None else f" from {least}") + ("" if most is None else f" to {most}")

    def check(_form: Any, box: Any) -> None:
        from wtforms.validators import ValidationError

        try:
            value = convert(box.data)
            # Written so that "nan", for which no comparison holds, is refused as well.
            ok = (least is None or value >= least) and (most is None or value <= most)
        except ValueError:
            ok = False
        if not ok:
            raise ValidationError(f"{field.label} must be {noun}{limits}, or blank.")

    return check
