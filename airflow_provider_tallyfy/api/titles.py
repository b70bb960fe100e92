"""Look up tags, templates, folders, groups and members by title, name or e-mail address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.endpoints import labels as label_endpoints
from airflow_provider_tallyfy.api.endpoints import organization as organization_endpoints
from airflow_provider_tallyfy.api.endpoints import templates as template_endpoints
from airflow_provider_tallyfy.api.names import folded
from airflow_provider_tallyfy.api.protocol.arguments import (
    NOT_RENDERED_AS_LIST,
    ArgumentError,
    check_list,
    check_rendered,
    check_text,
    check_user_id,
    did_you_mean,
    is_absent,
    show,
)
from airflow_provider_tallyfy.api.protocol.messages import Flow, Request, related
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import Kind as ProblemKind
from airflow_provider_tallyfy.api.protocol.problems import about, reject

TITLE_LIMIT = 30  # characters of a tag's title, according to Tallyfy's page on tags
LONGEST = 550  # characters; no title in Tallyfy is longer
TAG_COLOUR = "#4c7dab"  # a new tag needs a colour: "#" and six hexadecimal digits


@dataclass(frozen=True)
class Kind:
    """A kind of object that people know by its title, and the API by its id.

    :param what: its name, for errors.
    :param title: the field with the title.
    :param called: the name of the title, for errors.
    :param listing: returns the request that lists all objects of this kind in an organization.
    :param limit: most characters of a title.
    """

    what: str
    title: str
    called: str
    listing: Callable[[str], Request]
    limit: int = LONGEST


TAG = Kind("tag", "title", "title", label_endpoints.list_all_tags, TITLE_LIMIT)
TEMPLATE = Kind("template", "title", "title", template_endpoints.list_templates)
FOLDER = Kind("folder", "name", "name", label_endpoints.list_folders)
GROUP = Kind("group", "name", "name", organization_endpoints.list_groups)
MEMBER = Kind("member", "email", "e-mail address", organization_endpoints.list_members)


def looks_like_id(text: str) -> bool:
    """Whether a text has the form of Tallyfy's ids."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def check_title(argument: str, value: object, kind: Kind = TAG) -> str:
    """Return a title or an id.

    :raises ArgumentError: for anything else.
    """
    text = check_text(argument, value).strip()
    if is_absent(text):
        raise ArgumentError(f"{argument}={show(text)} is neither the {kind.called} nor the id of a {kind.what}.")
    check_rendered(argument, text)
    if len(text) > kind.limit and not looks_like_id(text):
        raise ArgumentError(
            f"{argument}={show(text)} has {len(text)} characters; a {kind.what}'s {kind.called} has at most "
            f"{kind.limit}."
        )
    return text


def check_titles(argument: str, value: object, kind: Kind = TAG) -> list[str]:
    """Return a list of titles or ids, without duplicates.

    :raises ArgumentError: for anything else.
    """
    what = f"a list. {NOT_RENDERED_AS_LIST}"
    return check_list(argument, value, what, lambda place, title: check_title(place, title, kind))


def check_member(argument: str, value: object) -> int | str:
    """Return a member's id, or an e-mail address.

    :raises ArgumentError: for anything else.
    """
    if isinstance(value, str) and re.fullmatch(r"[^@\s]+@[^@\s]+", value.strip()) and "{{" not in value:
        return value.strip()
    try:
        return check_user_id(argument, value)
    except ArgumentError as error:
        if isinstance(value, str) and value.strip():
            raise ArgumentError(
                f"{argument}={show(value)} is neither a user id (a whole number, such as 1001) nor an e-mail address."
            ) from None
        raise error


def check_members(argument: str, value: object) -> list[int | str]:
    """Return a list of members' ids and e-mail addresses."""
    return check_list(argument, value, "a list of user ids or e-mail addresses, such as [1001]", check_member)


def read_titles(request: Request, title: str = "title") -> Flow[dict[str, str]]:
    """Read a whole list, including subfolders, and return the titles by id.

    :param title: the field with the title.
    """
    walk = Walk(request)
    found: dict[str, str] = {}
    while (following := walk.next_request) is not None:
        rows: list[Any] = list(walk.take((yield following)))
        while rows:
            row = rows.pop(0)
            if isinstance(row, Mapping):
                found[str(row.get("id"))] = str(row.get(title) or "")
                rows += related(row.get("children")) or []
    return found


def read_kind(org: str, kind: Kind) -> Flow[dict[str, str]]:
    """Return the titles of everything of a kind in the organization, by id."""
    return (yield from read_titles(kind.listing(org), kind.title))


def resolve(argument: str, what: str, names: Iterable[str], known: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Replace titles by ids.

    :param what: the name of their kind, for errors: ``tag`` or ``template``.
    :param known: the titles of everything that exists, by id.
    :return: the ids, and the unknown titles.
    :raises ArgumentError: for an ambiguous title.
    """
    by_title: dict[str, list[str]] = {}
    for identity, title in known.items():
        by_title.setdefault(folded(title), []).append(identity)
    ids: list[str] = []
    missing: list[str] = []
    for name in names:
        matches = [name] if name in known else by_title.get(folded(name), [])
        if len(matches) > 1:
            exact = [identity for identity in matches if known[identity] == name]
            matches = exact if len(exact) == 1 else matches
        if len(matches) > 1:
            raise ArgumentError(
                f"{argument}: {len(matches)} {what}s are titled {show(name)}: {', '.join(matches)}. Use the id."
            )
        (ids if matches else missing).append(matches[0] if matches else name)
    return list(dict.fromkeys(ids)), missing


def unknown(
    argument: str, what: str, missing: Iterable[str], known: Iterable[str], called: str = "title"
) -> ArgumentError:
    """Return the error for unknown titles, with the nearest known ones."""
    titles = {title.casefold(): title for title in known}
    parts = [f"{show(name)}{did_you_mean(name, titles.values())}" for name in missing]
    some = f"There are {len(titles)} {what}s." if titles else f"There are no {what}s."
    if len(titles) == 1:
        some = f"There is 1 {what}: {next(iter(titles.values()))!r}."
    return ArgumentError(f"{argument}: no {what} has this {called} or id: {'; '.join(parts)}. {some}")


def folder_ids(org: str, argument: str, names: Iterable[str]) -> Flow[list[str]]:
    """Replace names of folders by ids. The list of folders is read only if there is a name.

    :raises ArgumentError: for unknown names, with the nearest known ones.
    """
    ids, _ = yield from _ids(argument, FOLDER, names, FOLDER.listing(org))
    return ids


def _ids(
    argument: str, kind: Kind, names: Iterable[str], listing: Request, *, fail: bool = True
) -> Flow[tuple[list[str], list[str]]]:
    """Replace titles by ids. The list is read only if there is a title.

    :param listing: the request for the list.
    :param fail: whether an unknown title is an error.
    :return: the ids, and the unknown titles.
    """
    wanted = list(names)
    if all(looks_like_id(name) for name in wanted):
        return wanted, []
    known = yield from read_titles(listing, kind.title)
    plain_ids = {name: name for name in wanted if looks_like_id(name)}  # an id that is not listed may still be valid
    ids, missing = resolve(argument, kind.what, wanted, {**plain_ids, **known})
    if missing and fail:
        raise unknown(argument, kind.what, missing, known.values(), kind.called)
    return ids, missing


def tag_ids(org: str, argument: str, names: Iterable[str], *, create_missing: bool = False) -> Flow[list[str]]:
    """Replace titles of tags by ids. The list of tags is read only if there is a title.

    :param create_missing: create tags for unknown titles, instead of failing.
    :raises ArgumentError: for unknown titles, with the nearest known ones.
    """
    ids, missing = yield from _ids(argument, TAG, names, label_endpoints.list_tags(org), fail=not create_missing)
    for title in missing:
        ids.append((yield from _create_tag(org, title)))
    return ids


def _create_tag(org: str, title: str) -> Flow[str]:
    """Create a tag. If the title is taken, or the answer does not show the tag, its id is read from the list of tags.

    Titles are unique, so a repetition is harmless: if the list does not show the tag, a retry can fix it.
    """
    exchange = yield label_endpoints.create_tag(org, title, TAG_COLOUR)
    tag = exchange.value if exchange.ok else None
    if tag is not None and str(tag.get("title")).casefold() == title.casefold():
        return str(tag["id"])
    if not exchange.ok and not exchange.maybe_done and exchange.status != 422:
        reject(exchange)
    ids, _ = resolve("tags", "tag", [title], (yield from read_titles(label_endpoints.list_tags(org))))
    if ids:
        return ids[0]
    if exchange.status == 422:
        reject(exchange)
    why = exchange.unreadable or (f"answered {exchange.status}" if exchange.status else "did not answer")
    raise about(
        exchange.request,
        ProblemKind.SERVER,
        f"{exchange.request.label} did not create the tag {show(title)} (Tallyfy {why}): a read shows no tag with this "
        "title. A retry can fix this.",
        like=exchange,
    )
