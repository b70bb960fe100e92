"""Any endpoint, by its path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_choice, check_text, show
from airflow_provider_tallyfy.api.protocol.json_values import check_json
from airflow_provider_tallyfy.api.protocol.messages import Param, Request

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")


def custom(method: str, path: str, params: Mapping[str, Param | None] | None = None, json: Any = None) -> Request:
    """Return a request to any path below the base URL. Each segment is sent literally.

    :param params: query parameters; ``None`` = not sent.
    :raises ArgumentError: for a path that a proxy or server could read as another path (``..``, ``//``, ``?``, ``%``).
    """
    if not isinstance(path, str) or not path.strip("/"):
        raise ArgumentError(f"path={show(path)} is empty; it must be a path such as '/organizations/<id>/users'.")
    segments = tuple(path.strip("/").split("/"))
    for segment in segments:
        if segment in {"", ".", ".."} or any(char in "?#%\\" or not char.isprintable() for char in segment):
            raise ArgumentError(
                f"path={show(path)} is not a plain path: no '.', '..', empty part, '?', '#', '%' or backslash. "
                "Query parameters go into params=."
            )
    if params is not None and not isinstance(params, Mapping):
        raise ArgumentError(f"params={show(params)} is not an object of names and values.")
    given = {name: value for name, value in (params or {}).items() if value is not None}
    for name, value in given.items():
        check_text("name in params", name)
        check_json(f"params[{name!r}]", value)
        if not isinstance(value, (str, int, float)):
            raise ArgumentError(
                f"params[{name!r}]={show(value)} is of type {type(value).__name__}; "
                "it must be a string, a number or a bool. Lists are joined with commas."
            )
    verb = check_choice("method", method.upper() if isinstance(method, str) else method, METHODS)
    return Request(verb, segments, tuple(given.items()), check_json("json", json))
