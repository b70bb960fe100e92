"""Answers that name people: members by id or e-mail address, guests by e-mail address, groups by id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.forms.entries import each, entries
from airflow_provider_tallyfy.api.protocol.arguments import (
    ArgumentError,
    check_id,
    check_text,
    check_user_id,
    did_you_mean,
    show,
)

BUCKETS = ("users", "guests", "groups")

Members = Mapping[str, int]
"""User ids by e-mail address in lower case."""


def check_address(where: str, value: object) -> str:
    """Return ``value`` without surrounding spaces if it is an e-mail address.

    :raises ArgumentError: for anything else.
    """
    address = address_of(value)
    if address is None:
        raise ArgumentError(f"{where}={show(value)} is not an e-mail address.")
    return check_text(where, address)


def address_of(value: object) -> str | None:
    """Return ``value`` without surrounding spaces if it is an e-mail address; otherwise ``None``."""
    is_one = isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+", value.strip()) and "{{" not in value
    return value.strip() if is_one and isinstance(value, str) else None


def encode(where: str, value: object, members: Members | None) -> dict[str, list[Any]]:
    """Return the people that an answer names, as ``{"users": ids, "guests": addresses, "groups": ids}``."""
    found: dict[str, list[Any]] = {bucket: [] for bucket in BUCKETS}
    checks: dict[str, Callable[[str, Any], Any]] = {
        "users": _check_member(members),
        "guests": check_address,
        "groups": check_id,
    }
    if isinstance(value, Mapping):
        wrong = [
            f"{where}: {show(key)} is not one of 'users', 'guests' and 'groups'." for key in value if key not in found
        ]
        for bucket in BUCKETS:
            inner = f"{where}[{bucket!r}]"
            try:
                found[bucket] = each(inner, entries(inner, value.get(bucket)), checks[bucket])
            except ArgumentError as error:
                wrong.append(str(error))
        if wrong:
            raise ArgumentError("\n".join(wrong))
    else:
        for bucket, person in each(where, entries(where, value), _check_person(members)):
            found[bucket].append(person)
    return {bucket: list(dict.fromkeys(people)) for bucket, people in found.items()}


def has_addresses(value: object) -> bool:
    """Return whether an answer may name a member by e-mail address. This does not consume an iterator."""
    if isinstance(value, Mapping):
        return has_addresses(value.get("users"))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(address_of, value))
    return address_of(value) is not None or (isinstance(value, Iterable) and not isinstance(value, (str, bytes)))


def _check_person(members: Members | None) -> Callable[[str, Any], tuple[str, Any]]:
    def check(where: str, value: Any) -> tuple[str, Any]:
        address = address_of(value)
        if address is None:
            try:
                return "users", check_user_id(where, value)
            except ArgumentError:
                raise ArgumentError(
                    f"{where}={show(value)} is neither an e-mail address nor a user id (a whole number, such as 1001)."
                ) from None
        member = (members or {}).get(address.casefold())
        return ("guests", check_text(where, address)) if member is None else ("users", member)

    return check


def _check_member(members: Members | None) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        bucket, person = _check_person(members)(where, value)
        if bucket != "users":
            near = did_you_mean(person, members or ())
            raise ArgumentError(
                f"{where}={show(value)} is not the e-mail address of a member{near}. Put guests into 'guests'."
            )
        return person

    return check
