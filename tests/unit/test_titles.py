"""Titles of tags and templates: found in any case, never guessed; errors name the nearest ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api import titles
from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.protocol.messages import Lost, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind as ProblemKind
from airflow_provider_tallyfy.api.protocol.problems import Rejected
from tests.unit._flows import play

ORG = "0" * 32
A, B, C = "a" * 32, "b" * 32, "c" * 32
KNOWN = {A: "Stale", B: "Review", C: "review"}


def page(**tags: str) -> Response:
    rows = [{"id": identity, "title": title} for identity, title in tags.items()]
    meta = {"pagination": {"total": len(rows), "per_page": 100, "current_page": 1, "total_pages": 1}}
    return Response(200, {}, json.dumps({"data": rows, "meta": meta}).encode())


class TestResolve:
    @pytest.mark.parametrize(
        ("wanted", "ids", "missing"),
        [
            (["Stale"], [A], []),
            (["STALE", A, "stale"], [A], []),
            (["Review"], [B], []),
            (["review"], [C], []),
            ([B], [B], []),
            (["Stael", "Stale"], [A], ["Stael"]),
            ([], [], []),
        ],
    )
    def test_titles_and_ids_are_found(self, wanted: list[str], ids: list[str], missing: list[str]) -> None:
        assert titles.resolve("tags", "tag", wanted, KNOWN) == (ids, missing)

    def test_ambiguous_title_is_an_error(self) -> None:
        with pytest.raises(ArgumentError, match=f"2 tags are titled 'REVIEW': {B}, {C}. Use the id"):
            titles.resolve("tags", "tag", ["REVIEW"], KNOWN)

    def test_an_id_takes_precedence_over_a_title_that_looks_like_it(self) -> None:
        assert titles.resolve("tags", "tag", [A], {A: "x", B: A}) == ([A], [])

    @given(st.dictionaries(st.text("abcdef0123456789", min_size=32, max_size=32), st.text(min_size=1), max_size=8))
    def test_any_title_is_found_or_an_error_if_it_is_ambiguous(self, known: dict[str, str]) -> None:
        for identity, title in known.items():
            alike = [other for other in known.values() if other.casefold() == title.casefold()]
            if title in known:
                assert titles.resolve("tags", "tag", [title], known) == ([title], [])
            elif len(alike) == 1 or alike.count(title) == 1:
                assert titles.resolve("tags", "tag", [title], known) == ([identity], [])
            else:
                with pytest.raises(ArgumentError, match=identity):
                    titles.resolve("tags", "tag", [title], known)


class TestUnknown:
    def test_names_the_nearest(self) -> None:
        error = titles.unknown("add_tags", "tag", ["Stael", "zzz"], ["Stale", "Review"])
        assert str(error) == (
            "add_tags: no tag has this title or id: 'Stael' (did you mean 'Stale'?); 'zzz'. There are 2 tags."
        )

    def test_error_if_there_are_no_titles(self) -> None:
        assert str(titles.unknown("template", "template", ["x"], [])).endswith("There are no templates.")


class TestCheck:
    def test_duplicates_count_once(self) -> None:
        assert titles.check_titles("tags", [" Stale ", "Stale", "stale"]) == ["Stale", "stale"]

    @pytest.mark.parametrize(
        "value", ["Stale", "['Stale']", None, 7, [""], [" "], ["None"], ["null"], [None], [7], ["x" * 31], {"a": 1}]
    )
    def test_refused(self, value: Any) -> None:
        with pytest.raises(ArgumentError):
            titles.check_titles("tags", value)

    def test_title_may_have_30_characters_and_an_id_32(self) -> None:
        assert titles.check_titles("tags", ["x" * 30, A]) == ["x" * 30, A]

    @pytest.mark.parametrize(
        ("text", "is_id"), [(A, True), ("A" * 32, False), ("a" * 31, False), ("g" * 32, False), ("", False)]
    )
    def test_looks_like_id(self, text: str, is_id: bool) -> None:
        assert titles.looks_like_id(text) is is_id


class TestTags:
    def test_ids_need_no_request(self) -> None:
        assert play(titles.tag_ids(ORG, "tags", [A, B])) == ([A, B], [])

    def test_a_title_needs_the_list(self) -> None:
        found, sent = play(titles.tag_ids(ORG, "tags", ["stale", B]), page(**{A: "Stale"}))
        assert sorted(found) == [A, B], "an id need not be listed to be right"
        assert [request.method for request in sent] == ["GET"]

    def test_unknown_title_is_an_error(self) -> None:
        with pytest.raises(ArgumentError, match="did you mean 'Stale'"):
            play(titles.tag_ids(ORG, "tags", ["Stael"]), page(**{A: "Stale"}))

    def test_unreadable_list_is_an_error(self) -> None:
        with pytest.raises(Rejected):
            play(titles.tag_ids(ORG, "tags", ["Stale"]), Response(200, {}, b"<html>"))

    def create(self, *replies: Response | Lost) -> tuple[Any, list[Request]]:
        return play(titles.tag_ids(ORG, "tags", ["New", "Stale"], create_missing=True), page(**{A: "Stale"}), *replies)

    def test_missing_tag_is_created(self) -> None:
        found, sent = self.create(Response(201, {}, json.dumps({"data": {"id": B, "title": "New"}}).encode()))
        assert found == [A, B]
        assert sent[-1].json == {"title": "New", "color": titles.TAG_COLOUR}

    @pytest.mark.parametrize(
        "reply",
        [
            Response(422, {}, b"{}"),
            Lost("cut", "", True),
            Response(502, {}, b""),
            Response(201, {}, b""),
            Response(200, {}, json.dumps({"data": {"id": "f" * 32, "name": "A run"}}).encode()),
        ],
        ids=["taken meanwhile", "answer lost", "5xx", "empty answer", "something else"],
    )
    def test_after_an_unclear_answer_the_list_has_the_id(self, reply: Response | Lost) -> None:
        found, sent = self.create(reply, page(**{A: "Stale", B: "new"}))
        assert found == [A, B]
        assert [request.method for request in sent] == ["GET", "POST", "GET"]

    @pytest.mark.parametrize(
        ("reply", "kind", "words"),
        [
            (Response(422, {}, b"{}"), ProblemKind.VALIDATION, "failed with 422"),
            (Lost("cut", "", True), ProblemKind.SERVER, "Tallyfy did not answer"),
            (Response(502, {}, b""), ProblemKind.SERVER, "Tallyfy answered 502"),
            (Response(201, {}, b""), ProblemKind.SERVER, "Tallyfy answered 201"),
            (Response(200, {}, b"<html>"), ProblemKind.SERVER, "Tallyfy answered with"),
        ],
    )
    def test_tag_that_was_not_created_is_an_error(self, reply: Response | Lost, kind: ProblemKind, words: str) -> None:
        with pytest.raises(Rejected, match=words) as caught:
            self.create(reply, page(**{A: "Stale"}))
        assert caught.value.problem.kind is kind

    @pytest.mark.parametrize("reply", [Response(403, {}, b"{}"), Lost("refused", "", False)])
    def test_refused(self, reply: Response | Lost) -> None:
        with pytest.raises(Rejected):
            self.create(reply)


class TestMembers:
    @pytest.mark.parametrize(
        ("value", "member"), [(7, 7), (" 7 ", 7), ("Ann@example.com", "Ann@example.com"), (" a@b ", "a@b")]
    )
    def test_are_given_by_id_or_e_mail_address(self, value: Any, member: int | str) -> None:
        assert titles.check_member("owner_id", value) == member

    @pytest.mark.parametrize("value", ["ann", "ann@", "@", "a b@c", "²", 0, -7, True, None, [], "{{ x }}@b", "None"])
    def test_refused(self, value: Any) -> None:
        with pytest.raises(ArgumentError, match="owner_id="):
            titles.check_member("owner_id", value)


@pytest.mark.parametrize("kind", [titles.TAG, titles.TEMPLATE, titles.FOLDER, titles.GROUP, titles.MEMBER])
def test_each_kind_is_read_by_its_own_title_field(kind: titles.Kind) -> None:
    row = {"id": A, kind.title: "Its title", "other": "x"}
    found, sent = play(titles.read_kind(ORG, kind), Response(200, {}, json.dumps({"data": [row]}).encode()))
    assert found == {A: "Its title"}
    assert [request.method for request in sent] == ["GET"]


def test_error_names_the_only_title_there_is() -> None:
    error = titles.unknown("folder", "folder", ["x"], ["Audit"], "name")
    assert str(error) == "folder: no folder has this name or id: 'x'. There is 1 folder: 'Audit'."
