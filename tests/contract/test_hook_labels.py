"""Tags and folders of a run: set in a way that Tallyfy accepts, and never detached from another run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy._compat import AirflowFailException
from airflow_provider_tallyfy.exceptions import (
    TallyfyForbiddenError,
    TallyfyNotAppliedError,
    TallyfyServerError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behaviour, Fault, Sandbox
from tests.contract._example_organization import UNKNOWN, Example, methods, truth


@pytest.mark.parametrize("mode", ["replace", "ignore"])
@pytest.mark.parametrize("echo", ["sent", "always", "never"])
class TestTagsAndFolders:
    @pytest.mark.parametrize(("tags", "folders"), [("wrapped", "relations"), ("list", "folders"), ("list", "pivot")])
    def test_are_replaced_even_if_the_update_ignores_them(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, mode: Any, echo: Any, tags: Any, folders: Any
    ) -> None:
        sandbox.behaviour = Behaviour(
            put_tags=mode, put_folders=mode, update_echo=echo, get_with_tags_shape=tags, with_folders_shape=folders
        )
        outcome = hook.update_run_outcome(example.run_id, tags=example.tags[1:], folders=example.folders[1:])
        run = truth(sandbox, example.run_id)
        assert (sorted(run["tags"]), run["folders"]) == (sorted(example.tags[1:]), [example.folders[1]])
        assert outcome.how == "changed"
        changes = [call for call in sandbox.calls if not call.startswith(("GET", "PUT"))]
        if mode == "replace":
            assert changes == []
        else:
            # A tag of unknown type is tried as private, then as public.
            assert [call.partition("/")[2].split("/")[0] for call in changes] == [
                *["checklists"] * 4,
                "folders-objects",
                "folders",
            ]
        assert run["users"] == list(example.people[:2])

    def test_unknown_tag_is_refused(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, mode: Any, echo: Any
    ) -> None:
        sandbox.behaviour = Behaviour(put_tags=mode, update_echo=echo)
        with pytest.raises(TallyfyValidationError, match="is invalid") as caught:
            hook.update_run(example.run_id, tags=[*example.tags[:1], UNKNOWN])
        assert (caught.value.http_status, set(caught.value.errors)) == (
            422,
            {"tags.1"} if mode == "replace" else {"tag_id"},
        )
        assert truth(sandbox, example.run_id)["tags"] == [example.tags[0]]


def test_association_without_a_known_number_is_not_removed(
    sandbox: Sandbox, hook: TallyfyHook, example: Example
) -> None:
    sandbox.behaviour = Behaviour(put_tags="ignore")
    # Numbers are all that can be detached by: the id of the tag would be cast to one, and detach somebody else's.
    shown = {**truth(sandbox, example.run_id), "tags": [example.tags[0]]}
    sandbox.fail("GET", f"/runs/{example.run_id}", Fault.status(200, {"data": shown}), times=None)
    with pytest.raises(TallyfyNotAppliedError, match="does not show the number of its association") as caught:
        hook.update_run(example.run_id, tags=[])
    assert list(caught.value.errors) == ["tags"]
    assert "DELETE" not in methods(sandbox)


class TestOneByOne:
    @pytest.mark.parametrize("shape", ["wrapped", "list"])
    def test_tag(self, sandbox: Sandbox, hook: TallyfyHook, example: Example, shape: Any) -> None:
        sandbox.behaviour = Behaviour(get_with_tags_shape=shape)
        run_id, (urgent, sales, public) = example.run_id, example.tags
        hook.add_tag_to_run(run_id, sales)
        hook.add_tag_to_run(run_id, public)
        hook.remove_tag_from_run(run_id, urgent)
        assert truth(sandbox, run_id)["tags"] == [sales, public]
        sandbox.forget_requests()
        # Attaching the tag again would trigger Tallyfy's events again.
        hook.add_tag_to_run(run_id, sales)
        hook.remove_tag_from_run(run_id, urgent)
        assert methods(sandbox) == ["GET", "GET"]

    @pytest.mark.parametrize("shape", ["relations", "folders", "pivot"])
    def test_folder(self, sandbox: Sandbox, hook: TallyfyHook, example: Example, shape: Any) -> None:
        sandbox.behaviour = Behaviour(with_folders_shape=shape)
        run_id, (accounts, audit) = example.run_id, example.folders
        hook.add_run_to_folder(run_id, audit)
        hook.remove_run_from_folder(run_id, accounts)
        assert truth(sandbox, run_id)["folders"] == [audit]
        sandbox.forget_requests()
        hook.add_run_to_folder(run_id, audit)
        hook.remove_run_from_folder(run_id, accounts)
        assert methods(sandbox) == ["GET", "GET"]

    def test_lost_answer_is_settled_by_reading_and_the_post_not_repeated(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example
    ) -> None:
        sandbox.fail("POST", "*", Fault.drop_after())
        hook.add_tag_to_run(example.run_id, example.tags[1])
        assert methods(sandbox) == ["GET", "POST", "GET"]
        sandbox.forget_requests()
        sandbox.fail("POST", "*", Fault.drop_before())
        with pytest.raises(TallyfyServerError, match="was not carried out") as caught:
            hook.add_run_to_folder(example.run_id, example.folders[1])
        # The next try reads first, and attaches only the missing ones.
        assert not isinstance(caught.value, AirflowFailException)
        assert methods(sandbox) == ["GET", "POST", "GET"]

    @pytest.mark.parametrize("body", [{"error": True}, {"status": "ok"}, ["x"]])
    def test_attach_that_something_else_answered_is_retryable_unless_a_read_shows_it(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, body: Any
    ) -> None:
        for applies in (False, True):
            sandbox.forget_requests()
            sandbox.fail("POST", "*", Fault.other_answer(body, applies=applies))
            if applies:
                hook.add_tag_to_run(example.run_id, example.tags[1])
            else:
                with pytest.raises(TallyfyServerError, match="was not carried out") as caught:
                    hook.add_tag_to_run(example.run_id, example.tags[1])
                assert not isinstance(caught.value, AirflowFailException)
            assert methods(sandbox) == ["GET", "POST", "GET"]

    def test_archived_run_and_light_member(
        self, sandbox: Sandbox, hook: TallyfyHook, example: Example, connect: Callable[..., TallyfyHook]
    ) -> None:
        light = connect(sandbox, password=sandbox.token_for("light"))
        with pytest.raises(TallyfyForbiddenError, match="Light members cannot manage folders"):
            light.add_run_to_folder(example.run_id, example.folders[1])
        sandbox.archive(example.run_id)
        with pytest.raises(TallyfyValidationError, match="Subject not found"):
            hook.add_tag_to_run(example.run_id, example.tags[1])
