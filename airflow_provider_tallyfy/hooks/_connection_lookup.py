"""Gets a connection from Airflow. Every failure may be temporary, so Airflow may retry the task."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_tallyfy._compat import AirflowNotFoundException
from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyConnectionNotFoundError

T = TypeVar("T")

#: Characters of Airflow's own message that the error repeats.
LONGEST_REASON = 500

#: Passwords in the errors of database drivers and HTTP clients: in a URL, or after the name of a setting.
_PASSWORDS = (
    (re.compile(r"(://[^\s:/@]*):[^\s]+@"), r"\1:***@"),
    (
        re.compile(r"""\b(\w*(?:password|passwd|pwd|token|secret)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&]+)""", re.I),
        r"\1***",
    ),
)


def look_up_connection(get_connection: Callable[[str], T], conn_id: str) -> T:
    """Return a connection of Airflow.

    While its database is down, Airflow reports that the connection does not exist: 2.11 in the task itself, 3.x with a
    404 from the execution API. A missing connection cannot be told from an outage, so the error allows a retry.

    :param get_connection: Airflow's own function.
    :param conn_id: id of the connection.
    :raises TallyfyArgumentError: if ``conn_id`` is not text.
    :raises TallyfyConnectionNotFoundError: if Airflow does not find the connection, or the look-up fails.
    """
    if not isinstance(conn_id, str):
        raise TallyfyArgumentError(f"tallyfy_conn_id={show(conn_id)} is not the id of a connection.")
    try:
        return get_connection(conn_id)
    except AirflowNotFoundException:
        raise TallyfyConnectionNotFoundError(
            f"Airflow finds no connection {conn_id!r}. Create it under Admin > Connections (type Tallyfy), with "
            f"`airflow connections add {conn_id} --conn-type tallyfy --conn-login <Organization ID> --conn-password "
            "<access token>`, or pass tallyfy_conn_id. On Airflow 3 only tasks see connections in Airflow's database; "
            f"a script needs the environment variable AIRFLOW_CONN_{str(conn_id).upper()}. An outage of that database "
            "looks the same, so the task may be retried."
        ) from None
    except Exception as fault:
        reason = _without_passwords(" ".join("".join(traceback.format_exception_only(fault)).split()))
        error = TallyfyConnectionNotFoundError(
            f"Airflow could not look up the connection {conn_id!r}: {_shortened(reason)} Airflow's database or its API "
            "server may be away, so the task may be retried. If this stays, look at their logs."
        )
        # Python prints the cause in full, so a cause that holds a password is left out.
        whole = "".join(traceback.format_exception(fault))
        raise error from (fault if _without_passwords(whole) == whole else None)


def _without_passwords(text: str) -> str:
    for pattern, replacement in _PASSWORDS:
        text = pattern.sub(replacement, text)
    return text


def _shortened(text: str) -> str:
    text = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
    return text if text.endswith((".", "!", "?")) else f"{text}."
