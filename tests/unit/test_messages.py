"""Paths and queries as they are sent: an id is always one path segment, and Tallyfy can decode the query."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.endpoints import custom
from airflow_provider_tallyfy.api.endpoints import labels as label_endpoints
from airflow_provider_tallyfy.api.endpoints import organization as organization_endpoints
from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Lost, Request, Response, may_have_happened
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyNotFoundError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Sandbox

ORG = "0" * 32
RUN = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

_TARGETS: list[tuple[Request, str]] = [
    (organization_endpoints.get_me(), "GET /me"),
    (organization_endpoints.get_member(ORG), f"GET /organizations/{ORG}/me"),
    (organization_endpoints.get_organization(ORG), f"GET /organizations/{ORG}"),
    (run_endpoints.get_run(ORG, RUN), f"GET /organizations/{ORG}/runs/{RUN}"),
    (run_endpoints.get_run(ORG, RUN, ["tags", "folders"]), f"GET /organizations/{ORG}/runs/{RUN}?with=tags%2Cfolders"),
    (run_endpoints.archive_run(ORG, RUN), f"DELETE /organizations/{ORG}/runs/{RUN}"),
    (run_endpoints.activate_run(ORG, RUN), f"PUT /organizations/{ORG}/runs/{RUN}/activate"),
    (run_endpoints.update_run(ORG, RUN, {"name": "x"}), f"PUT /organizations/{ORG}/runs/{RUN}"),
    (label_endpoints.attach_tag(ORG, RUN, "t1"), f"POST /organizations/{ORG}/checklists/tags"),
    (label_endpoints.detach_tag(ORG, 7), f"DELETE /organizations/{ORG}/checklists/tags/7"),
    (label_endpoints.add_to_folder(ORG, RUN, "f1"), f"POST /organizations/{ORG}/folders/add-object"),
    (label_endpoints.remove_from_folder(ORG, 7), f"DELETE /organizations/{ORG}/folders-objects/7"),
    (label_endpoints.get_folder(ORG, "f1"), f"GET /organizations/{ORG}/folders/f1"),
    (label_endpoints.list_all_tags(ORG), f"GET /organizations/{ORG}/tags?all=true&per_page=100"),
    (
        label_endpoints.list_folders(ORG),
        f"GET /organizations/{ORG}/folders?folder_type=run&with=children&per_page=100",
    ),
    (organization_endpoints.list_members(ORG), f"GET /organizations/{ORG}/users?per_page=100"),
    (organization_endpoints.list_groups(ORG), f"GET /organizations/{ORG}/groups?per_page=100"),
]


@pytest.mark.parametrize(
    ("sent", "line"), _TARGETS, ids=lambda value: value.label if isinstance(value, Request) else ""
)
def test_request_line(sent: Request, line: str) -> None:
    assert f"{sent.method} {sent.target}" == line
    assert ORG not in sent.label or len(sent.segments) == 2


_QUERIES: list[tuple[dict[str, Any], str]] = [
    ({}, "per_page=100"),
    ({"q": "ACME Corp"}, "q=ACME%20Corp&per_page=100"),
    ({"q": "a+b&c=d/é?#%"}, "q=a%2Bb%26c%3Dd%2F%C3%A9%3F%23%25&per_page=100"),
    ({"starred": True, "untagged": False}, "starred=true&untagged=false&per_page=100"),
    ({"archived": None, "folder": "f1", "sort": "-name"}, "folder=f1&sort=-name&per_page=100"),
    ({"include": ["tags", "tasks"], "form_fields_values": True}, "with=tags%2Ctasks&form_fields_values=true"),
    ({"status": "active", "per_page": 25}, "status=active&per_page=25"),
]


@pytest.mark.parametrize(("filters", "query"), _QUERIES, ids=lambda value: str(value)[:40])
def test_list_query(filters: dict[str, Any], query: str) -> None:
    request = run_endpoints.list_runs(ORG, **filters)
    assert request.target.startswith(f"/organizations/{ORG}/runs?{query}")
    assert "+" not in request.target


def test_relations_must_be_a_list() -> None:
    with pytest.raises(ArgumentError, match="include='tags' is not a list of strings"):
        run_endpoints.list_runs(ORG, include="tags")


class TestCustomPath:
    @pytest.mark.parametrize(
        ("path", "target"),
        [
            ("/organizations/o/tags", "/organizations/o/tags"),
            ("me/", "/me"),
            ("/search/a b", "/search/a%20b"),
            ("/x/a:b@c;d=e&f+g,(h)*", "/x/a%3Ab%40c%3Bd%3De%26f%2Bg%2C%28h%29%2A"),
        ],
    )
    def test_is_sent_literally(self, path: str, target: str) -> None:
        assert custom.custom("get", path).target == target

    @pytest.mark.parametrize(
        "path",
        ["", "/", None, 7, "/a//b", "/a/./b", "/a/../b", "..", "/a?b=c", "/a#b", "/a%2Fb", "/a\\b", "/a/\n", "/a\x00"],
        ids=repr,
    )
    def test_that_may_be_read_as_another_path_is_an_error(self, path: Any) -> None:
        with pytest.raises(ArgumentError, match="path="):
            custom.custom("GET", path)

    def test_parameters(self) -> None:
        params: dict[str, Any] = {"q": "a b", "all": True, "page": 2, "share": 0.5, "none": None}
        assert custom.custom("GET", "/tags", params).target == "/tags?q=a%20b&all=true&page=2&share=0.5"
        with pytest.raises(ArgumentError, match=r"params\['ids'\]=\[1, 2\] is of type list"):
            custom.custom("GET", "/tags", {"ids": [1, 2]})  # type: ignore[dict-item]

    def test_method(self) -> None:
        with pytest.raises(ArgumentError, match="method='TRACE': choose one of 'GET'"):
            custom.custom("trace", "/me")


def test_repeatable_requests_and_requests_that_may_have_been_carried_out() -> None:
    write = Request("DELETE", ("x",))
    assert [m for m in custom.METHODS if Request(m, ("x",)).repeatable] == ["GET", "PUT", "DELETE", "HEAD"]
    assert [s for s in (103, 200, 302, 404, 408, 429, 499, 500, 503) if may_have_happened(write, Response(s))] == [
        103,
        408,
        500,
        503,
    ]
    assert [sent for sent in (True, False) if may_have_happened(write, Lost("cut", "", sent=sent))] == [True]
    refused = Exchange(write, Response(404))
    assert (refused.ok, refused.status, refused.maybe_done) == (False, 404, False)
    assert Exchange(refused.request, refused.reply, attempts=2, doubt=Response(502)).maybe_done


# -- ids ---------------------------------------------------------------------------------------------------------------

_nasty = st.sampled_from(["/", "..", ".", "%2F", "%2e", "?", "#", "\\", "/delete", "/activate", ";", "@", "\r\n", " "])
_near_ids = st.lists(st.one_of(_nasty, st.text("0123456789abcdef-_", max_size=8)), max_size=5).map("".join)
anything = st.one_of(st.text(max_size=40), _near_ids, st.characters().map(lambda c: f"{RUN[:5]}{c}{RUN[5:]}"))

_WITH_RUN: dict[str, Callable[[str], Request]] = {
    "get": lambda run: run_endpoints.get_run(ORG, run, ["tags"]),
    "archive": lambda run: run_endpoints.archive_run(ORG, run),
    "activate": lambda run: run_endpoints.activate_run(ORG, run),
    "update": lambda run: run_endpoints.update_run(ORG, run, {"name": "x"}),
    "organization": lambda run: organization_endpoints.get_organization(run),
    "folder": lambda run: label_endpoints.get_folder(ORG, run),
}


@given(anything)
@example(f"{RUN}/delete")
@example("..")
@example("%2e%2e")
def test_id_is_one_path_segment_or_an_error(text: str) -> None:
    for make in _WITH_RUN.values():
        try:
            request = make(text)
        except ArgumentError:
            continue
        shape = make("ID").path.replace("ID", "[^/]+")
        assert re.fullmatch(shape, request.path)
        assert text in request.path.split("/")
        assert unquote(request.path) == request.path
        assert not request.path.endswith("/delete")


@pytest.fixture(scope="module")
def organization() -> Iterator[tuple[Sandbox, TallyfyHook]]:
    patch = pytest.MonkeyPatch()
    with Sandbox(seed=1) as sandbox:
        patch.setenv("AIRFLOW_CONN_TALLYFY_WIRE", sandbox.connection_json())
        yield sandbox, TallyfyHook("tallyfy_wire", max_retries=0)
    patch.undo()


_ACTS: dict[str, tuple[Callable[[TallyfyHook, str], object], str]] = {
    "archive": (TallyfyHook.archive_run, r"DELETE /runs/[A-Za-z0-9_-]+"),
    "activate": (TallyfyHook.activate_run, r"PUT /runs/[A-Za-z0-9_-]+/activate"),
    "update": (lambda hook, run: hook.update_run(run, name="x"), r"PUT /runs/[A-Za-z0-9_-]+"),
    "get": (TallyfyHook.get_run, r"GET /runs/[A-Za-z0-9_-]+"),
    "tag": (lambda hook, run: hook.add_tag_to_run(run, RUN), "POST /checklists/tags"),
}
_READS = r"GET /runs/[A-Za-z0-9_-]+(\?with=\w+)?|GET /runs\?archived=only&[^/]*"


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(anything)
@example(f"{RUN}/delete")
@example(f"{RUN}/../{RUN}")
def test_no_id_reaches_a_server_as_another_path(organization: tuple[Sandbox, TallyfyHook], text: str) -> None:
    sandbox, hook = organization
    for act, line in _ACTS.values():
        sandbox.forget_requests()
        with pytest.raises((TallyfyArgumentError, TallyfyNotFoundError)) as caught:
            act(hook, text)
        if isinstance(caught.value, TallyfyArgumentError):
            assert sandbox.calls == []
        for record in sandbox.requests:
            assert re.fullmatch(f"{line}|{_READS}", record.call)
            # The raw bytes of the path, before anything has decoded or normalized them.
            assert record.path.split("/")[:4] == ["", "organizations", sandbox.organization_id, "runs"]
            assert not record.path.endswith("/delete")


def test_association_numbers_in_paths_are_whole_numbers() -> None:
    for request, bad in itertools.product(
        (label_endpoints.detach_tag, label_endpoints.remove_from_folder), ("7/../8", RUN, "", None)
    ):
        with pytest.raises((ValueError, TypeError)):
            request(ORG, bad)  # type: ignore[arg-type]


def test_bodies() -> None:
    bodies: Mapping[str, Any] = label_endpoints.attach_tag(ORG, RUN, "t1", "public").json
    assert bodies == {"subject_id": RUN, "subject_type": "Run", "tag_id": "t1", "tag_type": "public"}
    assert label_endpoints.add_to_folder(ORG, RUN, "f1").json == {
        "folder_id": "f1",
        "subject_id": RUN,
        "subject_type": "Run",
    }
    assert run_endpoints.archive_run(ORG, RUN).json is None
