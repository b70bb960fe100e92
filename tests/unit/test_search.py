"""Rows of a search: fields, flattened relations and orders; and the flow that applies the filters."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Exchange, Response
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from airflow_provider_tallyfy.api.runs.filters import FILTERS, Asked
from airflow_provider_tallyfy.api.runs.rows import (
    FIELDS,
    KNOWN_FIELDS,
    ORDERS,
    arranged,
    check_fields,
    check_order,
    in_order,
    relations_for,
    row_of,
    sort_for,
)
from airflow_provider_tallyfy.api.runs.search import FoundRuns, Search, find
from airflow_provider_tallyfy.sandbox import Sandbox
from tests.unit._flows import play_labels

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ORG = "0" * 32
A, B, C = "a" * 32, "b" * 32, "c" * 32


def page(*rows: dict[str, Any]) -> Response:
    return Response(200, {}, json.dumps({"data": rows}).encode())


class TestFields:
    def test_a_row_has_the_chosen_fields(self) -> None:
        row = row_of({"id": "1", "name": "x", "prerun": {}}, FIELDS)
        assert row == {"id": "1", "name": "x", "status": None, "last_updated": None}

    def test_all_fields_of_the_api_are_known(self, tallyfy_sandbox: Sandbox) -> None:
        run_id = tallyfy_sandbox.add_run()
        run = tallyfy_sandbox.run(run_id)
        assert run is not None
        # The sandbox's object for tests: the API does not show two of its fields.
        assert set(run) - set(KNOWN_FIELDS) == {"is_archived", "publicly_hidden_fields"}

    def test_titles_include_their_ids(self) -> None:
        assert check_fields("fields", ["name", "tags"]) == ["id", "name", "tags", "tag_ids"]
        assert check_fields("fields", ["folders", "id"]) == ["id", "folders", "folder_ids"]
        assert check_fields("fields", ["tag_ids"]) == ["id", "tag_ids"]

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            (
                ["tgas"],
                r"a run has no field 'tgas' \(did you mean 'tags'.* The fields are id, increment_id, name,.* tags,",
            ),
            (["last_update"], r"did you mean 'last_updated'"),
            (["nonsense\n"], r"a run has no field 'nonsense\\n'"),
            ("name", "fields='name' is not a list of strings"),
            ([None], r"fields\[0\]=None"),
            (None, "fields=None"),
        ],
    )
    def test_unknown_field_is_an_error(self, fields: Any, words: str) -> None:
        with pytest.raises(ArgumentError, match=words):
            check_fields("fields", fields)

    @pytest.mark.parametrize(
        ("fields", "relations"),
        [
            (FIELDS, []),
            (["tags", "tag_ids"], ["tags"]),
            (["folder_ids"], ["folders"]),
            (["next_task", "tags", "name"], ["tags", "next_task"]),
        ],
    )
    def test_relations_are_requested(self, fields: Sequence[str], relations: list[str]) -> None:
        assert relations_for(fields) == relations

    @pytest.mark.parametrize(
        ("folders", "names", "ids"),
        [
            ([], [], []),
            ({"data": []}, [], []),
            ({"data": [{"id": 9, "folder_id": A, "name": "Audit"}]}, ["Audit"], [A]),
            ([{"id": A, "name": "Audit", "folder_object_id": 9}], ["Audit"], [A]),
            ([A, B], ["Archive", B], [A, B]),
        ],
    )
    def test_tags_and_folders_are_flattened(self, folders: Any, names: list[str], ids: list[str]) -> None:
        row = row_of({"folders": folders}, ["folders", "folder_ids"], {"folders": {A: "Archive"}})
        assert row == {"folders": names, "folder_ids": ids}

    def test_other_relations_lose_their_envelope(self) -> None:
        tasks = [{"id": "t"}]
        assert row_of({"tasks": {"data": tasks}, "stages": []}, ["tasks", "stages"]) == {"tasks": tasks, "stages": []}


TAGS = page({"id": A, "title": "Keep"}, {"id": B, "title": "Sales"})


class TestFind:
    def run(self, run_id: str, **fields: Any) -> dict[str, Any]:
        return {"id": run_id, "name": f"Run {run_id}", "archived_at": None, **fields}

    def test_titles_that_rows_do_not_show_are_looked_up_once(self) -> None:
        rows = page(self.run("1", tags=[A]), self.run("2", tags=[]), self.run("3", tags=[B, A]))
        found, sent = play_labels(find(ORG, {}, NOW, fields=["tags"]), rows, TAGS)
        assert [row["tags"] for row in found] == [["Keep"], [], ["Sales", "Keep"]]
        assert [row["tag_ids"] for row in found] == [[A], [], [B, A]]
        assert sent == ["GET /runs", "GET /tags"]

    def test_ids_need_no_titles(self) -> None:
        found, sent = play_labels(find(ORG, {}, NOW, fields=["tag_ids"]), page(self.run("1", tags=[A])))
        assert (found.rows, sent) == ([{"id": "1", "tag_ids": [A]}], ["GET /runs"])

    def test_title_that_tallyfy_does_not_show_is_an_error(self) -> None:
        with pytest.raises(Rejected, match=f"the run 1 has the tag {C}, whose title Tallyfy does not show"):
            play_labels(find(ORG, {}, NOW, fields=["tags"]), page(self.run("1", tags=[C])), TAGS)

    @pytest.mark.parametrize(
        "asked",
        [
            {"filters": {"exclude_tags": ["Keep"]}},
            {"filters": {"tag": "Keep"}},
            {"filters": {"untagged": True}},
            {"filters": {"untagged": False}},
            {"filters": {"folder": A}},
            {"fields": ["tags"]},
            {"fields": ["folder_ids"]},
            {"fields": ["tasks"]},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("shown", [{}, {"tags": None, "folders": None}, {"tags": "?", "folders": [{"name": "x"}]}])
    def test_row_without_a_requested_relation_is_an_error(self, asked: dict[str, Any], shown: dict[str, Any]) -> None:
        replies = [TAGS] if "Keep" in str(asked) else []
        flow = find(ORG, asked.get("filters", {}), NOW, fields=asked.get("fields"))
        with pytest.raises(
            Rejected, match=r"GET /runs: Tallyfy returned the run 'Run 1' \(1\) without its (tag|fold|task)"
        ):
            play_labels(flow, *replies, page(self.run("1", **shown)))

    def test_excluded_ids_are_looked_up_first_because_an_unknown_one_protects_nothing(self) -> None:
        with pytest.raises(ArgumentError, match=f"exclude_tags: no tag has this title or id: '{C}'"):
            play_labels(find(ORG, {"exclude_tags": [A, C]}, NOW), TAGS)
        found, sent = play_labels(find(ORG, {"exclude_tags": [A, "sales"], "tag": "Keep"}, NOW), TAGS, page())
        assert (len(found), sent) == (0, ["GET /tags", "GET /runs"])

    @pytest.mark.parametrize("status", [403, 404])
    def test_id_is_accepted_if_the_token_may_not_look_it_up(self, status: int) -> None:
        found, sent = play_labels(find(ORG, {"tag": A}, NOW), page(), Response(status, {}, b"{}"))
        assert (len(found), sent) == (0, ["GET /runs", "GET /tags"])

    def test_failed_look_up_is_an_error(self) -> None:
        with pytest.raises(Rejected, match="GET /tags failed with 500"):
            play_labels(find(ORG, {"tag": A}, NOW), page(), Response(500, {}, b"{}"))

    def test_subfolders_are_found(self) -> None:
        inner = {"id": B, "name": "2026", "children": {"data": []}}
        folders = page({"id": A, "name": "Archive", "children": {"data": [inner]}})
        run = self.run("1", folders=[B])
        found, _ = play_labels(find(ORG, {"folder": "2026"}, NOW), folders, page(run))
        assert [row["id"] for row in found] == ["1"]


_LEAVES = (
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.datetimes(), st.timedeltas()),
    *(st.text(st.characters()), st.sampled_from(["only", "P30D", "Keep", A, "a@b", "[z-a]", "\ud800", 10**40, b"x"])),
)
ANY_VALUE = st.recursive(
    st.one_of(_LEAVES), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
)


@given(st.dictionaries(st.sampled_from([*FILTERS, "other"]), ANY_VALUE, max_size=4), ANY_VALUE, ANY_VALUE, ANY_VALUE)
@example({"q": "\ud800"}, None, None, None)
@example({"name_pattern": "[z-a]"}, None, None, None)
@example({"stale_after": timedelta.max}, None, None, None)
def test_any_arguments_are_searched_for_or_an_argument_error(
    filters: dict[str, Any], limit: Any, order: Any, fields: Any
) -> None:
    rows = [{"id": A, "title": "Keep", "name": "Keep", "tags": [], "folders": [], "email": "a@b"}]
    flow = find(ORG, filters, NOW, limit=limit, order=order, fields=fields)
    with contextlib.suppress(ArgumentError, Rejected, StopIteration):
        request = next(flow)
        while True:
            assert request.target.startswith(f"/organizations/{ORG}/")
            request = flow.send(Exchange(request, page(*rows)))


@pytest.mark.parametrize(
    "options",
    [{"per_page": 0}, {"per_page": True}, {"per_page": 10**5}, {"sort": None}, {"sort": "\ud800"}, {"include": "tags"}],
)
def test_invalid_option_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(options))):
        Search(ORG, Asked.of({}, NOW), **options)


class TestFoundRuns:
    def test_is_a_sequence_of_its_rows(self) -> None:
        found = FoundRuns(rows=[{"id": "1"}, {"id": "2"}])
        assert list(found) == found.rows
        assert (len(found), found[0], found[-1:], bool(found)) == (2, {"id": "1"}, [{"id": "2"}], True)
        assert not FoundRuns(looked_at=7)

    def test_counts_what_it_leaves_out(self) -> None:
        rows: list[dict[str, Any]] = [
            {"id": "1", "last_updated": "2026-01-01T00:00:00Z"},
            {"id": "2", "last_updated": "2026-02-28T00:00:00Z"},
            {"id": "3", "last_updated": None},
            {"id": "4", "last_updated": "2026-01-01T00:00:00Z", "archived_at": "2026-01-02T00:00:00Z"},
        ]
        found, _ = play_labels(find(ORG, {"stale_after": "P30D"}, NOW), page(*rows))
        assert [row["id"] for row in found] == ["1"]
        assert (found.looked_at, found.kept, found.non_matching, found.undated) == (4, 1, 1, 1)
        assert found.reasons == {"stale_after": 2, "archived": 1}


stamps = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(
    lambda d: d.isoformat(timespec="seconds")
)
names = st.none() | st.text(max_size=5)
run_lists = st.lists(st.fixed_dictionaries({"last_updated": stamps, "name": names, "created_at": stamps}), max_size=20)


class TestOrders:
    @given(run_lists, st.sampled_from(["last_updated", "-last_updated", "created_at", "name", "-name"]))
    def test_rows_are_sorted(self, rows: list[dict[str, Any]], order: str) -> None:
        for number, row in enumerate(rows):
            row["id"] = number
        result = arranged(rows, order)
        assert sorted(row["id"] for row in result) == list(range(len(rows)))
        assert in_order(result, order)
        dated = [row.get(order.lstrip("-")) is not None or order.endswith("name") for row in result]
        assert dated == sorted(dated, reverse=True), "rows without the timestamp come last"

    def test_equal_rows_keep_their_order(self) -> None:
        rows = [{"id": n, "last_updated": "2026-01-01T00:00:00Z"} for n in range(5)]
        assert arranged(rows, "last_updated") == arranged(rows, "-last_updated") == rows

    def test_wrong_order_is_detected(self) -> None:
        first, second = {"name": "a"}, {"name": "B"}
        assert in_order([first, second], "name")
        assert not in_order([second, first], "name")
        assert in_order([second, first], "-name")
        assert in_order([second, {"created_at": None}, first], "created_at")

    @pytest.mark.parametrize("order", ORDERS)
    def test_order_that_is_requested_from_tallyfy(self, order: str) -> None:
        assert sort_for(order) == (order if order.lstrip("-") in {"name", "created_at"} else "created_at")

    @pytest.mark.parametrize("order", ["", "summary", "--name", "+name", None, 7])
    def test_unknown_order_is_an_error(self, order: Any) -> None:
        with pytest.raises(ArgumentError, match=r"order=.*choose one of 'created_at'"):
            check_order("order", order)
