"""Arguments for public methods, by parameter name: plausible ones and hostile ones.

A parameter that is in no table gets only hostile values, so a new method is tested without a change here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.runs.launch_key import TaskIdentity
from airflow_provider_tallyfy.sandbox import Sandbox

UNKNOWN_ID = "0123456789abcdef0123456789abcdef"


@dataclass
class World:
    """What exists before a call: an organization, and files.

    :param url: address of the API for the call.
    :param folder: where files may be written.
    :param report: lines of the report of a bulk change.
    :param summary: what a bulk task left in its XCom.
    """

    sandbox: Sandbox
    url: str
    folder: Path
    report: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    hook: Any = None

    def __post_init__(self) -> None:
        sandbox = self.sandbox
        self.member = sandbox.add_member("ann@example.com")
        self.group = sandbox.add_group("Finance", [self.member])
        self.tag, self.other_tag = sandbox.add_tag("Urgent"), sandbox.add_tag("Sales")
        self.run_folder = sandbox.add_folder("Audit")
        self.kickoff = "a" * 32
        self.template = sandbox.add_template(
            "Invoice",
            steps=({"title": "Check", "fields": ["Note"]}, {"title": "Approve", "task_type": "approval"}, "Pay"),
            kickoff_fields=({"id": self.kickoff, "label": "Amount"},),
        )
        self.live = sandbox.add_run(
            "Invoice 7",
            template=self.template,
            owner_id=self.member,
            users=[self.member],
            groups=[self.group],
            tags=[self.tag],
            folders=[self.run_folder],
            prerun={self.kickoff: "100"},
        )
        self.plain = sandbox.add_run("Invoice 8", template=self.template)
        self.archived = sandbox.add_run("Invoice 9", template=self.template, archived=True)

    def task(self, number: int) -> str:
        """The id of a task of the live run."""
        return str(self.sandbox.tasks(self.live)[number]["id"])

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file and return its path."""
        path = self.folder / name
        path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        return str(path)

    def row(self, run_id: str, **more: Any) -> dict[str, Any]:
        """Return a row as a search returns it."""
        run = self.sandbox.run(run_id) or {}
        return {"id": run_id, "name": run.get("name"), "last_updated": run.get("last_updated"), **more}


@dataclass(frozen=True)
class Value:
    """An argument. Created for each call, because some can be used only once and some depend on the organization."""

    label: str
    make: Callable[[World], Any]

    def __repr__(self) -> str:
        return self.label


def _values(**labelled: Callable[[World], Any]) -> list[Value]:
    return [Value(label, make) for label, make in labelled.items()]


def _literal(value: Any) -> Value:
    return Value(repr(value), lambda world: value)


def _literals(*values: Any) -> list[Value]:
    return [_literal(value) for value in values]


class Spiteful:
    """An object that raises an error whatever is done with it."""

    def _refuse(self, *args: object) -> Any:
        raise RuntimeError("an object that can't be looked at")

    __repr__ = __str__ = __eq__ = __bool__ = __iter__ = __len__ = __int__ = __float__ = __index__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # as for a list: it can't be put into a set


class Text(str):
    """A subclass of ``str``."""


def _cyclic(world: World) -> Any:
    ring: list[Any] = ["a"]
    ring.append(ring)
    return ring


def _deep(world: World) -> Any:
    value: Any = []
    for _ in range(5000):
        value = [value]
    return value


def _own_holder(world: World) -> Any:
    holder: dict[str, Any] = {}
    holder["a"] = holder
    return holder


def _failing(world: World) -> Any:
    yield world.live
    raise LookupError("a generator that fails")


HOSTILE: list[Value] = [
    *_literals(
        None, True, False, 0, 1, -1, 2**63, 1.5, math.nan, math.inf, -math.inf, "", " ", "None", "null", "true", "1",
        "²", "٣", "0x10", "1_000", "1e400", "\ud800", "a\ud800b", "\x00", "a\r\nb", "\x1b[31m", "../..", ".", "a/b",
        "?", "#", "%2e%2e", "%", "{{ x }}", "💣", "\u202e", "P30D", "PT1e400S", "P99999999999999Y", "-P1D",
        "2026-03-01", "0000-00-00", b"", b"bytes", b"\xff", (), [], {}, [None], [""], [[]], [{}], {"id": None},
        {"id": []}, {"": ""}, {None: None}, {1: 2}, {(): []}, {"nmae": 1}, {"a": {"b": {"c": math.nan}}},
        [1, "1", None], Decimal("NaN"), Decimal("1.5"), Decimal("1e9999"), 1j, timedelta.max, timedelta.min,
        timedelta(0), date(2026, 3, 1), datetime.min, datetime.max.replace(tzinfo=timezone.utc), ..., NotImplemented,
        int, range(3), frozenset({1}), {"x"}, bytearray(b"x"),
    ),
    *_literals(UNKNOWN_ID),
    Value("10**400", lambda world: 10**400),
    Value("'9' * 5000", lambda world: "9" * 5000),
    Value("10**5000", lambda world: 10**5000),
    Value("'x' * 1_000_000", lambda world: "x" * 1_000_000),
    Value("a cyclic list", _cyclic),
    Value("a list 5,000 deep", _deep),
    Value("an object that can't be looked at", lambda world: Spiteful()),
    Value("a text of another class", lambda world: Text(world.live)),
    Value("an object", lambda world: SimpleNamespace(a=1)),
    Value("an exception", lambda world: ValueError("x")),
    Value("a lambda", lambda world: lambda: None),
    Value("a generator that fails", _failing),
    Value("a mapping that holds itself", _own_holder),
    Value("a file", lambda world: world.folder),
    Value("a used generator", lambda world: iter(())),
]  # fmt: skip

_ids = _values(
    live=lambda w: w.live,
    plain=lambda w: w.plain,
    archived=lambda w: w.archived,
    unknown=lambda w: UNKNOWN_ID,
)
_flags = _literals(True, False, None, "true", "no", "")
_tags = _values(
    one_title=lambda w: ["Sales"],
    ids=lambda w: [w.tag, w.other_tag],
    unknown_title=lambda w: ["Nothing has this"],
    none=lambda w: [],
    text=lambda w: "Urgent",
)
_users = _values(ids=lambda w: [w.member], texts=lambda w: [str(w.member)], mail=lambda w: ["ann@example.com"])
_groups = _values(ids=lambda w: [w.group], titles=lambda w: ["Finance"], none=lambda w: [])
_moments = _literals(timedelta(days=30), "P30D", "2026-01-01", datetime(2026, 1, 1, tzinfo=timezone.utc))
_run_lists = _values(
    live=lambda w: [w.live],
    all=lambda w: [w.live, w.plain, w.archived],
    rows=lambda w: [w.row(w.live), w.row(w.plain)],
    archived=lambda w: [w.archived],
    stale_rows=lambda w: [w.row(w.live, last_updated="2020-01-01T00:00:00Z"), UNKNOWN_ID],
    odd_rows=lambda w: [w.row(w.live, last_updated=[math.nan]), w.row(w.plain, last_updated="\ud800", name=[1])],
    generator=lambda w: (run_id for run_id in (w.live, w.archived)),
    json=lambda w: json.dumps([w.live]),
)
_titles = _values(title=lambda w: "Invoice", id=lambda w: w.template, near=lambda w: "Invoise")
_paths = _values(
    new=lambda w: str(w.folder / "new" / "report.jsonl"),
    report=lambda w: w.file("report.jsonl", w.report),
    half=lambda w: w.file("half.jsonl", w.report[: len(w.report) // 2 + 20]),
    first_line_alone=lambda w: w.file("first.jsonl", w.report.partition("\n")[0] + "\n"),
    no_report=lambda w: w.file("no.jsonl", '{"a": 1}\n[]\n"x"\n'),
    odd=lambda w: w.file("odd.jsonl", w.report.replace('"changed"', "[NaN]").replace('"id"', '"id": [], "id"')),
    deep=lambda w: w.file("deep.jsonl", w.report + "[" * 100_000 + "\n"),
    digits=lambda w: w.file("digits.jsonl", w.report + "9" * 5000 + "\n"),
    surrogates=lambda w: w.file("surrogates.jsonl", w.report.replace("Invoice", "\\ud800")),
    no_utf8=lambda w: w.file("bytes.jsonl", b"\xff\xfe\x00"),
    utf16=lambda w: w.file("utf16.jsonl", w.report.encode("utf-16")),
    empty=lambda w: w.file("empty.jsonl", ""),
    folder=lambda w: str(w.folder),
    below_a_file=lambda w: w.file("file", "") + "/report.jsonl",
    missing=lambda w: str(w.folder / "missing.jsonl"),
    object_storage=lambda w: "file://" + str(w.folder / "object.jsonl"),
    not_installed=lambda w: "s3://bucket/report.jsonl",
    no_such_scheme=lambda w: "nosuch://bucket/report.jsonl",
    no_bucket=lambda w: "s3://",
    odd_scheme=lambda w: "://",
    long_name=lambda w: str(w.folder / ("x" * 300)),
    zero=lambda w: str(w.folder / "a\x00b"),
    surrogate=lambda w: str(w.folder / "\ud800"),
)

#: Parameter names to values that are plausible there, some of them slightly wrong.
PLAUSIBLE: dict[str, list[Value]] = {
    "run_id": _ids,
    "run_ids": _run_lists,
    "tag_id": _values(has=lambda w: w.tag, lacks=lambda w: w.other_tag, title=lambda w: "Sales"),
    "folder_id": _values(is_in=lambda w: w.run_folder, unknown=lambda w: UNKNOWN_ID),
    "task": _values(
        id=lambda w: w.task(0),
        approval=lambda w: w.task(1),
        title=lambda w: "Check",
        near=lambda w: "Chek",
        first=lambda w: TaskIdentity("d", "r", "t"),
        retry=lambda w: TaskIdentity("d", "r", "t", try_number=2),
    ),
    "task_id": _values(first=lambda w: w.task(0), run=lambda w: w.live, unknown=lambda w: UNKNOWN_ID),
    "answers": _literals(
        {"Note": "As agreed"},
        {"Note": 7},
        {},
        {"Nothing": 1},
        {"Amount": "7"},
        {"Amuont": "7"},
        {"Amount": "7", "amount": "8"},
        None,
    ),
    "approve": _literals(None, None, True, False),
    "comment": _literals("Done by a DAG", "", None),
    "comment_if_already": _flags,
    "content": _literals("As agreed", "<b>As</b> agreed"),
    "template_id": _values(invoice=lambda w: w.template, unknown=lambda w: UNKNOWN_ID),
    "entity_type": _literals("run", "task", None),
    "entity_id": _ids,
    "verb": _literals("completed", "archived"),
    "source": _literals("Member", "Guest"),
    "actor_id": _values(number=lambda w: w.member, text=lambda w: str(w.member)),
    "created_after": _moments,
    "created_before": _moments,
    "search": _literals("Invoice", "xx"),
    "organization_id": [*_values(own=lambda w: w.sandbox.organization_id), *_literals(UNKNOWN_ID)],
    "include": _literals(["tags"], ["tags", "folders", "tasks"], "tags", ()),
    "q": _literals("Invoice", "x"),
    "status": _literals("active", "archived", "complete", "all"),
    "archived": _literals(True, False, "only", None),
    "owners": _users,
    "owner": [*_users, *_literals("ann@example.com")],
    "owner_id": _values(id=lambda w: w.member, text=lambda w: str(w.member)),
    "checklist_id": _titles,
    "template": _titles,
    "folder": _values(id=lambda w: w.run_folder, title=lambda w: "Audit"),
    "tag": _values(id=lambda w: w.tag, title=lambda w: "Urgent", unknown=lambda w: "Nothing has this"),
    "tag_ids": _tags,
    "tags": _tags,
    "add_tags": _tags,
    "remove_tags": _tags,
    "exclude_tags": _tags,
    "folders": _values(ids=lambda w: [w.run_folder], none=lambda w: [], unknown=lambda w: [UNKNOWN_ID]),
    "untagged": _flags,
    "starred": _flags,
    "groups": _groups,
    "users": _users,
    "type": _literals("procedure", "form"),
    "task_status": _literals("all", "completed"),
    "form_fields_values": _flags,
    "sort": _literals("created_at", "-created_at", "name"),
    "order": _literals("created_at", "-name", "last_updated", "-completed_at"),
    "per_page": _literals(1, 2, 100),
    "stale_after": _moments,
    "stale_by": _literals("last_updated", "created_at", "completed_at"),
    "archived_after": _moments,
    "archived_before": _moments,
    "name_pattern": _literals("Invoice*", "*", "[", "[!"),
    "limit": _literals(1, "2", 100),
    "fields": _literals(["name"], ["name", "tags", "owner_id"], ["nothing"]),
    "doing": _literals("archive", "activate", "update", "remove"),
    "changes": _values(
        name=lambda w: {"name": "New"},
        tags=lambda w: {"add_tags": ["Sales"], "users": [w.member]},
        new_tags=lambda w: {"tags": ["Brand new"], "create_missing_tags": True},
        extra=lambda w: {"extra_fields": {"due_date": "2026-03-01"}},
        unknown=lambda w: {"nmae": "x"},
        deep=lambda w: {"prerun": {w.kickoff: {"a": [[math.nan]]}}},
    ),
    "max_runs": _literals(1, 10, "10"),
    "concurrency": _literals(1, 2, 8),
    "skip_modified": _flags,
    "look_first": _flags,
    "dry_run": _flags,
    "restore": _flags,
    "max_failures": _literals(1, "2"),
    "progress_every": _literals(0.0, 5.0),
    "on_progress": _values(nothing=lambda w: lambda report: None),
    "extra_fields": _literals({"due_date": "2026-03-01T00:00:00Z"}, {"increment_id": 7}, {"name": "x"}),
    "create_missing_tags": _flags,
    "name": _literals("New", "20260301", "x" * 600),
    "summary": _literals("As agreed", ""),
    "prerun": _values(
        answer=lambda w: {w.kickoff: "7"}, rows=lambda w: [{w.kickoff: "7"}], label=lambda w: {"Amount": 7}
    ),
    "assignees": _literals({"Review": ["ann@example.com", "x@example.org"]}, {"review": [7]}, {"Reviw": []}, {}),
    "deadlines": _literals({"Review": "P3D"}, {"Review": timedelta(days=3)}, {"Confirm": "2020-01-01"}, {}),
    "launch_key": _literals("4711", "x" * 2000, None),
    "if_launched": _literals("adopt", "launch_again", "fail"),
    "run_owner": [*_users, *_literals("ann@example.com")],
    "on_launched": _values(nothing=lambda w: lambda run: None),
    "is_public": _flags,
    "publicly_hidden_fields": _literals(["comments"], []),
    "confirm": _literals(True, True, True, False),
    "method": _literals("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "get", "BREW"),
    "path": _values(runs=lambda w: f"/organizations/{w.sandbox.organization_id}/runs", me=lambda w: "/me"),
    "endpoint": _values(runs=lambda w: f"/organizations/{w.sandbox.organization_id}/runs", me=lambda w: "me"),
    "params": _literals({"page": 1}, {"q": None}, {"tags": ["a", "b"]}),
    "json": _literals({"title": "x"}, [1], {"a": math.nan}),
    "data": _literals(None, {"q": "x"}, "text", b"bytes"),
    "headers": _literals(None, {"X-Mine": "1"}, {"X-Mine": "ä"}, {"X-Mine": "a\r\nb"}),
    "extra_options": _literals(None, {"timeout": 0.3}, {"check_response": False}, {"timeout": math.nan}),
    "timeout": _literals(0.3, None),
    "max_retries": _literals(0, 1, None),
    "tallyfy_conn_id": _literals("tallyfy_default", "missing"),
    "if_already": _literals("succeed", "skip", "fail"),
    "from_report": _paths,
    "report_path": _paths,
    "bulk_task_id": _literals("bulk"),
    # Only HttpHook itself, or code that overrides its methods, passes these.
    "session": _values(own=lambda w: w.hook.get_conn(), plain=lambda w: requests.Session()),
    "prepped_request": _values(
        me=lambda w: requests.Request("GET", f"{w.url}/me").prepare(),
        elsewhere=lambda w: requests.Request("GET", "http://127.0.0.1:1/me").prepare(),
    ),
    "response": _values(
        fine=lambda w: _response(w, 200), refused=lambda w: _response(w, 404), odd=lambda w: _response(w, 999)
    ),
}

#: Parameters for objects of ``requests`` or for file names. Random values would test requests, or write anywhere.
TAME = frozenset({"session", "prepped_request", "response", "from_report", "report_path"})


def _response(world: World, status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = b'{"errors": {"a": [[1]]}}'
    response.request = requests.Request("GET", f"{world.url}/me").prepare()
    return response


def _wrapped(inner: Value, how: str) -> Value:
    wrappers: dict[str, Callable[[Any], Any]] = {
        "[{}]": lambda value: [value],
        "({}, {})": lambda value: (value, value),
        "{{'id': {}}}": lambda value: {"id": value},
        "[{{'id': live, 'last_updated': {}}}]": lambda value: [{"id": UNKNOWN_ID, "last_updated": value}],
        "[{{'id': {}}}]": lambda value: [{"id": value}],
        "{{'name': {}}}": lambda value: {"name": value},
        "{{{}: 1}}": lambda value: {value: 1} if isinstance(value, Hashable) else {"x": value},
    }
    return Value(how.format(inner, inner), lambda world: wrappers[how](inner.make(world)))


_WRAPPERS = (
    "[{}]",
    "({}, {})",
    "{{'id': {}}}",
    "[{{'id': live, 'last_updated': {}}}]",
    "[{{'id': {}}}]",
    "{{'name': {}}}",
    "{{{}: 1}}",
)
_hostile = st.sampled_from(HOSTILE)
_random = (st.text(max_size=8) | st.integers() | st.floats() | st.binary(max_size=4) | st.dates()).map(_literal)
hostile_values: st.SearchStrategy[Value] = st.one_of(
    _hostile,
    _hostile,
    st.builds(
        _wrapped,
        st.sampled_from([value for value in HOSTILE if "generator" not in value.label]),
        st.sampled_from(_WRAPPERS),
    ),
    _random,
)


def plausible_values(name: str) -> st.SearchStrategy[Value]:
    """Return plausible values for a parameter name; hostile ones if the name is unknown."""
    return st.sampled_from(PLAUSIBLE[name]) if name in PLAUSIBLE else hostile_values


def hostile_values_for(name: str) -> st.SearchStrategy[Value]:
    """Return hostile values for a parameter name."""
    return st.sampled_from(PLAUSIBLE[name]) if name in TAME else hostile_values
