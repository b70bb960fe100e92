"""What nobody outside Tallyfy knows for certain about its API, each unknown as one switch.

A client that is tested in one position of a switch only works by luck in the other. The defaults are what the
published pages and the measurements of others make most likely.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Behaviour:
    """How the sandbox answers where Tallyfy's documentation is silent or contradicts itself.

    :param get_archived: ``GET /runs/{id}`` of an archived run: ``"200"`` with ``archived_at`` set, or ``"404"`` as a
        soft-delete scope would give.
    :param second_archive: ``DELETE /runs/{id}`` of a run that is archived already.
    :param activate_live: ``PUT /runs/{id}/activate`` of a run that is not archived. The older page of the endpoint
        lists 400, 404 and 403; the newer one only 404 and 403; others call it idempotent.
    :param archived_status: ``status`` of an archived run in single objects: rewritten to ``"archived"`` or the
        ``"original"`` one, as "retains whatever value it had before archiving" suggests.
    :param list_archived_status: the same in rows of ``GET /runs?archived=...``; ``"same"`` follows ``archived_status``.
    :param archive_body: body of a successful archive: the run ("usually", says the page), ``"empty"`` (200 and no
        bytes), or ``"204"``.
    :param activate_body: the same for activate.
    :param put_tags: ``tags`` in ``PUT /runs/{id}``: ``"replace"`` as the Update process page says, or ``"ignore"``,
        since the server stores validated fields only and newer pages do not list it.
    :param put_folders: the same for ``folders``.
    :param put_archived: ``PUT /runs/{id}`` of an archived run: 422 "Cannot update archived processes." or 404.
    :param put_without_members: ``PUT /runs/{id}`` without ``users`` / ``groups``: ``"empties"`` them (measured on
        production 2026-07-21) or ``"keeps"`` them, as documented.
    :param update_echo: whether the answer to ``PUT /runs/{id}`` carries ``tags`` and ``folders`` as lists of ids:
        those that were ``"sent"`` and are updatable, ``"always"``, or ``"never"``.
    :param prerun_list: a non-empty list as ``prerun``: ``"422"`` (13 of 13 in 90 days of production traffic) or
        ``"accept"`` (the Update process page writes "array").
    :param prerun_empty: kick-off answers of a run that has none: ``{}`` or PHP's ``[]``.
    :param validation_status: status of a refused field: 422, or 400 as the older Update page lists beside it.
    :param delete_live: ``DELETE /runs/{id}/delete`` of a run that is not archived.
    :param launch_tasks_map: a partial ``tasks`` object at launch: ``"truncates"`` the process to the named steps
        (measured on production 2026-09-11) or ``"overrides"`` them, as documented.
    :param guests_of_closed_steps: a guest who is named at launch for a step with ``allow_guest_owners: false``:
        ``"accepted"`` (others read in the server's source that nothing checks it there) or ``"422"``.
    :param file_as_text: a bare text as the answer to a file field: 422, or the 500 of before 2026-07-23.
    :param undecided: ``is_approved`` of a task about which nobody has decided: ``null``, or ``false`` as on the page
        of the endpoint.
    :param tasks_of_archived: ``GET /runs/{id}/tasks`` of an archived run.
    :param complete_twice: completing a completed task: ``"200"`` (and the events fire again) or ``"422"``.
    :param status_archived_filter: ``GET /runs?status=archived``: ``"empty"`` (archived rows stay excluded) or
        ``"honoured"``.
    :param archived_filter: ``GET /runs?archived=only``: ``"honoured"``, or ``"ignored"``, so that live rows come too.
    :param per_page_over_100: ``per_page`` above 100: ``"clamp"`` to 100, ``"422"``, or ``"allow"``.
    :param without_pagination: ``without_pagination=true``: ``"plain"`` (every row, no meta) or ``"ignored"`` (page 1
        with meta, as on some of the vendor's routes).
    :param pagination_links: ``meta.pagination.links``: an ``"object"`` with the present keys only (PHP's ``[]`` when
        there is none), an object with ``"nulls"``, ``"null"``, or ``"absent"``.
    :param default_order: rows without ``sort``.
    :param progress: ``progress`` of a run: an object, a bare number of percent, or ``{}``.
    :param timestamps: ending of UTC timestamps; either way they resolve seconds.
    :param owner_id_type: type of ``owner_id`` in answers.
    :param users_shape: ``users`` of a run: ``[7]``, ``[{"id": 7, ...}]`` or ``{"data": [{"id": 7, ...}]}``.
    :param get_with_tags_shape: ``with=tags``: ``{"data": [...]}`` or a plain list; associations either way.
    :param with_folders_shape: ``with=folders``: relation rows (integer ``id``, ``folder_id``), folders with
        ``folder_object_id``, folders with a ``pivot``, or ``"plain"`` folders, whose relation numbers only
        ``GET /folders/{id}`` tells. No page shows it.
    :param run_state: whether a run says its state: ``"hidden"`` leaves ``archived_at`` and ``status`` out.
    :param unauthenticated_body: 401 for a bad token: Tallyfy's ``{"error": true, "message": ...}`` or Laravel's
        ``{"message": "Unauthenticated."}``.
    :param missing_client_header: request without ``X-Tallyfy-Client``: 401 or "endpoint not found".
    :param wrong_accept: ``Accept`` without ``application/json``: ``"401"``, or served with errors as HTML (measured
        on production 2026-10-22).
    :param foreign_organization: an organization the token's member does not belong to.
    :param burst_429_body: body of a 429 of the sandbox's own ``rate_limit``.
    :param burst_429_retry_after: whether that 429 carries ``Retry-After``.
    :param feed: ``GET /activity-feeds``: every row that the asking member may see (``"rows"``), ``"empty"``, or
        ``"forbidden"`` (403).
    :param feed_run_rows: whether a run that becomes complete, or is reopened, gets a row of its own beside that of
        the task. No page says so.
    :param feed_ids: whether ids of rows grow with time: ``"ascending"`` as one would think, or ``"unordered"``, as
        the documentation leaves open.
    :param feed_lag: seconds after which a row appears in the feed.
    :param feed_missing_every: every so many rows, one never appears; 0 for none.
    :param feed_missing_verbs: verbs of which no row appears, e.g. ``("archived",)``.
    :param ignored_parameters: parameters of ``GET /runs`` that the server does not know, e.g. ``("q", "tag")``.
    :param read_lag: seconds for which reads still show a run as it was before its last change (a read replica).
    """

    get_archived: Literal["200", "404"] = "200"
    second_archive: Literal["404", "200"] = "404"
    activate_live: Literal["400", "404", "200"] = "400"
    archived_status: Literal["archived", "original"] = "archived"
    list_archived_status: Literal["same", "archived", "original"] = "same"
    archive_body: Literal["object", "empty", "204"] = "object"
    activate_body: Literal["object", "empty", "204"] = "object"
    put_tags: Literal["replace", "ignore"] = "replace"
    put_folders: Literal["replace", "ignore"] = "replace"
    put_archived: Literal["422", "404"] = "422"
    put_without_members: Literal["empties", "keeps"] = "empties"
    update_echo: Literal["sent", "always", "never"] = "sent"
    prerun_list: Literal["422", "accept"] = "422"
    prerun_empty: Literal["object", "list"] = "object"
    validation_status: Literal["422", "400"] = "422"
    delete_live: Literal["422", "404"] = "422"
    launch_tasks_map: Literal["truncates", "overrides"] = "truncates"
    guests_of_closed_steps: Literal["accepted", "422"] = "accepted"
    file_as_text: Literal["422", "500"] = "422"
    undecided: Literal["null", "false"] = "null"
    tasks_of_archived: Literal["empty", "404", "tasks"] = "empty"
    complete_twice: Literal["200", "422"] = "200"
    status_archived_filter: Literal["empty", "honoured"] = "empty"
    archived_filter: Literal["honoured", "ignored"] = "honoured"
    per_page_over_100: Literal["clamp", "422", "allow"] = "clamp"
    without_pagination: Literal["plain", "ignored"] = "plain"
    pagination_links: Literal["object", "nulls", "null", "absent"] = "object"
    default_order: Literal["oldest_first", "newest_first"] = "oldest_first"
    progress: Literal["object", "number", "empty"] = "object"
    timestamps: Literal[".000Z", "Z"] = ".000Z"
    owner_id_type: Literal["int", "str"] = "int"
    users_shape: Literal["ints", "objects", "wrapped"] = "ints"
    get_with_tags_shape: Literal["wrapped", "list"] = "wrapped"
    with_folders_shape: Literal["relations", "folders", "pivot", "plain"] = "relations"
    run_state: Literal["shown", "hidden"] = "shown"
    unauthenticated_body: Literal["error", "laravel"] = "error"
    missing_client_header: Literal["401", "404"] = "401"
    wrong_accept: Literal["401", "html_errors"] = "401"
    foreign_organization: Literal["403", "404"] = "403"
    burst_429_body: Literal["json", "html"] = "json"
    burst_429_retry_after: bool = True
    feed: Literal["rows", "empty", "forbidden"] = "rows"
    feed_run_rows: Literal["absent", "written"] = "absent"
    feed_ids: Literal["ascending", "unordered"] = "ascending"
    feed_lag: float = 0.0
    feed_missing_every: int = 0
    feed_missing_verbs: tuple[str, ...] = ()
    ignored_parameters: tuple[str, ...] = ()
    read_lag: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a position that a switch does not have: a typo would silently test the default."""
        for switch in ("ignored_parameters", "feed_missing_verbs"):
            names: Any = getattr(self, switch)
            if isinstance(names, str):
                raise ValueError(f"Behaviour.{switch} takes a tuple of names, not a text")
            # Made from JSON it is a list; as a tuple nobody can change it.
            object.__setattr__(self, switch, tuple(names))
        for name, positions in self.positions().items():
            if (value := getattr(self, name)) not in positions:
                raise ValueError(f"Behaviour.{name} is {value!r}; it takes one of {list(positions)}")

    @classmethod
    def positions(cls) -> dict[str, tuple[Any, ...]]:
        """Every switch with the positions it has, for tests that go through all of them."""
        hints = typing.get_type_hints(cls)
        found: dict[str, tuple[Any, ...]] = {}
        for field in dataclasses.fields(cls):
            if hints[field.name] is bool:
                found[field.name] = (True, False)
            elif typing.get_origin(hints[field.name]) is Literal:
                found[field.name] = typing.get_args(hints[field.name])
        return found
