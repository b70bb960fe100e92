"""The rules of finding runs: moments, lengths of time, criteria, filters checked on rows, orders."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.runs.search import (
    FIELDS,
    ORDERS,
    Criteria,
    FoundRuns,
    arranged,
    contradicts,
    duration,
    in_order,
    include_for,
    moment,
    row_of,
    sort_for,
    utc_now_from,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ORG = "0" * 32


class TestMoment:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-03-01T12:00:00Z", NOW),
            ("2026-03-01T12:00:00.000Z", NOW),
            ("2026-03-01T12:00:00", NOW),
            ("2026-03-01 12:00:00", NOW),
            (" 2026-03-01T12:00:00Z ", NOW),
            ("2026-03-01T13:30:00+01:30", NOW),
            ("2026-03-01T13:30:00+0130", NOW),
            ("2026-03-01T07:00:00-05:00", NOW),
            ("2026-03-01T12:00:00.5Z", NOW + timedelta(milliseconds=500)),
            ("2026-03-01T12:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ],
    )
    def test_spellings(self, text: str, expected: datetime) -> None:
        assert moment(text) == expected

    @pytest.mark.parametrize(
        "value",
        [None, "", "0000-00-00 00:00:00", "2026-02-30T00:00:00Z", "2026-03-01", "yesterday", 1772366400, True, {}, []],
    )
    def test_none(self, value: Any) -> None:
        assert moment(value) is None

    @given(st.datetimes(timezones=st.just(timezone.utc)))
    def test_reads_what_it_is_given(self, when: datetime) -> None:
        assert moment(when.isoformat()) == when
        assert moment(when.strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)) == when

    @given(st.text())
    def test_never_fails(self, text: str) -> None:
        assert moment(text) is None or isinstance(moment(text), datetime)


class TestDuration:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (timedelta(days=30), timedelta(days=30)),
            (90, timedelta(seconds=90)),
            (1.5, timedelta(seconds=1.5)),
            ("90", timedelta(seconds=90)),
            (" 1.5 ", timedelta(seconds=1.5)),
            ("P30D", timedelta(days=30)),
            ("p30d", timedelta(days=30)),
            ("PT12H", timedelta(hours=12)),
            ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
            ("P2W", timedelta(weeks=2)),
            ("PT0.5S", timedelta(seconds=0.5)),
        ],
    )
    def test_lengths(self, value: Any, expected: timedelta) -> None:
        assert duration("stale_after", value) == expected

    @pytest.mark.parametrize(
        "value",
        [
            *(None, "", " ", "30 days", "30d", "P", "PT", "P30", "-P30D", "P-1D", "1e3", "٣", "nan", "inf"),
            *(True, False, 0, -1, 0.0, "0", "-5", timedelta(0), timedelta(days=-1), float("nan"), float("inf"), 1e300),
            *([], {}, b"P30D", NOW, "2026-03-01", "2026-03-01/P1D", "P1D/2026-03-01"),
        ],
    )
    def test_no_lengths(self, value: Any) -> None:
        with pytest.raises(ArgumentError, match="stale_after="):
            duration("stale_after", value)

    @given(st.integers(1, 10**6), st.sampled_from("DHMS"))
    def test_iso(self, number: int, unit: str) -> None:
        seconds = {"D": 86400, "H": 3600, "M": 60, "S": 1}[unit]
        text = f"P{number}D" if unit == "D" else f"PT{number}{unit}"
        assert duration("x", text) == timedelta(seconds=number * seconds)

    @given(st.text())
    def test_reads_or_refuses(self, text: str) -> None:
        with contextlib.suppress(ArgumentError):
            assert duration("x", text) > timedelta(0)

    @given(st.text("PTYMWDHS0123456789.,/-:", max_size=12).map("P".__add__))
    def test_reads_or_refuses_what_looks_like_one(self, text: str) -> None:
        with contextlib.suppress(ArgumentError):
            assert duration("x", text) > timedelta(0)


class TestCriteria:
    def run(self, **fields: Any) -> dict[str, Any]:
        return {"id": "1", "name": "Onboarding - ACME", "owner_id": 7, "last_updated": "2026-01-01T00:00:00Z", **fields}

    @pytest.mark.parametrize(
        ("asked", "fields", "kept"),
        [
            ({}, {}, True),
            ({"stale_after": "P30D"}, {}, True),
            ({"stale_after": "P90D"}, {}, False),
            ({"stale_after": "P30D"}, {"last_updated": None}, False),
            ({"stale_after": "P30D"}, {"last_updated": "garbage"}, False),
            ({"stale_after": "P30D", "stale_by": "completed_at"}, {}, False),
            ({"stale_after": "P30D", "stale_by": "completed_at"}, {"completed_at": "2026-01-01T00:00:00Z"}, True),
            ({"stale_after": 3600}, {"last_updated": "2026-03-01T11:00:00Z"}, False),  # not longer than that
            ({"stale_after": 3600}, {"last_updated": "2026-03-01T10:59:59Z"}, True),
            ({"stale_after": 3600}, {"last_updated": "2027-01-01T00:00:00Z"}, False),
            ({"name_pattern": "onboarding*"}, {}, True),
            ({"name_pattern": "*acme"}, {}, True),
            ({"name_pattern": "acme"}, {}, False),
            ({"name_pattern": "[no]n*"}, {}, True),
            ({"name_pattern": "*"}, {"name": None}, True),
            ({"name_pattern": "STRASSE*"}, {"name": "straße 5"}, True),
            ({"owner_id": 7}, {}, True),
            ({"owner_id": "7"}, {}, True),
            ({"owner_id": 7}, {"owner_id": "7"}, True),
            ({"owner_id": 7}, {"owner_id": 70}, False),
            ({"owner_id": 7}, {"owner_id": None}, False),
            ({"owner_id": 7, "name_pattern": "x*"}, {}, False),
        ],
    )
    def test_keeps(self, asked: dict[str, Any], fields: dict[str, Any], kept: bool) -> None:
        assert Criteria.of(NOW, **asked).keeps(self.run(**fields)) is kept

    @pytest.mark.parametrize(
        "asked",
        [
            {"stale_after": "soon"},
            {"stale_after": 1e11},
            {"stale_by": "due_date"},
            {"stale_by": None},
            {"name_pattern": ""},
            {"name_pattern": 5},
            {"owner_id": "ann"},
            {"owner_id": True},
        ],
    )
    def test_refuses(self, asked: dict[str, Any]) -> None:
        with pytest.raises(ArgumentError):
            Criteria.of(NOW, **asked)


class TestContradicts:
    @pytest.mark.parametrize(
        ("asked", "run", "wrong"),
        [
            ({}, {"archived_at": None}, False),
            ({}, {"archived_at": "2026-01-01"}, True),
            ({}, {}, False),  # a row that does not tell is believed
            ({"archived": "only"}, {"archived_at": None}, True),
            ({"archived": "only"}, {"archived_at": "2026-01-01"}, False),
            ({"archived": True}, {"archived_at": "2026-01-01"}, False),
            ({"archived": True}, {"archived_at": None}, False),
            ({"status": "complete"}, {"status": "active"}, True),
            ({"status": "complete"}, {"status": "Completed"}, False),
            ({"status": "active"}, {"status": "complete"}, True),
            ({"status": "active"}, {"status": "in-progress"}, False),
            ({"status": "problem"}, {"status": "issue"}, False),
            ({"status": "issue"}, {"status": "problem"}, True),
            ({"status": "delayed"}, {"status": "active"}, False),
            ({"status": "complete", "archived": "only"}, {"status": "archived", "archived_at": "2026-01-01"}, False),
            ({"status": "starred"}, {"starred": False, "status": "active"}, True),
            ({"status": "starred"}, {"starred": True, "status": "active"}, False),
            ({"starred": False}, {"starred": True}, True),
            ({"q": "acme"}, {"name": "Onboarding - ACME"}, False),
            ({"q": "acme onboarding"}, {"name": "Onboarding - ACME"}, False),
            ({"q": "acme"}, {"name": "Globex"}, True),
            ({"q": "acme"}, {"name": None}, True),
            ({"checklist_id": "a" * 32}, {"checklist_id": "b" * 32}, True),
            ({"checklist_id": "a" * 32}, {"checklist_id": "a" * 32}, False),
            ({"checklist_id": "a" * 32}, {}, False),
            ({"type": "form"}, {"type": "procedure"}, True),
            ({"tag_ids": ["a" * 32]}, {"tags": {"data": [{"id": 5, "tag_id": "a" * 32}]}}, False),
            ({"tag_ids": ["a" * 32]}, {"tags": {"data": [{"id": 5, "tag_id": "b" * 32}]}}, True),
            ({"tag_ids": ["a" * 32, "b" * 32]}, {"tags": ["b" * 32]}, False),
            ({"tag_ids": ["a" * 32]}, {"tags": []}, True),
            ({"untagged": True}, {"tags": ["a" * 32]}, True),
            ({"untagged": True}, {"tags": []}, False),
            ({"folder": "a" * 32}, {"folders": []}, True),
            ({"folder": "a" * 32}, {"folders": {"data": [{"id": 9, "folder_id": "a" * 32}]}}, False),
        ],
    )
    def test_table(self, asked: dict[str, Any], run: Mapping[str, Any], wrong: bool) -> None:
        assert contradicts(run, run_endpoints.list_runs(ORG, **asked)) is wrong


class TestFoundRuns:
    def test_counts_what_it_leaves_out(self) -> None:
        rows: list[dict[str, Any]] = [
            {"id": "1", "last_updated": "2026-01-01T00:00:00Z"},
            {"id": "2", "last_updated": "2026-02-28T00:00:00Z"},
            {"id": "3", "last_updated": None},
            {"id": "4", "last_updated": "2026-01-01T00:00:00Z", "archived_at": "2026-01-02T00:00:00Z"},
        ]
        found = FoundRuns()
        kept = list(found.sift(rows, run_endpoints.list_runs(ORG), Criteria.of(NOW, stale_after="P30D")))
        assert [row["id"] for row in kept] == ["1"]
        assert (found.looked_at, found.kept, found.non_matching, found.undated) == (4, 1, 1, 1)


stamps = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(
    lambda d: d.isoformat(timespec="seconds")
)
names = st.none() | st.text(max_size=5)
run_lists = st.lists(st.fixed_dictionaries({"last_updated": stamps, "name": names, "created_at": stamps}), max_size=20)


class TestOrders:
    @given(run_lists, st.sampled_from(["last_updated", "-last_updated", "created_at", "name", "-name"]))
    def test_arranged(self, rows: list[dict[str, Any]], order: str) -> None:
        for number, row in enumerate(rows):
            row["id"] = number
        result = arranged(rows, order)
        assert sorted(row["id"] for row in result) == list(range(len(rows)))
        assert in_order(result, order)
        told = [row.get(order.lstrip("-")) is not None or order.endswith("name") for row in result]
        assert told == sorted(told, reverse=True), "those without it come last"

    def test_ties_keep_their_places(self) -> None:
        rows = [{"id": n, "last_updated": "2026-01-01T00:00:00Z"} for n in range(5)]
        assert arranged(rows, "last_updated") == arranged(rows, "-last_updated") == rows

    def test_out_of_order(self) -> None:
        first, second = {"name": "a"}, {"name": "B"}
        assert in_order([first, second], "name")
        assert not in_order([second, first], "name")
        assert in_order([second, first], "-name")
        assert in_order([second, {"created_at": None}, first], "created_at")

    @pytest.mark.parametrize("order", ORDERS)
    def test_what_is_asked_of_tallyfy(self, order: str) -> None:
        assert sort_for(order) == (order if order.lstrip("-") in {"name", "created_at"} else "created_at")

    @pytest.mark.parametrize("order", ["", "summary", "--name", "+name", None, 7])
    def test_unknown(self, order: Any) -> None:
        with pytest.raises(ArgumentError):
            sort_for(order)


class TestRest:
    def test_row(self) -> None:
        assert row_of({"id": "1", "name": "x", "prerun": {}}, FIELDS) == {
            "id": "1",
            "name": "x",
            "status": None,
            "last_updated": None,
        }

    @pytest.mark.parametrize(
        ("asked", "included"),
        [
            ({}, ()),
            ({"tag_ids": ["a"]}, ("tags",)),
            ({"untagged": True}, ("tags",)),
            ({"folder": "x"}, ("folders",)),
            ({"folder": "x", "tag_ids": []}, ("tags", "folders")),
            ({"tag_ids": None, "folder": None}, ()),
        ],
    )
    def test_relations_that_rows_must_show(self, asked: dict[str, Any], included: tuple[str, ...]) -> None:
        assert include_for(asked) == included

    def test_clock(self) -> None:
        assert utc_now_from(NOW.timestamp()) == NOW
