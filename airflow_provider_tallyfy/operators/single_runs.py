"""Operators that change one run (a "process" in Tallyfy's web app) and return it as XCom."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from airflow_provider_tallyfy._compat import AirflowSkipException
from airflow_provider_tallyfy.api.protocol.arguments import check_choice, check_confirm, check_id
from airflow_provider_tallyfy.links.tallyfy import RUN_URL_KEY, TallyfyRunLink
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._literals import check_literals, checked, literals

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.api.runs.archive import Outcome
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments

IfAlready = Literal["succeed", "skip", "fail"]
IF_ALREADY = get_args(IfAlready)

#: The fields that an update can change. Each is an argument of the update operators.
UPDATE_FIELDS = (
    "name",
    "summary",
    "owner_id",
    "tags",
    "add_tags",
    "remove_tags",
    "folders",
    "prerun",
    "starred",
    "is_public",
    "users",
    "groups",
    "publicly_hidden_fields",
    "extra_fields",
)


def check_update_literals(operator: Any) -> None:
    """Check the literal update fields of an operator: each by itself and, if all are literal, all of them together.

    :raises TallyfyArgumentError: for a bad value, and if there is nothing to update. It is a ``ValueError``.
    """
    from airflow_provider_tallyfy.api.runs.fields import FIELDS
    from airflow_provider_tallyfy.api.runs.update import check_extra_fields, checked_changes

    given = {name for name in UPDATE_FIELDS if getattr(operator, name) is not None}
    known = literals(operator, UPDATE_FIELDS)
    for name, value in known.items():
        checked(check_extra_fields if name == "extra_fields" else FIELDS[name].check, name, value)
    if len(known) == len(given):
        extra_fields = known.pop("extra_fields", None)
        checked(checked_changes, known, extra_fields)


class TallyfySingleRunOperator(TallyfyBaseOperator):
    """Base of the operators that change one run."""

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    #: The verb for the log line "Archiving run 0a1b... of organization ...".
    doing: ClassVar[str]

    def __init__(self, *, run_id: str | XComArg, if_already: IfAlready, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checked(check_choice, "if_already", if_already, IF_ALREADY)
        self.run_id = run_id
        self.if_already = if_already
        check_literals(self, {"run_id": check_id})

    @property
    def rendered_run_id(self) -> Any:
        """The id of the run, rendered. It is checked where the request is built."""
        return self.run_id

    @abstractmethod
    def act(self, look_first: bool) -> Outcome:
        """Change the run.

        :param look_first: read the run first, to know for certain whether there is anything to do.
        """

    @abstractmethod
    def done(self, outcome: Outcome) -> str:
        """Return the end of the log line "Run 'Onboarding' (0a1b...) is archived.", from the verb on."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the run and return it as Tallyfy returned it."""
        from airflow_provider_tallyfy.api.runs.model import describe

        run_id = self.rendered_run_id
        context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(run_id))
        self.log.info("%s run %s of organization %s.", self.doing, run_id, self.hook.organization_id)
        outcome = self.act(self.if_already != "succeed")
        name = describe({**outcome.run, "id": run_id})
        note = f" ({outcome.note})" if outcome.note else ""
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        if outcome.how != "already":
            self.log.info("Run %s %s%s.", name, self.done(outcome), note)
        elif self.if_already == "skip":
            raise AirflowSkipException(f"Run {name}: nothing to do{note}.")
        elif self.if_already == "fail":
            from airflow_provider_tallyfy.exceptions import TallyfyAlreadyError

            raise TallyfyAlreadyError(f"Run {name}: nothing to do{note}, and if_already='fail'.")
        else:
            self.log.info("Run %s: nothing to do%s.", name, note)
        return outcome.run


class TallyfyArchiveRunOperator(TallyfySingleRunOperator):
    """Archive a run. Tallyfy keeps it and its tasks; :class:`TallyfyActivateRunOperator` brings them back.

    XCom ``return_value``: the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry: an archived
    run counts as done, and if a response is lost, the run is read to find out its state.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Archive process")

    :param run_id: 32-character id of the run. (templated)
    :param if_already: what to do if the run is archived already: ``succeed``, ``skip`` the task or ``fail`` it. For
        ``skip`` and ``fail`` the run is read first (one more request), to know for certain.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    doing = "Archiving"

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        if_already: IfAlready = "succeed",
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_id=run_id,
            if_already=if_already,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )

    def act(self, look_first: bool) -> Outcome:
        """Archive the run."""
        return self.hook.archive_run_outcome(self.rendered_run_id, look_first=look_first)

    def done(self, outcome: Outcome) -> str:
        """Say that the run is archived."""
        return "is archived"


class TallyfyActivateRunOperator(TallyfySingleRunOperator):
    """Bring an archived run back to life, with its tasks, in the state that it had before.

    XCom ``return_value``: the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Activate process")

    :param run_id: 32-character id of the run. (templated)
    :param if_already: what to do if the run is not archived: ``succeed``, ``skip`` the task or ``fail`` it. For
        ``skip`` and ``fail`` the run is read first (one more request), to know for certain.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyNotFoundError: if there is no such run; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    doing = "Activating"

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        if_already: IfAlready = "succeed",
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_id=run_id,
            if_already=if_already,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )

    def act(self, look_first: bool) -> Outcome:
        """Activate the run."""
        return self.hook.activate_run_outcome(self.rendered_run_id, look_first=look_first)

    def done(self, outcome: Outcome) -> str:
        """Say that the run is active."""
        return "is active"


class TallyfyUpdateRunOperator(TallyfySingleRunOperator):
    """Change fields of a live run. Fields that are not given keep their values, members and groups included.

    ``None`` means "not given"; ``""`` and ``[]`` clear a field. The operator reads the run, merges the changes, writes,
    and checks that the run has every new value. If Tallyfy ignored a field, the error names it. XCom ``return_value``:
    the run as Tallyfy returned it; ``tallyfy_run_url``: its address. Safe to retry.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Update process")

    :param run_id: 32-character id of the run. (templated)
    :param name: new name, at most 550 characters. (templated)
    :param summary: new summary. (templated)
    :param owner_id: user id of the new owner, a number or its digits. (templated)
    :param tags: ids or titles of tags; replaces all tags. (templated)
    :param add_tags: ids or titles of tags to add. (templated)
    :param remove_tags: ids or titles of tags to take away. (templated)
    :param create_missing_tags: create tags that do not exist, instead of failing.
    :param folders: folder ids; replaces all folders. (templated)
    :param prerun: kick-off answers, ``{field id: answer}`` or a list of such; answers not named stay. (templated)
    :param starred: starred or not. (templated)
    :param is_public: public or not. (templated)
    :param users: user ids; replaces all members. (templated)
    :param groups: group ids; replaces all groups. (templated)
    :param publicly_hidden_fields: what guests don't see, such as ``["comments"]``. (templated)
    :param extra_fields: further fields of the API, by name. (templated)
    :param if_already: what to do if the run has all the values already: ``succeed``, ``skip`` the task or ``fail`` it.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyArchivedError: if the run is archived; further errors in :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = (*TallyfySingleRunOperator.template_fields, *UPDATE_FIELDS)
    template_fields_renderers: ClassVar[dict[str, str]] = {"prerun": "json", "extra_fields": "json"}
    doing = "Updating"

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        name: str | XComArg | None = None,
        summary: str | XComArg | None = None,
        owner_id: int | str | XComArg | None = None,
        tags: Iterable[str] | XComArg | None = None,
        add_tags: Iterable[str] | XComArg | None = None,
        remove_tags: Iterable[str] | XComArg | None = None,
        create_missing_tags: bool = False,
        folders: Iterable[str] | XComArg | None = None,
        prerun: Mapping[str, Any] | Iterable[Mapping[str, Any]] | str | XComArg | None = None,
        starred: bool | str | XComArg | None = None,
        is_public: bool | str | XComArg | None = None,
        users: Iterable[int | str] | XComArg | None = None,
        groups: Iterable[str] | XComArg | None = None,
        publicly_hidden_fields: Iterable[str] | XComArg | None = None,
        extra_fields: Mapping[str, Any] | str | XComArg | None = None,
        if_already: IfAlready = "succeed",
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(
            run_id=run_id,
            if_already=if_already,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.name = name
        self.summary = summary
        self.owner_id = owner_id
        self.tags = tags
        self.add_tags = add_tags
        self.remove_tags = remove_tags
        self.create_missing_tags = create_missing_tags
        self.folders = folders
        self.prerun = prerun
        self.starred = starred
        self.is_public = is_public
        self.users = users
        self.groups = groups
        self.publicly_hidden_fields = publicly_hidden_fields
        self.extra_fields = extra_fields
        check_update_literals(self)

    def act(self, look_first: bool) -> Outcome:
        """Update the run, which is always read first."""
        changes: dict[str, Any] = {field: getattr(self, field) for field in UPDATE_FIELDS}
        return self.hook.update_run_outcome(
            self.rendered_run_id, create_missing_tags=self.create_missing_tags is True, **changes
        )

    def done(self, outcome: Outcome) -> str:
        """List the changed fields with their old and new values."""
        from airflow_provider_tallyfy.api.runs.fields import describe_changes

        return f"is updated: {describe_changes(outcome.before or {}, outcome.run)}"


class TallyfyDeleteRunOperator(TallyfyBaseOperator):
    """Delete an archived run permanently, with its tasks and answers. This cannot be undone.

    XCom ``return_value``: the run as it was before.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Delete process")

    :param run_id: 32-character id of the run. (templated)
    :param confirm: must be ``True``, written in the DAG file.
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyValidationError: if the run is not archived; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = ("run_id", *TallyfyBaseOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        confirm: bool = False,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        checked(check_confirm, "confirm", confirm)
        self.run_id = run_id
        self.confirm = confirm
        check_literals(self, {"run_id": check_id})

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the run and return it as it was before."""
        from airflow_provider_tallyfy.api.runs.model import describe

        run_id: Any = checked(check_id, "run_id", self.run_id)
        self.log.info("Permanently deleting run %s of organization %s.", run_id, self.hook.organization_id)
        run = self.hook.delete_run(run_id, confirm=self.confirm)
        self.log.info("Run %s is deleted permanently.", describe(run))
        return run
