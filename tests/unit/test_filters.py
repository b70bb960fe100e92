"""The filters of a list of runs: in every signature, checked, sent, and applied to the rows."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.endpoints import runs as run_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.runs.filters import FILTERS, Asked
from airflow_provider_tallyfy.api.runs.search import OPTIONS
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyListRunsOperator

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
ORG = "0" * 32
A, B = "a" * 32, "b" * 32

SEARCH = [*FILTERS, *OPTIONS]
WALK = [*FILTERS, "include", "form_fields_values", "sort", "per_page"]


class TestSignatures:
    """Every signature and docstring names each filter of the table, in its order."""

    @pytest.mark.parametrize(
        ("function", "names"),
        [
            (TallyfyHook.find_runs, SEARCH),
            (TallyfyHook.iter_runs, WALK),
            (TallyfyListRunsOperator.__init__, [*SEARCH, "organization_id", "tallyfy_conn_id"]),
        ],
        ids=lambda value: getattr(value, "__qualname__", ""),
    )
    def test_signatures_have_every_filter(self, function: Callable[..., Any], names: list[str]) -> None:
        parameters = inspect.signature(function).parameters.values()
        assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == names

    @pytest.mark.parametrize(
        ("documented", "names"),
        [
            (TallyfyHook.find_runs, SEARCH),
            (TallyfyListRunsOperator, [*SEARCH, "organization_id", "tallyfy_conn_id"]),
            (TallyfyHook.iter_runs, ["q", *WALK[len(FILTERS) :]]),  # the rest: see find_runs
        ],
    )
    def test_docstrings_have_every_filter(self, documented: Any, names: list[str]) -> None:
        assert re.findall(r":param (\w+):", documented.__doc__) == names

    def test_template_fields_have_every_filter(self) -> None:
        assert list(TallyfyListRunsOperator.template_fields) == ["organization_id", "tallyfy_conn_id", *SEARCH]

    def test_operator_has_the_types_of_the_hook_plus_xcoms(self) -> None:
        hook, operator = (
            {one.name: str(one.annotation) for one in inspect.signature(function).parameters.values()}
            for function in (TallyfyHook.find_runs, TallyfyListRunsOperator.__init__)
        )
        assert {name: hook[name].replace("| None", "| XComArg | None") for name in SEARCH} == {
            name: operator[name] for name in SEARCH
        }


#: A good value of each filter, and what must never be one.
GOOD: dict[str, list[Any]] = {
    "q": ["ACME"],
    "status": ["active", "archived"],
    "archived": [True, False, "only", "true", "False"],
    "owners": [[7, "8", "ann@example.com"]],
    "owner_id": [7, "7", "ann@example.com"],
    "template": ["Invoice approval", A],
    "checklist_id": [A],
    "folder": ["Archive", A],
    "tags": [["Sales"], (A, B)],
    "tag": ["Sales"],
    "tag_ids": [[A]],
    "exclude_tags": [["Keep", A], []],
    "untagged": [True, "false"],
    "starred": [False],
    "groups": [["Finance"]],
    "type": ["form"],
    "task_status": ["in-progress"],
    "name_pattern": ["Onboarding*"],
    "stale_after": [timedelta(days=30), "P30D"],
    "stale_by": ["completed_at"],
    "archived_after": [NOW, "2026-01-01"],
    "archived_before": [NOW.date(), "2026-01-01T00:00:00Z"],
}
BAD: dict[str, list[Any]] = {
    "q": [5, ["x"], "\ud800"],
    "status": ["completed", "stale", "", ["active"], 7],
    "archived": ["sometimes", "", 1, None.__class__],
    "owners": ["ann@example.com", 7, ["ann"], [], [True], {7: 8}],
    "owner_id": ["ann", True, 0, "", "²", [7]],
    "template": ["", " ", "None", 7, {"id": A}, "{{ params.template }}"],
    "checklist_id": ["null", [A]],
    "folder": ["", 7],
    "tags": ["Sales", [], [""], [None], ["t" * 31], {"Sales": 1}],
    "tag": ["", "t" * 31, ["Sales"]],
    "tag_ids": [A, []],
    "exclude_tags": ["Keep", ["None"], 7],
    "untagged": ["yes", 1],
    "starred": ["", "no"],
    "groups": ["Finance", []],
    "type": ["process", "task"],
    "task_status": ["open"],
    "name_pattern": ["", " ", 7],
    "stale_after": [30, 30.0, "30", "30 days", timedelta(0), "P9999Y"],
    "stale_by": ["due_date", ""],
    "archived_after": ["yesterday", 20260101],
    "archived_before": ["", True],
}


class TestChecks:
    def test_every_filter_has_cases(self) -> None:
        assert set(GOOD) == set(BAD) == set(FILTERS)

    @pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
    def test_valid_value_is_returned(self, name: str, value: Any) -> None:
        Asked.of({name: value}, NOW)

    @pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
    def test_error_names_the_filter_of_an_invalid_value(self, name: str, value: Any) -> None:
        with pytest.raises(ArgumentError, match=rf"^{name}(\[0\])?="):
            Asked.of({name: value}, NOW)

    @given(st.sampled_from(list(FILTERS)), st.none() | st.text() | st.integers() | st.floats() | st.lists(st.text()))
    def test_any_value_is_accepted_or_an_argument_error(self, name: str, value: Any) -> None:
        with contextlib.suppress(ArgumentError):
            assert "\n" not in str(Asked.of({name: value}, NOW))

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"status": "completed"}, r"choose one of 'active', .* \(did you mean 'complete'\?\)"),
            ({"type": "Form"}, r"did you mean 'form'\?"),
            ({"statuss": "active"}, r"no such filter: 'statuss' \(did you mean 'status',.* The filters are q, status,"),
            ({"template": "x", "checklist_id": A}, "template and checklist_id are both given"),
            ({"tag": "x", "tag_ids": [A]}, "tag and tag_ids are both given: they are the same filter"),
            ({"tags": ["x"], "tag": "y"}, "tags and tag are both given"),
            ({"archived": False, "archived_after": NOW}, "archived_after and archived=False contradict each other"),
            ({"archived_after": NOW, "archived_before": NOW}, "archived_after is not before archived_before"),
        ],
        ids=str,
    )
    def test_error_says_what_to_do(self, asked: dict[str, Any], words: str) -> None:
        with pytest.raises(ArgumentError, match=words):
            Asked.of(asked, NOW)


QUERIES: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"q": "ACME Corp"}, "q=ACME%20Corp&"),
    ({"starred": "True", "untagged": True}, "starred=true&untagged=true&"),
    ({"untagged": False}, ""),  # only the rows are checked, because Tallyfy's behaviour is unknown
    ({"archived": False, "status": "active"}, "status=active&"),
    ({"archived": True}, "archived=true&"),
    ({"archived": "only"}, "archived=only&"),
    # status=archived is not reliable: archived=only is what Tallyfy's own clients use.
    ({"status": "archived"}, "archived=only&"),
    ({"status": "complete", "archived": "only"}, "status=complete&archived=only&"),
    ({"archived_after": NOW}, "archived=only&"),
    ({"archived_after": NOW, "archived": True}, "archived=true&"),
    ({"owners": [7, "8"]}, "owners=7%2C8&"),
    ({"groups": [A, B]}, f"groups={A}%2C{B}&"),
    ({"tag": A}, f"tag_ids={A}&"),
    ({"tag_ids": [A, B]}, f"tag_ids={A}%2C{B}&"),
    ({"folder": A, "template": B}, f"folder={A}&checklist_id={B}&"),
    ({"checklist_id": A, "type": "form"}, f"checklist_id={A}&type=form&"),
    ({"task_status": "in-progress"}, "task_status=in-progress&"),
    ({"exclude_tags": [A], "name_pattern": "x*", "owner_id": 7, "stale_after": "P1D"}, ""),
]


@pytest.mark.parametrize(("asked", "query"), QUERIES, ids=lambda value: str(value)[:50])
def test_query_of_filters(asked: dict[str, Any], query: str) -> None:
    query_params: dict[str, Any] = Asked.of(asked, NOW).query
    request = run_endpoints.list_runs(ORG, **query_params)
    assert request.target == f"/organizations/{ORG}/runs?{query}per_page=100"


OLD = "2026-01-01T00:00:00Z"
RUN: dict[str, Any] = {"name": "Onboarding - ACME", "owner_id": 7, "last_updated": OLD, "archived_at": None}
ARCHIVED: dict[str, Any] = {"archived_at": OLD, "status": "active"}

#: Filters, what a row shows beside :data:`RUN`, and the filter that it does not match.
ROWS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {}, None),
    ({}, {"archived_at": OLD}, "archived"),
    ({"archived": "only"}, {}, "archived"),
    ({"archived": "only"}, ARCHIVED, None),
    ({"archived": True}, ARCHIVED, None),
    ({"archived": True}, {}, None),
    ({"status": "complete"}, {"status": "active"}, "status"),
    ({"status": "complete"}, {"status": "Completed"}, None),
    ({"status": "complete"}, {}, "status"),
    ({"status": "active"}, {"status": "complete"}, "status"),
    ({"status": "active"}, {"status": "in-progress"}, None),
    ({"status": "problem"}, {"status": "issue"}, None),
    ({"status": "issue"}, {"status": "problem"}, "status"),
    ({"status": "delayed"}, {"status": "active"}, None),
    ({"status": "complete", "archived": "only"}, {"status": "archived", "archived_at": OLD}, None),
    ({"status": "starred"}, {"starred": False, "status": "active"}, "status"),
    ({"status": "starred"}, {"starred": True, "status": "active"}, None),
    ({"starred": False}, {"starred": True}, "starred"),
    ({"starred": False}, {"starred": False}, None),
    ({"starred": True}, {}, "starred"),
    ({"q": "acme"}, {}, None),
    ({"q": "acme onboarding"}, {}, None),
    ({"q": "acme"}, {"name": "Globex"}, "q"),
    ({"q": "acme"}, {"name": None}, "q"),
    ({"template": A}, {"checklist_id": B}, "template"),
    ({"template": A}, {"checklist_id": A}, None),
    ({"template": A}, {}, "template"),
    ({"type": "form"}, {"type": "procedure"}, "type"),
    ({"type": "form"}, {}, "type"),
    ({"tags": [A]}, {"tags": {"data": [{"id": 5, "tag_id": A}]}}, None),
    ({"tags": [A]}, {"tags": {"data": [{"id": 5, "tag_id": B}]}}, "tags"),
    ({"tags": [A, B]}, {"tags": [B]}, None),
    ({"tag": A}, {"tags": []}, "tags"),
    ({"exclude_tags": [A, B]}, {"tags": [B]}, "exclude_tags"),
    ({"exclude_tags": [A]}, {"tags": {"data": [{"id": 5, "tag_id": B}]}}, None),
    ({"exclude_tags": [A]}, {"tags": []}, None),
    ({"untagged": True}, {"tags": [A]}, "untagged"),
    ({"untagged": True}, {"tags": []}, None),
    ({"untagged": False}, {"tags": []}, "untagged"),
    ({"untagged": False}, {"tags": [A]}, None),
    ({"folder": A}, {"folders": []}, "folder"),
    ({"folder": A}, {"folders": {"data": [{"id": 9, "folder_id": A}]}}, None),
    ({"stale_after": "P30D"}, {}, None),
    ({"stale_after": "P90D"}, {}, "stale_after"),
    ({"stale_after": "P30D"}, {"last_updated": None}, "stale_after"),
    ({"stale_after": "P30D"}, {"last_updated": "garbage"}, "stale_after"),
    ({"stale_after": "P30D", "stale_by": "completed_at"}, {}, "stale_after"),
    ({"stale_after": "P30D", "stale_by": "completed_at"}, {"completed_at": OLD}, None),
    ({"stale_after": "PT1H"}, {"last_updated": "2026-03-01T11:00:00Z"}, "stale_after"),  # not older than that
    ({"stale_after": "PT1H"}, {"last_updated": "2026-03-01T10:59:59Z"}, None),
    ({"archived_after": OLD}, ARCHIVED, None),  # exactly at that time counts as after
    ({"archived_after": "2026-01-02"}, ARCHIVED, "archived_after"),
    ({"archived_before": "2026-01-02"}, ARCHIVED, None),
    ({"archived_before": OLD}, ARCHIVED, "archived_before"),
    ({"archived_after": "2025-12-31", "archived_before": "2026-01-02"}, ARCHIVED, None),
    ({"archived_after": "2020-01-01", "archived": True}, {}, "archived_after"),
    ({"name_pattern": "onboarding*"}, {}, None),
    ({"name_pattern": "acme"}, {}, "name_pattern"),
    ({"name_pattern": "[no]n*"}, {}, None),
    ({"name_pattern": "STRASSE*"}, {"name": "straße 5"}, None),
    ({"owner_id": "7"}, {}, None),
    ({"owner_id": 7}, {"owner_id": "7"}, None),
    ({"owner_id": 7}, {"owner_id": 70}, "owner_id"),
    ({"owner_id": 7}, {"owner_id": None}, "owner_id"),
]


class TestRows:
    @pytest.mark.parametrize(("asked", "shown", "misfit"), ROWS, ids=str)
    def test_match_only_their_filters(
        self, asked: dict[str, Any], shown: Mapping[str, Any], misfit: str | None
    ) -> None:
        assert Asked.of(asked, NOW).misfit({**RUN, **shown}) == misfit

    def test_without_archived_at_count_as_live(self) -> None:
        assert Asked.of({}, NOW).misfit({"id": "1"}) is None
        assert Asked.of({"archived": "only"}, NOW).misfit({"id": "1"}) == "archived"
        assert Asked.of({"archived": "only"}, NOW).misfit({"id": "1", "status": "archived"}) is None

    @pytest.mark.parametrize("name", [name for name, row in FILTERS.items() if not row.alias_of])
    def test_without_fields_match_only_filters_that_rows_do_not_show(self, name: str) -> None:
        # A row without tags is an error in a search, so exclude_tags and untagged are never applied to one.
        trusted = {"owners", "groups", "task_status", "archived", "stale_by", "exclude_tags", "untagged"}
        row = {"archived_at": "unreadable"} if name.startswith("archived_") else {}
        assert (Asked.of({name: GOOD[name][0]}, NOW).misfit(row) is None) is (name in trusted)

    def test_misfits_of_sent_filters_are_counted_apart(self) -> None:
        asked = Asked.of({"status": "active", "untagged": False, "owner_id": 7, "exclude_tags": [A]}, NOW)
        assert {name for name in asked.values if asked.was_sent(name)} == {"status", "archived"}

    @pytest.mark.parametrize(
        ("asked", "relations"),
        [
            ({}, []),
            ({"tag": A}, ["tags"]),
            ({"exclude_tags": [A]}, ["tags"]),
            ({"exclude_tags": []}, []),
            ({"untagged": True, "folder": A}, ["folder", "tags"]),
        ],
    )
    def test_include_the_relations_that_filters_need(self, asked: dict[str, Any], relations: list[str]) -> None:
        assert sorted(Asked.of(asked, NOW).relations) == sorted(r.replace("folder", "folders") for r in relations)


class TestDescription:
    def test_stale_after_is_shown_as_a_date(self) -> None:
        asked = Asked.of({"status": "complete", "stale_after": timedelta(days=30)}, NOW)
        assert str(asked) == "status 'complete', not updated since 2026-01-30 12:00 UTC"

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({}, "all live runs"),
            ({"archived": "only"}, "archived='only'"),
            ({"tags": [str(n) for n in range(1000)]}, "any of the tags '0', '1', '2', '3', '4', ... (1000 in all)"),
            ({"exclude_tags": ["Keep"]}, "none of the tags 'Keep'"),
            ({"archived_before": "2026-01-01"}, "archived before 2026-01-01 00:00 UTC, archived='only'"),
            ({"stale_after": "P1D", "stale_by": "completed_at"}, "completed before 2026-02-28 12:00 UTC"),
            ({"q": "a\nMarking task as SUCCESS {0}"}, r"name with 'a\nMarking task as SUCCESS {0}'"),
        ],
        ids=str,
    )
    def test_is_one_short_line(self, asked: dict[str, Any], said: str) -> None:
        assert str(Asked.of(asked, NOW)) == said
