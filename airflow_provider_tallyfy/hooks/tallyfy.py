"""TallyfyHook: the Tallyfy API from Python, on an Airflow connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from airflow_provider_tallyfy import connection_form
from airflow_provider_tallyfy.api.endpoints import organization as organization_endpoints
from airflow_provider_tallyfy.api.protocol.arguments import check_flag, check_id, check_texts, show
from airflow_provider_tallyfy.api.protocol.messages import Flow
from airflow_provider_tallyfy.api.protocol.reading import ask
from airflow_provider_tallyfy.api.runs import archive, delete, labels, read, update
from airflow_provider_tallyfy.api.runs.archive import Outcome
from airflow_provider_tallyfy.api.runs.model import Run
from airflow_provider_tallyfy.api.tasks.answers import read_with_answers
from airflow_provider_tallyfy.exceptions import (
    TallyfyArgumentError,
    TallyfyError,
    TallyfyForbiddenError,
    TallyfyNotFoundError,
    TallyfyUnreachableError,
)
from airflow_provider_tallyfy.hooks._bulk import BulkRunsHook
from airflow_provider_tallyfy.hooks._find import FindRunsHook
from airflow_provider_tallyfy.hooks._launch import LaunchRunsHook
from airflow_provider_tallyfy.hooks._tasks import TasksHook

TEST_TIMEOUT = 15.0  # seconds; somebody is looking at the form


class TallyfyHook(FindRunsHook, BulkRunsHook, LaunchRunsHook, TasksHook):
    """Request the Tallyfy API: one connection look-up and one kept ``requests.Session`` per hook.

    Every method raises a :class:`~airflow_provider_tallyfy.exceptions.TallyfyError`: an argument or configuration
    error before anything is sent, an API error with the server's own words after it. Requests are repeated inside
    the hook as :class:`~airflow_provider_tallyfy.api.protocol.retry.RetryPolicy` says. A hook belongs to one thread.

    ``run()`` and ``run_with_advanced_retry()`` of ``HttpHook`` work as ever, authenticated and against the
    connection's base URL, with the errors of this provider and without its retries.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/

    :param tallyfy_conn_id: connection of type ``tallyfy``.
    :param organization_id: 32-character id of the organization; ``None`` = the connection's login.
    :param timeout: seconds that one request may wait for its answer; ``None`` = the connection's, else 60.
    :param max_retries: repetitions of a request after a passing fault; ``None`` = the connection's, else 3.
    """

    conn_name_attr = "tallyfy_conn_id"
    default_conn_name = "tallyfy_default"
    conn_type = connection_form.CONN_TYPE
    hook_name = connection_form.HOOK_NAME

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Extra fields of the connection form, for Airflow 2.11 to 3.1."""
        return connection_form.connection_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Labels and placeholders of the connection form, for Airflow 2.11 to 3.1."""
        return connection_form.ui_field_behaviour()

    # -- who and where -----------------------------------------------------------------------------------------------

    def get_current_user(self) -> dict[str, Any]:
        """Return the token's user (``GET /me``)."""
        return self._perform(ask(organization_endpoints.get_me()))

    def get_organization(self) -> dict[str, Any]:
        """Return the organization (``GET /organizations/{org}``)."""
        return self._perform(ask(organization_endpoints.get_organization(self.organization_id)))

    def get_member(self) -> dict[str, Any]:
        """Return the token's user as a member of the organization, with the role (``GET /organizations/{org}/me``)."""
        return self._perform(ask(organization_endpoints.get_member(self.organization_id)))

    def test_connection(self) -> tuple[bool, str]:
        """Say whether token and organization are right, in a sentence for the person who filled in the form.

        Two cheap reads, no retries, 15 seconds at most for each.
        """
        probe = type(self)(
            self.tallyfy_conn_id, organization_id=self._organization_id, timeout=TEST_TIMEOUT, max_retries=0
        )
        try:
            member = probe.get_member()
            organization = probe.get_organization()
        except (TallyfyForbiddenError, TallyfyNotFoundError) as error:
            return False, (
                f"Tallyfy at {probe.settings.base_url} does not let this token see the organization "
                f"{probe.organization_id}: check the Organization ID (login), and that the API base URL (host) is "
                f"right. [{_first_line(error)}]"
            )
        except TallyfyUnreachableError as error:
            # The request that was tried means nothing to the person at the form; the address does.
            reason = str(error).partition("got no answer: ")[2]
            return False, f"Tallyfy can't be reached at {probe.settings.base_url}: {reason}"
        except TallyfyError as error:
            return False, _as_one_line(error)
        who = member.get("full_name") or " ".join(filter(None, (member.get("first_name"), member.get("last_name"))))
        role = str(member.get("role") or "unknown")
        text = (
            f"Connected to the organization {organization.get('name')!r} as {who or 'user'} "
            f"<{member.get('email', '?')}>, role: {role}."
        )
        if role == "light":
            text += " A light member may not archive or activate runs: Tallyfy will refuse it (403)."
        return True, text

    # -- runs --------------------------------------------------------------------------------------------------------

    def get_run(self, run_id: str, *, include: Iterable[str] = (), answers: bool = False) -> Run:
        """Return a run, live or archived.

        A run that can't be read by its id is looked for among the archived ones (Tallyfy may hide those).

        :param run_id: 32-character id.
        :param include: relations to return with it, such as ``["tags", "folders", "tasks"]``.
        :param answers: return what people wrote into its kick-off form and its tasks too: the key ``answers`` holds
            ``{label: value}``, dates as ISO text, choices as their text, ``None`` for a field without an answer. A
            label that occurs twice is followed by the title of its step: ``"Amount (Approve)"``.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        wanted = tuple(self._checked(check_texts, "include", include))
        if self._checked(check_flag, "answers", answers):
            return self._perform(read_with_answers(self.organization_id, run_id, wanted))

        def flow() -> Flow[Run]:
            return (yield from read.require(self.organization_id, run_id, include=wanted)).run

        return self._perform(flow())

    def archive_run(self, run_id: str) -> Run:
        """Archive a run and return it. A run that is archived already is returned as it is.

        One request for a live run. Every doubt (no body, a 404, a lost answer) is settled by reading.

        :param run_id: 32-character id.
        :raises TallyfyNotFoundError: if there is no such run.
        :raises TallyfyForbiddenError: if the token's user may not archive (light members).
        :raises TallyfyIndeterminateError: if it can't be found out whether the run is archived.
        """
        return self.archive_run_outcome(run_id).run

    def archive_run_outcome(self, run_id: str, *, look_first: bool = False) -> Outcome:
        """Do as :meth:`archive_run`, and tell how it came about.

        :param run_id: 32-character id.
        :param look_first: read the run before, to know for certain whether it was archived already.
        """
        return self._perform(archive.archive(self.organization_id, run_id, look_first=look_first))

    def activate_run(self, run_id: str) -> Run:
        """Bring an archived run back and return it. A live run is returned as it is.

        :param run_id: 32-character id.
        :raises TallyfyNotFoundError: if there is no such run.
        :raises TallyfyForbiddenError: if the token's user may not activate (light members).
        :raises TallyfyIndeterminateError: if it can't be found out whether the run is active.
        """
        return self.activate_run_outcome(run_id).run

    def activate_run_outcome(self, run_id: str, *, look_first: bool = False) -> Outcome:
        """Do as :meth:`activate_run`, and tell how it came about.

        :param run_id: 32-character id.
        :param look_first: read the run before, to know for certain whether it was active already.
        """
        return self._perform(archive.activate(self.organization_id, run_id, look_first=look_first))

    def update_run(
        self,
        run_id: str,
        *,
        name: str | None = None,
        summary: str | None = None,
        owner_id: int | str | None = None,
        tags: Iterable[str] | None = None,
        add_tags: Iterable[str] | None = None,
        remove_tags: Iterable[str] | None = None,
        create_missing_tags: bool = False,
        folders: Iterable[str] | None = None,
        prerun: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        starred: bool | str | None = None,
        is_public: bool | str | None = None,
        users: Iterable[int | str] | None = None,
        groups: Iterable[str] | None = None,
        publicly_hidden_fields: Iterable[str] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        **unknown: NoReturn,
    ) -> Run:
        """Change fields of a live run and return it: read, merge, write, verify.

        What is not given stays as it is, members and groups included. ``None`` = not given; ``""`` and ``[]`` =
        cleared. Errors are those of :meth:`update_run_outcome`.

        :param run_id: 32-character id.
        :param name: new name, at most 550 characters.
        :param summary: new summary.
        :param owner_id: user id of the new owner, a number or its digits.
        :param tags: ids or titles of tags; replaces all tags.
        :param add_tags: ids or titles of tags to add.
        :param remove_tags: ids or titles of tags to take away.
        :param create_missing_tags: make tags that don't exist, instead of failing.
        :param folders: folder ids; replaces all folders.
        :param prerun: kick-off answers, ``{field id: answer}`` or a list of such; answers not named stay.
        :param starred: starred or not.
        :param is_public: public or not.
        :param users: user ids; replaces all members.
        :param groups: group ids; replaces all groups.
        :param publicly_hidden_fields: what guests don't see, such as ``["comments"]``.
        :param extra_fields: further fields of the API, by name.
        """
        given = _given(locals())  # before any other name is bound
        return self._update(run_id, **given).run

    def update_run_outcome(
        self,
        run_id: str,
        *,
        name: str | None = None,
        summary: str | None = None,
        owner_id: int | str | None = None,
        tags: Iterable[str] | None = None,
        add_tags: Iterable[str] | None = None,
        remove_tags: Iterable[str] | None = None,
        create_missing_tags: bool = False,
        folders: Iterable[str] | None = None,
        prerun: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        starred: bool | str | None = None,
        is_public: bool | str | None = None,
        users: Iterable[int | str] | None = None,
        groups: Iterable[str] | None = None,
        publicly_hidden_fields: Iterable[str] | None = None,
        extra_fields: Mapping[str, Any] | None = None,
        **unknown: NoReturn,
    ) -> Outcome:
        """Change fields of a live run. What is not given stays as it is, members and groups included.

        ``None`` = not given; ``""`` and ``[]`` = cleared. Tags and folders that Tallyfy ignores in the update are set
        one by one; any other field that it ignored is an error that names the field.

        :param run_id: 32-character id.
        :param name: new name, at most 550 characters.
        :param summary: new summary.
        :param owner_id: user id of the new owner, a number or its digits.
        :param tags: ids or titles of tags; replaces all tags.
        :param add_tags: ids or titles of tags to add.
        :param remove_tags: ids or titles of tags to take away.
        :param create_missing_tags: make tags that don't exist, instead of failing.
        :param folders: folder ids; replaces all folders.
        :param prerun: kick-off answers, ``{field id: answer}`` or a list of such; answers not named stay.
        :param starred: starred or not.
        :param is_public: public or not.
        :param users: user ids; replaces all members.
        :param groups: group ids; replaces all groups.
        :param publicly_hidden_fields: what guests don't see, such as ``["comments"]``.
        :param extra_fields: further fields of the API, by name.
        :raises TallyfyArgumentError: for an unknown field, a bad value, nothing to update, or unknown titles of tags.
        :raises TallyfyArchivedError: if the run is archived; activate it first.
        :raises TallyfyNotAppliedError: if the run does not show a wanted value afterwards.
        :raises TallyfyValidationError: if Tallyfy does not accept a value.
        """
        given = _given(locals())  # before any other name is bound
        return self._update(run_id, **given)

    def _update(self, run_id: str, *, extra_fields: Any, create_missing_tags: bool, **changes: Any) -> Outcome:
        return self._perform(
            update.update(self.organization_id, run_id, changes, extra_fields, create_missing_tags=create_missing_tags)
        )

    def delete_run(self, run_id: str, *, confirm: bool) -> Run:
        """Destroy an archived run for ever, with its tasks and answers, and return it as it was.

        :param run_id: 32-character id.
        :param confirm: must be ``True``.
        :raises TallyfyArgumentError: without ``confirm=True``.
        :raises TallyfyValidationError: if the run is not archived.
        :raises TallyfyForbiddenError: if the token's user is no admin.
        """
        if confirm is not True:
            raise TallyfyArgumentError(f"confirm={show(confirm)}: deleting a run can't be undone; pass confirm=True.")
        return self._perform(delete.delete(self.organization_id, run_id))

    # -- tags and folders of a run -----------------------------------------------------------------------------------

    def add_tag_to_run(self, run_id: str, tag_id: str) -> Run:
        """Attach a tag, unless it is attached already.

        :param run_id: 32-character id of the run.
        :param tag_id: 32-character id of the tag.
        :return: the run with its tags.
        """
        return self._perform(labels.add(self.organization_id, run_id, labels.TAGS, tag_id))

    def remove_tag_from_run(self, run_id: str, tag_id: str) -> Run:
        """Detach a tag (its association is looked up).

        :param run_id: 32-character id of the run.
        :param tag_id: 32-character id of the tag.
        :return: the run with its tags.
        """
        return self._perform(labels.remove(self.organization_id, run_id, labels.TAGS, tag_id))

    def add_run_to_folder(self, run_id: str, folder_id: str) -> Run:
        """Put a run into a folder, unless it is there already.

        :param run_id: 32-character id of the run.
        :param folder_id: 32-character id of the folder.
        :return: the run with its folders.
        """
        return self._perform(labels.add(self.organization_id, run_id, labels.FOLDERS, folder_id))

    def remove_run_from_folder(self, run_id: str, folder_id: str) -> Run:
        """Take a run out of a folder (its relation is looked up).

        :param run_id: 32-character id of the run.
        :param folder_id: 32-character id of the folder.
        :return: the run with its folders.
        """
        return self._perform(labels.remove(self.organization_id, run_id, labels.FOLDERS, folder_id))

    # -- links -------------------------------------------------------------------------------------------------------

    def run_url(self, run_id: str) -> str:
        """Address of the run in the Tallyfy web app.

        :param run_id: 32-character id.
        """
        return self.settings.run_url(self.organization_id, self._checked(check_id, "run_id", run_id))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _as_one_line(error: Exception) -> str:
    """The message for Airflow's form, which runs lines together."""
    first, *more = (line.strip() for line in str(error).splitlines())
    return " ".join([first if not more or first.endswith((".", ":")) else f"{first}.", *more])


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an update but its run; unknown ones stay among them, and are refused like bad values."""
    named = {name: value for name, value in arguments.items() if name not in ("self", "run_id", "unknown")}
    return {**named, **arguments["unknown"]}
