"""Finds the page for an address, and builds the HTML document around it."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from urllib.parse import parse_qsl

from airflow_provider_tallyfy.sandbox.pages import overview, run
from airflow_provider_tallyfy.sandbox.pages.fragments import without_tokens
from airflow_provider_tallyfy.sandbox.pages.markup import Html, el, join, name
from airflow_provider_tallyfy.sandbox.pages.query import Filters, Selector
from airflow_provider_tallyfy.sandbox.state import SandboxState

# The overview, and a run: /{organization}/processes/{run}.
_PAGES = re.compile(r"/|/(?!(?:api|organizations|_sandbox)/)[^/]+/processes/[^/]+")
# One response: status, headers, body.
Page = tuple[int, Mapping[str, str], bytes]

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%23b7791f' d='M1 5h14l-2 9H3z'/%3E%3Cpath fill='%23e6b450' d='M3 5c1-4 9-4 10 0z'/%3E%3C/svg%3E"
)


class Site:
    """The pages of a sandbox. They change nothing, and requests for them are not recorded.

    :param state: the organization and the requests that they show.
    """

    def __init__(self, state: SandboxState) -> None:
        self.state = state
        self._selector = Selector(state.organization)

    @staticmethod
    def wants(path: str, headers: Mapping[str, str]) -> bool:
        """Whether a GET is for one of the pages: it has the address of a page, and does not accept only JSON.

        ``curl`` and others that accept everything get the page too, because the API does not use these addresses.
        """
        if not _PAGES.fullmatch(path):
            return False
        ranges = [part.partition(";")[0].strip().lower() for part in headers.get("Accept", "*/*").split(",")]
        return not all(kind == "application/json" or kind.endswith("+json") for kind in ranges)

    def answer(self, path: str, raw_query: str) -> Page:
        """Return the page at an address; with ``live=MARK`` only its changing part, or 204 if that did not change."""
        query = dict(parse_qsl(raw_query, errors="replace"))
        with self.state.organization.lock:
            mark = self._mark()
            if query.get("live") == mark:
                return 204, _HEADERS, b""
            status, title, above, part = self._content(path, query)
        live = el("div", part, id="live", data_mark=mark)
        page = live if "live" in query else self._document(title, above, live)
        return status, _headers(), without_tokens(page).encode()

    def _mark(self) -> str:
        """Return a mark that changes whenever the pages change, and every 20 seconds because of the ages on them."""
        state = self.state
        # Ages need no more than this; what people are about to do is counted down.
        step = 1 if state.people.to_come else 20
        return f"{state.organization.version}.{len(state.records)}.{state.answered}.{int(time.time() / step)}"

    def _content(self, path: str, query: Mapping[str, str]) -> tuple[int, str, Html, Html]:
        """Return status, title, the fixed part and the changing part of a page."""
        organization, records = self.state.organization, self.state.records
        if path == "/":
            filters = Filters.of(query)
            page = query.get("page", "")
            number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
            above = join([el("h1", name(organization.name)), overview.search_form(organization, filters)])
            selection = self._selector.select(filters, number)
            part = overview.changing_part(organization, self.state.people, records, filters, selection)
            return 200, organization.name, above, part
        _, organization_id, _, run_id = path.split("/")
        nothing = Html("")
        if organization_id != organization.id:
            what = "This sandbox has another organization. Was it restarted in the meantime?"
            return 404, "Not here", nothing, self._missing("Not here", what)
        found = organization.runs.get(run_id)
        if found is None:
            what = "It was deleted permanently, or it never existed in this sandbox."
            return 404, "No such run", nothing, self._missing("No such run", what)
        return 200, found.name, nothing, run.changing_part(organization, self.state.people, records, found)

    @staticmethod
    def _missing(title: str, what: str) -> Html:
        return join([el("h1", title), el("p", what), el("p", el("a", "All runs", href="/"))])

    def _document(self, title: str, above: Html, live: Html) -> Html:
        organization = self.state.organization
        about = "It runs only on this machine and is not Tallyfy. Nothing in it is real, and nothing is kept."
        controls = el(
            "p",
            el(
                "span",
                "This page shows the state at the time when you opened it. ",
                el("a", "Refresh", href=""),
                id="news",
                role="status",
            ),
            el("button", "Pause", id="pause", type="button", hidden=True),
            class_="controls",
        )
        strip = el("header", el("p", el("strong", "Sandbox"), f" {about}"), controls, class_="strip")
        foot = el(
            "footer",
            el("p", "Organization id ", el("code", organization.id)),
            el("p", "All requests as JSON: ", el("a", "/_sandbox/requests", href="/_sandbox/requests")),
        )
        head = el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("title", f"{title} - sandbox"),
            el("link", rel="icon", href=Html(_ICON)),
            el("style", _asset("page.css")),
        )
        body = el("body", strip, el("main", above, live), foot, el("script", _asset("page.js")))
        return Html("<!doctype html>\n" + el("html", head, body, lang="en"))


@lru_cache
def _asset(file: str) -> Html:
    return Html("\n" + files(__package__).joinpath(file).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@lru_cache
def _headers() -> Mapping[str, str]:
    """Allow only the page's own script (Content-Security-Policy), as a second protection besides the escaping."""
    policy = (
        f"default-src 'none'; style-src {_hash(_asset('page.css'))}; script-src {_hash(_asset('page.js'))}; "
        "img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {**_HEADERS, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
