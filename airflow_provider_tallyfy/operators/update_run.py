"""The operator that updates a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.operators._if_already import IfAlready
from airflow_provider_tallyfy.operators._single_run import TallyfySingleRunOperator
from airflow_provider_tallyfy.operators._update_fields import UPDATE_FIELDS, check_update_literals

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import XComArg
    from airflow_provider_tallyfy.api.runs.archive import Outcome
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments


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
    :param if_already: what to do if the run already has all values: ``succeed``, ``skip`` the task or ``fail`` it.
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
