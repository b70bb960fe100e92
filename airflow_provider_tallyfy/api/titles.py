"""Tags and templates by their title: looked up, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from airflow_provider_tallyfy.api.endpoints import labels as label_endpoints
from airflow_provider_tallyfy.api.endpoints import templates as template_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError, check_texts, show
from airflow_provider_tallyfy.api.protocol.messages import Flow, Request
from airflow_provider_tallyfy.api.protocol.pagination import Walk
from airflow_provider_tallyfy.api.protocol.problems import reject

TITLE_LIMIT = 30  # characters of a tag's title, by Tallyfy's page on tags
TAG_COLOUR = "#4c7dab"  # a new tag needs a colour: "#" and six hexadecimal digits


def looks_like_id(text: str) -> bool:
    """Whether a text can only be one of Tallyfy's own ids."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def check_titles(argument: str, value: object) -> list[str]:
    """Return a list of tag titles or ids, without repetitions.

    :raises ArgumentError: for anything else.
    """
    if isinstance(value, str):
        raise ArgumentError(
            f"{argument}={show(value)} is not a list. A list that went through a Jinja string becomes text: pass it as "
            "task.output, or set render_template_as_native_obj=True on the DAG."
        )
    texts = [text.strip() for text in check_texts(argument, value)]
    for i, text in enumerate(texts):
        if not text or text.lower() in {"none", "null"}:
            raise ArgumentError(f"{argument}[{i}]={show(text)} is neither the title nor the id of a tag.")
        if len(text) > TITLE_LIMIT and not looks_like_id(text):
            raise ArgumentError(
                f"{argument}[{i}]={show(text)} has {len(text)} characters; a tag's title has at most {TITLE_LIMIT}."
            )
    return list(dict.fromkeys(texts))


def read_titles(request: Request) -> Flow[dict[str, str]]:
    """Read a whole list of tags or templates: id to title."""
    walk = Walk(request)
    found: dict[str, str] = {}
    while (following := walk.next_request) is not None:
        for row in walk.take((yield following)):
            found[str(row.get("id"))] = str(row.get("title") or "")
    return found


def resolve(argument: str, what: str, names: Iterable[str], known: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Turn titles and ids into ids.

    :param what: what they are, for errors: ``tag`` or ``template``.
    :param known: id to title of everything that there is.
    :return: the ids, and the titles that nothing has.
    :raises ArgumentError: for a title that several have.
    """
    by_title: dict[str, list[str]] = {}
    for identity, title in known.items():
        by_title.setdefault(title.casefold(), []).append(identity)
    ids: list[str] = []
    missing: list[str] = []
    for name in names:
        matches = [name] if name in known else by_title.get(name.casefold(), [])
        if len(matches) > 1:
            exact = [identity for identity in matches if known[identity] == name]
            matches = exact if len(exact) == 1 else matches
        if len(matches) > 1:
            raise ArgumentError(
                f"{argument}: {len(matches)} {what}s are titled {show(name)}: {', '.join(matches)}. Use the id."
            )
        (ids if matches else missing).append(matches[0] if matches else name)
    return list(dict.fromkeys(ids)), missing


def unknown(argument: str, what: str, missing: Iterable[str], known: Iterable[str]) -> ArgumentError:
    """The error for titles that nothing has, with the nearest ones that there are."""
    titles = {title.casefold(): title for title in known}
    parts = []
    for name in missing:
        near = get_close_matches(name.casefold(), titles, n=3, cutoff=0.5)
        hint = f" (did you mean {', '.join(repr(titles[n]) for n in near)}?)" if near else ""
        parts.append(f"{show(name)}{hint}")
    some = f"There are {len(titles)} {what}s." if titles else f"There are no {what}s."
    return ArgumentError(f"{argument}: no {what} has this title or id: {'; '.join(parts)}. {some}")


def tag_ids(org: str, argument: str, names: Iterable[str], *, create_missing: bool = False) -> Flow[list[str]]:
    """Turn titles and ids of tags into ids, reading the list of tags only where a title is among them.

    :param create_missing: make tags for titles that nothing has, instead of failing.
    :raises ArgumentError: for unknown titles, naming the nearest.
    """
    wanted = list(names)
    if all(looks_like_id(name) for name in wanted):
        return wanted
    return (
        yield from _resolved(
            org, argument, "tag", wanted, label_endpoints.list_tags(org), _create_tag if create_missing else None
        )
    )


def template_id(org: str, argument: str, name: str) -> Flow[str]:
    """Turn the title or id of a template into its id."""
    if looks_like_id(name):
        return name
    ids = yield from _resolved(org, argument, "template", [name], template_endpoints.list_templates(org), None)
    return ids[0]


def _resolved(
    org: str,
    argument: str,
    what: str,
    wanted: list[str],
    listing: Request,
    create: Callable[[str, str], Flow[str]] | None,
) -> Flow[list[str]]:
    known = yield from read_titles(listing)
    plain_ids = {name: name for name in wanted if looks_like_id(name)}  # an id need not be listed to be right
    ids, missing = resolve(argument, what, wanted, {**plain_ids, **known})
    if missing and create is None:
        raise unknown(argument, what, missing, known.values())
    for title in missing:
        assert create is not None
        ids.append((yield from create(org, title)))
    return ids


def _create_tag(org: str, title: str) -> Flow[str]:
    """Make a tag. Where Tallyfy says that the title is taken, or the answer was lost, the list tells the id."""
    exchange = yield label_endpoints.create_tag(org, title, TAG_COLOUR)
    if (
        exchange.ok
        and (tag := exchange.value) is not None
        and str(tag.get("title", title)).casefold() == title.casefold()
    ):
        return str(tag["id"])
    if not exchange.ok and not exchange.maybe_done and exchange.status != 422:
        reject(exchange)
    ids, _ = resolve("tags", "tag", [title], (yield from read_titles(label_endpoints.list_tags(org))))
    if not ids:
        reject(exchange)
    return ids[0]
