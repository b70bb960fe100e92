"""Finding runs: every filter finds the right runs, even if the server ignores it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_tallyfy.api.runs.rows import FIELDS
from airflow_provider_tallyfy.exceptions import TallyfyArgumentError, TallyfyServerError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._example_organization import UNKNOWN

Connect = Callable[..., TallyfyHook]


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.fixture
def many(sandbox: Sandbox) -> dict[str, Any]:
    """Runs that differ in everything that can be filtered. Each is named after its difference."""
    ann = sandbox.add_member("ann@example.com")
    finance = sandbox.add_group("Finance", [ann])
    stale, other = sandbox.add_tag("Stale"), sandbox.add_tag("Other")
    folder = sandbox.add_folder("Audit")
    invoice = sandbox.add_template("Invoice approval")
    form = sandbox.add_template("Survey", type="form")
    sandbox.add_run("plain")
    sandbox.add_run("anns", owner_id=ann)
    sandbox.add_run("invoice", template=invoice)
    sandbox.add_run("form", template=form)
    sandbox.add_run("tagged", tags=[stale])
    sandbox.add_run("both", tags=[stale, other])
    sandbox.add_run("othertag", tags=[other])
    sandbox.add_run("filed", folders=[folder])
    sandbox.add_run("starred", starred=True)
    sandbox.add_run("grouped", groups=[finance])
    sandbox.add_run("complete", status="complete")
    sandbox.add_run("problem", status="problem")
    sandbox.add_run("issue", status="issue")
    sandbox.add_run("archived", archived=True, tags=[stale], template=invoice)
    return {"ann": ann, "finance": finance, "stale": stale, "other": other, "folder": folder, "invoice": invoice}


LIVE = "plain anns invoice form tagged both othertag filed starred grouped complete problem issue"

#: Filters (texts in braces stand for ids) and the names of the runs that they find.
FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, LIVE),
    ({"archived": "only"}, "archived"),
    ({"archived": True}, f"{LIVE} archived"),
    ({"status": "archived"}, "archived"),
    ({"status": "complete"}, "complete"),
    ({"status": "problem"}, "problem issue"),
    ({"status": "issue"}, "issue"),
    ({"status": "starred"}, "starred"),
    ({"status": "active"}, "plain anns invoice form tagged both othertag filed starred grouped"),
    ({"starred": True}, "starred"),
    ({"starred": "true"}, "starred"),
    ({"q": "pla"}, "plain"),
    ({"q": "TAG"}, "tagged othertag"),
    ({"checklist_id": "{invoice}"}, "invoice"),
    ({"template": "{invoice}"}, "invoice"),
    ({"template": "invoice APPROVAL"}, "invoice"),
    ({"template": "Invoice approval", "archived": True}, "invoice archived"),
    ({"tag": "{stale}"}, "tagged both"),
    ({"tag": "STALE"}, "tagged both"),
    ({"tag": "Stale", "archived": "only"}, "archived"),
    ({"tag_ids": ["{stale}", "{other}"]}, "tagged both othertag"),
    ({"tags": ["stale", "{other}"]}, "tagged both othertag"),
    ({"checklist_id": "Invoice Approval"}, "invoice"),
    ({"exclude_tags": ["Stale"]}, LIVE.replace("tagged both ", "")),
    ({"exclude_tags": ["{stale}", "Other"]}, LIVE.replace("tagged both othertag ", "")),
    ({"exclude_tags": ["Other"], "tag": "Stale"}, "tagged"),
    ({"exclude_tags": ["Stale"], "archived": True}, LIVE.replace("tagged both ", "")),
    ({"untagged": False}, "tagged both othertag"),
    ({"archived_after": "2020-01-01"}, "archived"),
    ({"archived_before": "2020-01-01"}, ""),
    ({"archived_after": "2020-01-01", "archived_before": "2199-01-01", "archived": True}, "archived"),
    ({"untagged": True}, "plain anns invoice form filed starred grouped complete problem issue"),
    ({"folder": "{folder}"}, "filed"),
    ({"folder": "AUDIT"}, "filed"),
    ({"type": "form"}, "form"),
    ({"groups": ["{finance}"]}, "grouped"),
    ({"groups": ["finance"]}, "grouped"),
    ({"owners": ["{ann}"]}, "anns"),
    ({"owners": ["Ann@Example.com"]}, "anns"),
    ({"owner_id": "{ann}"}, "anns"),
    ({"owner_id": "ann@example.com"}, "anns"),
    ({"name_pattern": "*ed"}, "tagged filed starred grouped"),
    ({"name_pattern": "I[sn]*"}, "invoice issue"),
    ({"name_pattern": "?????"}, "plain filed issue"),
    ({"tag": "Stale", "name_pattern": "b*"}, "both"),
]


def filled(value: Any, many: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [filled(entry, many) for entry in value]
    return many[value[1:-1]] if isinstance(value, str) and value.startswith("{") else value


class TestFilters:
    @pytest.mark.parametrize(("asked", "names"), FILTERS, ids=lambda value: str(value)[:60])
    def test_every_filter_finds_the_right_runs(
        self, asked: dict[str, Any], names: str, sandbox: Sandbox, hook: TallyfyHook, many: dict[str, Any]
    ) -> None:
        found = hook.find_runs(**{name: filled(value, many) for name, value in asked.items()})
        assert sorted(row["name"] for row in found) == sorted(names.split())
        assert found.kept == len(found)
        assert found.non_matching == 0
        walked = hook.iter_runs(**{name: filled(value, many) for name, value in asked.items()})
        assert sorted(run["name"] for run in walked) == sorted(names.split())

    @pytest.mark.parametrize(
        ("asked", "names"),
        [case for case in FILTERS if not {"owners", "groups"} & set(case[0])],
        ids=lambda value: str(value)[:60],
    )
    def test_filters_that_the_server_ignores_find_no_wrong_runs(
        self, asked: dict[str, Any], names: str, sandbox: Sandbox, hook: TallyfyHook, many: dict[str, Any]
    ) -> None:
        heed_nothing(sandbox)
        found = hook.find_runs(**{name: filled(value, many) for name, value in asked.items()})
        # Tallyfy's pages do not say whether a run with a problem also counts as active, so both results are right.
        wanted = f"{names} problem issue" if asked == {"status": "active"} else names
        assert sorted(row["name"] for row in found.rows) == sorted(wanted.split())
        assert found.looked_at == 14
        assert sum(found.reasons.values()) + found.kept == 14

    @pytest.mark.parametrize("shape", Behaviour.positions()["with_folders_shape"])
    @pytest.mark.parametrize("tags", Behaviour.positions()["get_with_tags_shape"])
    @pytest.mark.parametrize("status", ["archived", "original"])
    def test_filters_work_with_every_form_of_rows(
        self, shape: Any, tags: Any, status: Any, sandbox: Sandbox, hook: TallyfyHook, many: dict[str, Any]
    ) -> None:
        sandbox.behaviour = Behaviour(with_folders_shape=shape, get_with_tags_shape=tags, archived_status=status)
        for asked, names in FILTERS:
            found = hook.find_runs(**{name: filled(value, many) for name, value in asked.items()})
            assert sorted(row["name"] for row in found.rows) == sorted(names.split()), asked


def heed_nothing(sandbox: Sandbox) -> None:
    """Let the server ignore all filters of a list of runs, as it ignores unknown parameters."""
    index = sandbox._server.dispatcher.index
    find = index.find
    index.find = lambda query: find({"archived": "true", "sort": query.get("sort", "")})  # type: ignore[method-assign]


class TestStale:
    @pytest.mark.parametrize("stale_after", ["P30D", timedelta(days=30), "PT720H"])
    def test_by_the_last_change(self, stale_after: Any, sandbox: Sandbox, hook: TallyfyHook) -> None:
        old = sandbox.add_run(unmodified_days=31)
        sandbox.add_run(days_old=400, unmodified_days=29)
        sandbox.add_run()
        assert ids(hook.find_runs(stale_after=stale_after).rows) == [old]

    def test_by_each_timestamp(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        created = sandbox.add_run("created", days_old=40, unmodified_days=1)
        completed = sandbox.add_run("completed", completed_days_ago=35)
        sandbox.add_run("completed lately", days_old=20, completed_days_ago=5)
        found = {
            by: ids(hook.find_runs(stale_after="P30D", stale_by=by).rows)
            for by in ("last_updated", "created_at", "started_at", "completed_at")
        }
        assert found["last_updated"] == [completed]
        assert found["created_at"] == found["started_at"] == [created, completed]
        assert found["completed_at"] == [completed]

    def test_runs_without_the_timestamp_are_left_out_and_counted(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.add_runs(3, days_old=90)
        done = sandbox.add_run(completed_days_ago=60)
        found = hook.find_runs(stale_after="P30D", stale_by="completed_at")
        assert ids(found.rows) == [done]
        assert (found.looked_at, found.kept, found.undated) == (4, 1, 3)

    @pytest.mark.parametrize("timestamps", Behaviour.positions()["timestamps"])
    def test_timestamps_in_both_formats(self, timestamps: Any, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.behaviour = Behaviour(timestamps=timestamps)
        old = sandbox.add_run(unmodified_days=31)
        sandbox.add_run(unmodified_days=29)
        assert ids(hook.find_runs(stale_after="P30D").rows) == [old]


class TestOrderAndLimit:
    @pytest.fixture
    def rows(self, sandbox: Sandbox) -> dict[str, str]:
        return {
            "b": sandbox.add_run("b", days_old=30, unmodified_days=3),
            "c": sandbox.add_run("c", days_old=20, completed_days_ago=10, unmodified_days=1),
            "a": sandbox.add_run("a", days_old=10, completed_days_ago=4, unmodified_days=2),
        }

    @pytest.mark.parametrize(
        ("order", "names"),
        [
            ("created_at", "bca"),
            ("-created_at", "acb"),
            ("name", "abc"),
            ("-name", "cba"),
            ("last_updated", "bac"),
            ("-last_updated", "cab"),
            ("completed_at", "cab"),
            ("-completed_at", "acb"),
            ("started_at", "bca"),
            ("-started_at", "acb"),
        ],
    )
    def test_every_order_with_and_without_limit(
        self, order: str, names: str, rows: dict[str, str], hook: TallyfyHook
    ) -> None:
        assert "".join(row["name"] for row in hook.find_runs(order=order).rows) == names
        assert "".join(row["name"] for row in hook.find_runs(order=order, limit=2).rows) == names[:2]

    @pytest.mark.parametrize("order", ["created_at", "-created_at", "name", "-name"])
    def test_order_that_the_server_ignores_is_applied_to_the_rows(
        self, order: str, rows: dict[str, str], sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        # "The two oldest" must not become two other runs.
        index = sandbox._server.dispatcher.index
        find = index.find
        index.find = lambda query: find({**query, "sort": "last_updated"})  # type: ignore[method-assign]
        want = {"created_at": "bc", "-created_at": "ac", "name": "ab", "-name": "cb"}[order]
        assert "".join(row["name"] for row in hook.find_runs(order=order, limit=2).rows) == want

    def test_limit_ends_the_reading_of_pages(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        runs = sandbox.add_runs(250)
        assert ids(hook.find_runs(limit="100").rows) == runs[:100]
        assert len(sandbox.requests) == 1

    def test_order_that_tallyfy_lacks_reads_all_pages(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.add_runs(249, unmodified_days=2)
        last = sandbox.add_run(unmodified_days=9)
        assert ids(hook.find_runs(order="last_updated", limit=1).rows) == [last]
        assert len(sandbox.requests) == 3

    @pytest.mark.parametrize("limit", [0, -1, True, "0", "many", "-3", 2.5, ""])
    def test_bad_limit_is_refused(self, limit: Any, sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError, match="limit="):
            hook.find_runs(limit=limit)
        assert sandbox.requests == []


class TestRows:
    def test_are_small(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.add_run("Old")
        (row,) = hook.find_runs().rows
        assert tuple(row) == FIELDS

    def test_chosen_fields(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.add_run("Old")
        (row,) = hook.find_runs(fields=["name", "checklist_title"], order="last_updated")
        assert tuple(row) == ("id", "name", "checklist_title")

    @pytest.mark.parametrize("tags", Behaviour.positions()["get_with_tags_shape"])
    @pytest.mark.parametrize("folders", Behaviour.positions()["with_folders_shape"])
    def test_rows_with_tags_and_folders_can_be_filtered_by_them(
        self, tags: Any, folders: Any, sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        sandbox.behaviour = Behaviour(get_with_tags_shape=tags, with_folders_shape=folders)
        keep, audit = sandbox.add_tag("Keep"), sandbox.add_folder("Audit")
        sandbox.add_run("kept", tags=[keep], folders=[audit])
        sandbox.add_run("bare")
        rows = hook.find_runs(fields=["name", "tags", "folders"]).rows
        assert rows[0] | {"id": ""} == {
            **{"id": "", "name": "kept", "tags": ["Keep"], "tag_ids": [keep]},
            **{"folders": ["Audit"], "folder_ids": [audit]},
        }
        # A typical clean-up.
        assert [row["name"] for row in rows if "Keep" not in (row["tags"] or [])] == ["bare"]
        assert len(sandbox.requests) <= 2, "one page, and one look-up where rows do not show the names of folders"

    @pytest.mark.parametrize(
        "asked", [{"fields": ["tags"]}, {"exclude_tags": ["Keep"]}, {"tag": "Keep"}, {"untagged": True}], ids=str
    )
    def test_rows_without_their_tags_are_an_error_and_not_untagged(
        self, asked: dict[str, Any], sandbox: Sandbox, hook: TallyfyHook
    ) -> None:
        run_id = sandbox.add_run("kept", tags=[sandbox.add_tag("Keep")])
        shown = {"id": run_id, "name": "kept", "archived_at": None}
        sandbox.fail("GET", "/runs", Fault.status(200, {"data": [shown]}), times=None)
        with pytest.raises(
            TallyfyServerError, match=r"returned the run 'kept' .* without its tags, although they were requested"
        ):
            hook.find_runs(**asked)
        assert "with=tags" in sandbox.calls[-1]
        if "fields" not in asked:
            with pytest.raises(TallyfyServerError, match="without its tags"):
                list(hook.iter_runs(**asked))

    def test_found_rows_equal_iterated_runs(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        runs = sandbox.add_runs(3)
        found = hook.find_runs()
        assert ids(list(found)) == runs
        assert (len(found), found[0]["id"], ids(found[1:])) == (3, runs[0], runs[1:])
        assert not hook.find_runs(status="complete")
        assert hook.archive_runs(found).counts["changed"] == 3

    def test_all_pages(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        runs = sandbox.add_runs(350)
        assert ids(hook.find_runs().rows) == runs
        assert len(sandbox.requests) == 4


class TestPagesShift:
    def test_rows_removed_while_reading(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        runs = sandbox.add_runs(350)
        gone = runs[:30]

        def remove() -> None:
            for run_id in gone:
                sandbox.archive(run_id)

        sandbox.when("GET", "/runs", remove, after=1)
        found = ids(hook.find_runs().rows)
        assert len(found) == len(set(found)), "no run comes twice"
        assert set(runs[30:]) <= set(found), "and none is missed"

    def test_rows_added_while_reading(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        runs = sandbox.add_runs(250, days_old=10)
        back = sandbox.add_runs(7, days_old=99, archived=True)

        def restore() -> None:
            for run_id in back:
                sandbox.activate(run_id)

        sandbox.when("GET", "/runs", restore, after=1)
        found = ids(hook.find_runs().rows)
        assert len(found) == len(set(found))
        assert set(runs) <= set(found)

    @pytest.mark.parametrize(
        "fault", [Fault.short_page(), Fault.total_too_high(3), Fault.unreadable_page()], ids=lambda fault: fault.name
    )
    def test_incomplete_list_is_an_error(self, fault: Fault, sandbox: Sandbox, hook: TallyfyHook) -> None:
        sandbox.add_runs(250)
        sandbox.fail("GET", "/runs", fault, times=None, after=1)
        with pytest.raises(TallyfyServerError):
            hook.find_runs()


class TestTitles:
    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            (
                {"template": "Invoise aproval"},
                r"template: no template .*'Invoise aproval' \(did you mean 'Invoice",
            ),
            ({"tag": "Stael"}, r"tag: no tag .*'Stael' \(did you mean 'Stale'\?\).* There are 2 tags"),
            ({"tag": "zzzzzz"}, r"tag: no tag has this title or id: 'zzzzzz'\. There are 2 tags"),
        ],
    )
    def test_unknown_title_names_the_nearest(
        self, asked: dict[str, Any], words: str, hook: TallyfyHook, many: dict[str, Any], sandbox: Sandbox
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=words):
            hook.find_runs(**asked)
        assert not [call for call in sandbox.calls if call.startswith("GET /runs")]

    def test_ambiguous_title_lists_the_ids(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        first, second = sandbox.add_template("Twin"), sandbox.add_template("Twin")
        with pytest.raises(TallyfyArgumentError, match=f"2 templates are titled 'twin': {first}, {second}. Use the id"):
            hook.find_runs(template="twin")

    def test_title_on_a_later_page_is_found(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        tags = [sandbox.add_tag(f"Tag {number}") for number in range(150)]
        run_id = sandbox.add_run(tags=[tags[149]])
        assert ids(hook.find_runs(tag="Tag 149").rows) == [run_id]

    def test_ids_that_a_row_shows_are_not_looked_up(
        self, sandbox: Sandbox, hook: TallyfyHook, many: dict[str, Any]
    ) -> None:
        found = hook.find_runs(tag=many["stale"], template=many["invoice"], archived="only")
        assert len(found) == 1
        assert all(call.startswith("GET /runs?") for call in sandbox.calls)

    @pytest.mark.parametrize("search", ["find_runs", "iter_runs"])
    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"tag": UNKNOWN}, r"tag: no tag has this title or id: '.{32}'\. There are 2 tags"),
            ({"tags": ["{stale}", UNKNOWN]}, "tags: no tag"),
            ({"tag_ids": [UNKNOWN]}, "tag_ids: no tag"),
            ({"exclude_tags": [UNKNOWN]}, "exclude_tags: no tag"),
            ({"exclude_tags": ["Stael"]}, r"exclude_tags: no tag .*did you mean 'Stale'"),
            ({"template": UNKNOWN}, "template: no template"),
            ({"checklist_id": "Invoice aproval"}, "checklist_id: no template .*did you mean 'Invoice approval'"),
            ({"folder": UNKNOWN}, r"folder: no folder has this name or id: '.{32}'\. There is 1 folder: 'Audit'"),
            ({"folder": "Adit"}, "folder: no folder .*did you mean 'Audit'"),
            ({"groups": [UNKNOWN]}, "groups: no group has this name or id"),
            ({"groups": ["Finanse"]}, "groups: no group .*did you mean 'Finance'"),
            ({"owner_id": 99999}, "owner_id: no member has this e-mail address or id: '99999'"),
            ({"owner_id": "anne@example.com"}, "owner_id: no member .*did you mean 'ann@example.com'"),
            ({"owners": [99999]}, "owners: no member"),
            ({"owners": ["{ann}", 99999]}, "owners: no member"),
            ({"owners": ["an@example.com"]}, "owners: no member .*did you mean 'ann@example.com'"),
        ],
        ids=str,
    )
    def test_unknown_id_is_an_error_and_not_an_empty_result(
        self, search: str, asked: dict[str, Any], words: str, sandbox: Sandbox, hook: TallyfyHook, many: dict[str, Any]
    ) -> None:
        with pytest.raises(TallyfyArgumentError, match=words):
            list(getattr(hook, search)(**{name: filled(value, many) for name, value in asked.items()}))
        assert len(sandbox.requests) <= 3, "the list of runs, the look-up, and a run that would prove the id"

    def test_existing_id_without_runs_is_an_empty_result(
        self, sandbox: Sandbox, hook: TallyfyHook, many: dict[str, Any]
    ) -> None:
        unused: dict[str, Any] = {
            "tag": sandbox.add_tag("Unused"),
            "folder": sandbox.add_folder("Unused"),
            "template": sandbox.add_template("Unused"),
            "owner_id": sandbox.add_member("new@example.com"),
        }
        for name, identity in unused.items():
            sandbox.forget_requests()
            assert len(hook.find_runs(**{name: identity})) == 0
            assert len(sandbox.requests) == 2, "one page, one look-up"

    def test_archived_template_is_accepted_while_it_has_runs(self, sandbox: Sandbox, hook: TallyfyHook) -> None:
        # A nightly sweep for an archived template, all of whose runs are archived by now.
        template = sandbox.add_template("Retired")
        sandbox.add_run(template=template, archived=True)
        sandbox.fail("GET", "/checklists", Fault.status(200, {"data": []}), times=None)
        assert len(hook.find_runs(template=template)) == 0


class TestRefusedBeforeAnythingIsSent:
    @pytest.mark.parametrize(
        "asked",
        [
            {"stale_after": "30 days"},
            {"stale_after": 30},
            {"exclude_tags": "Keep"},
            {"archived_after": "yesterday"},
            {"archived_after": "2026-01-01", "archived": False},
            {"fields": ["tgas"]},
            {"tags": []},
            {"stale_after": "P9999Y"},
            {"stale_after": "P30D", "stale_by": "due_date"},
            {"name_pattern": " "},
            {"name_pattern": 7},
            {"owner_id": "ann"},
            {"order": "summary"},
            {"fields": "name"},
            {"status": "stale"},
            {"archived": "sometimes"},
            {"template": "x", "checklist_id": "a" * 32},
            {"tag": "x", "tag_ids": ["a" * 32]},
            {"tag": "t" * 31},
            {"tag": " "},
            {"statuss": "active"},
            {"sort": "name"},
            {"type": "process"},
            {"tag_ids": "a" * 32},
        ],
        ids=str,
    )
    def test_bad_values(self, asked: dict[str, Any], sandbox: Sandbox, hook: TallyfyHook) -> None:
        with pytest.raises(TallyfyArgumentError):
            hook.find_runs(**asked)
        if set(asked) - {"order", "fields", "sort"}:
            with pytest.raises(TallyfyArgumentError):
                hook.iter_runs(**asked)
        assert sandbox.requests == []
