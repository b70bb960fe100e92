"""The page at ``/``: the organization's runs, and what was asked of it last."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice

from airflow_provider_tallyfy.sandbox.models import Run
from airflow_provider_tallyfy.sandbox.organization import Organization
from airflow_provider_tallyfy.sandbox.pages.fragments import (
    STATES,
    badge,
    caller,
    doer,
    happened,
    person,
    progress,
    short,
    since,
    started_at,
    tag_list,
    when,
)
from airflow_provider_tallyfy.sandbox.pages.markup import Html, el, join, name, row, table
from airflow_provider_tallyfy.sandbox.pages.query import PAGE_SIZE, Filters, Selection
from airflow_provider_tallyfy.sandbox.request_log import RequestRecord

LATEST = 12
_HEADS = ("Run", "State", "Owner", "Tags", "Age", "Last change")


def run_address(organization: Organization, run_id: str) -> str:
    """Where a run's page is: where the link from an Airflow task leads."""
    return f"/{organization.id}/processes/{run_id}"


def search_form(organization: Organization, filters: Filters) -> Html:
    """The filters, as a form that works without a script."""
    members = sorted((member.full_name or member.email, str(member.id)) for member in organization.members.values())
    templates = sorted((template.title, template.id) for template in organization.templates.values())
    tags = sorted((tag.title, tag.id) for tag in organization.tags.values())
    states = [("live (all but archived)", "live"), *((state, state) for state in STATES)]
    text = el("input", id="text", name="text", type="search", value=filters.text, placeholder="Name or id")
    return el(
        "form",
        el("p", el("label", "Text", for_="text"), text),
        _choice("State", "state", states, filters.state),
        _choice("Template", "template", templates, filters.template),
        _choice("Owner", "owner", members, filters.owner),
        _choice("Tag", "tag", [("no tag at all", "none"), *tags], filters.tag),
        el("p", el("button", "Show", type="submit"), el("a", "Show all", href="/") if filters != Filters() else None),
        action="/",
        method="get",
        role="search",
        aria_label="Filter the runs",
        class_="filters",
    )


def _choice(label: str, field: str, options: Iterable[tuple[str, str]], chosen: str) -> Html:
    items = [el("option", "any", value="")]
    items += [el("option", text, value=value, selected=value == chosen) for text, value in options]
    return el("p", el("label", label, for_=field), el("select", *items, id=field, name=field))


def changing_part(
    organization: Organization, records: Sequence[RequestRecord], filters: Filters, selection: Selection
) -> Html:
    """Everything that a DAG at work may change."""
    now = time.time()
    counts = selection.states
    tiles = [("all", "", counts.total())] + [(state, state, counts[state]) for state in STATES if counts[state]]
    listed = [
        el(
            "li",
            el(
                "a",
                el("b", number),
                f" {label}",
                href=filters.address(state=state),
                class_=label,
                aria_current="true" if filters.state == state else None,
            ),
        )
        for label, state, number in tiles
    ]
    return join(
        [
            el("h2", "Runs by state", class_="unseen"),
            el("ul", *listed, class_="tiles"),
            el(
                "div",
                el("section", _runs(organization, filters, selection, now), aria_labelledby="runs"),
                el("section", _requests(organization, records, now), aria_labelledby="requests", class_="requests"),
                class_="columns",
            ),
        ]
    )


def _runs(organization: Organization, filters: Filters, selection: Selection, now: float) -> Html:
    if not selection.total:
        empty = "No run fits these filters." if organization.runs else "There are no runs yet."
        return join([el("h2", "Runs", id="runs"), el("p", empty, class_="empty")])
    first = (selection.page - 1) * PAGE_SIZE + 1
    last = first + len(selection.runs) - 1
    shown = f"{first} to {last} of {selection.total}, changed last first"
    return join(
        [
            el("h2", "Runs ", el("small", shown), id="runs"),
            table("Runs, changed last first", _HEADS, (_run(organization, run, now) for run in selection.runs)),
            _pager(filters, selection),
        ]
    )


def _run(organization: Organization, run: Run, now: float) -> Html:
    link = el("a", name(run.name), href=run_address(organization, run.id), id=f"run-{run.id}")
    events = organization.events.get(run.id)
    # Somebody may have worked on it since, which leaves no entry.
    told = None
    if events and events[-1].created_at >= run.last_updated - 1:
        told = join([happened(events[-1]), " by ", doer(organization, events[-1])])
    values = (
        join([link, el("small", name(run.template.title), class_="under")]),
        join([badge(run), progress(organization, run)]),
        person(organization, run.owner_id),
        tag_list(organization, run),
        since(run.created_at, now),
        join([when(run.last_updated, now), el("small", told, class_="under") if told else None]),
    )
    return row(_HEADS, values, data_run=run.id, data_mark=f"{run.last_updated:.6f}")


def _pager(filters: Filters, selection: Selection) -> Html | None:
    if selection.pages == 1:
        return None
    page, pages = selection.page, selection.pages
    before = el("a", "Previous", href=filters.address(page - 1), rel="prev") if page > 1 else None
    after = el("a", "Next", href=filters.address(page + 1), rel="next") if page < pages else None
    return el("nav", before, el("span", f"Page {page} of {pages}"), after, class_="pager", aria_label="Pages of runs")


def _requests(organization: Organization, records: Sequence[RequestRecord], now: float) -> Html:
    items = []
    for record in islice(reversed(records), LATEST):
        run_id = record.route.split("/")[2] if record.route.startswith("/runs/") else ""
        what = join([el("b", record.method), f" {short(record.route)[:80]}"])
        if run_id in organization.runs:
            what = el("a", what, href=run_address(organization, run_id), title=name_of(organization, run_id))
        under = join(
            [answered(record), when(started_at(record), now), caller(organization, authorization(record))],
            ", ",
        )
        items.append(el("li", what, el("small", under, class_="under")))
    head = el("h2", "Requests ", el("small", f"{len(records)} so far, latest first"), id="requests")
    return join([head, el("ol", *items) if items else el("p", "Nobody has asked for anything yet.", class_="empty")])


def name_of(organization: Organization, run_id: str) -> str:
    """A run's name, where only text fits."""
    return organization.runs[run_id].name


def authorization(record: RequestRecord) -> str | None:
    """The header that says who asks."""
    return record.headers.get("Authorization")


def answered(record: RequestRecord) -> Html:
    """What became of a request: its status, and the fault that it met."""
    if record.status is None:
        text = "no answer" if record.answered_at is not None else "under way"
    else:
        text = str(record.status)
    good = record.status is not None and record.status < 400
    fault = f" ({record.fault})" if record.fault else ""
    return el("span", text + fault, class_="good" if good and not fault else "bad")
