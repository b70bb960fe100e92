"""The operator that launches a run once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_tallyfy.api.protocol.arguments import show
from airflow_provider_tallyfy.links.tallyfy import RUN_URL_KEY, TallyfyRunLink
from airflow_provider_tallyfy.operators._base import TallyfyBaseOperator
from airflow_provider_tallyfy.operators._literals import check_literals, checked

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from airflow_provider_tallyfy._compat import Context, XComArg
    from airflow_provider_tallyfy.api.runs.launch_key import TaskIdentity
    from airflow_provider_tallyfy.operators._task_arguments import TaskArguments

#: The arguments of the launch, and their names in the hook. The argument ``owner`` of an operator is Airflow's own, and
#: ``default_args`` usually set it.
_ARGUMENTS: Mapping[str, str] = {
    "template": "template",
    "name": "name",
    "summary": "summary",
    "run_owner": "owner",
    "answers": "answers",
    "assignees": "assignees",
    "deadlines": "deadlines",
    "tags": "tags",
    "folders": "folders",
    "launch_key": "launch_key",
    "if_launched": "if_launched",
    "extra_fields": "extra_fields",
}


RUN_ID_KEY = "tallyfy_run_id"


class TallyfyLaunchRunOperator(TallyfyBaseOperator):
    """Launch a run of a template once. A retry, or a task that is cleared, adopts the run that the first try launched.

    The summary of the run ends with "Launched by Airflow: <DAG>, <DAG run>, <task> (key ...)". Every try except the
    first searches for this key before it launches a run, among all runs since the DAG run was created. Any try does so
    if the response to the launch is lost. At the end, the operator reads the run and compares it with the arguments.

    Without ``launch_key``, the key is made from the DAG run, the task and its map index. Give a ``launch_key`` if the
    list of a mapped task may change between two tries, or if several Airflows run the same DAG for one organization.

    XCom ``return_value``: the run as Tallyfy returned it. As soon as the id of the run is known, ``tallyfy_run_id`` is
    its id, which a later task can use as ``launch.output["tallyfy_run_id"]``, and ``tallyfy_run_url`` its address.

    .. seealso:: https://tallyfy.com/products/pro/integrations/open-api/ ("Launch process")

    :param template: title or id of the template. (templated)
    :param name: name of the run, at most 550 characters; ``None`` = the template's title and the day. (templated)
    :param summary: summary of the run. A line with the key of the launch is added below it. (templated)
    :param run_owner: id or e-mail address of the member who owns the run; ``None`` = the token's user. The
        argument ``owner`` is Airflow's own. But a user id or e-mail address in ``owner``, unless it comes from
        ``default_args``, counts as ``run_owner``. (templated)
    :param answers: answers to the kick-off form, by label, alias or id of the field, as plain Python values.
        (templated)
    :param assignees: the assignees of steps, by title, alias or id of the step: e-mail addresses and ids of members,
        and e-mail addresses of guests. They replace the owners of the step; other steps keep theirs. (templated)
    :param deadlines: when steps are due, by title, alias or id of the step: a ``datetime``, a ``date`` (the end of that
        day), ISO 8601 text, or a ``timedelta`` (or ``"P3D"``) from the launch. (templated)
    :param tags: ids or titles of tags. (templated)
    :param folders: ids or names of folders. (templated)
    :param launch_key: identifies what is launched in all DAG runs, for example a customer number. ``None`` = one launch
        per task, map index and DAG run. (templated)
    :param if_launched: what to do if a run already has the key: ``adopt`` it, ``launch_again`` (one more run each time
        the task is cleared), or ``fail``. (templated)
    :param extra_fields: further fields of the API, by name. (templated)
    :param organization_id: 32-character id; ``None`` = the login of the connection. (templated)
    :param tallyfy_conn_id: id of the connection. (templated)
    :raises TallyfyIndeterminateError: if it is unknown whether the run was launched; further errors in
        :mod:`airflow_provider_tallyfy.exceptions`.
    """

    template_fields: Sequence[str] = (*_ARGUMENTS, *TallyfyBaseOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(
        ("answers", "assignees", "deadlines", "extra_fields"), "json"
    )
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(
        self,
        *,
        template: str | XComArg,
        name: str | XComArg | None = None,
        summary: str | XComArg | None = None,
        run_owner: int | str | XComArg | None = None,
        answers: Mapping[str, Any] | str | XComArg | None = None,
        assignees: Mapping[str, Iterable[int | str] | XComArg] | str | XComArg | None = None,
        deadlines: Mapping[str, datetime | date | timedelta | str | XComArg] | str | XComArg | None = None,
        tags: Iterable[str] | XComArg | None = None,
        folders: Iterable[str] | XComArg | None = None,
        launch_key: str | XComArg | None = None,
        if_launched: Literal["adopt", "launch_again", "fail"] | str | XComArg = "adopt",
        extra_fields: Mapping[str, Any] | str | XComArg | None = None,
        organization_id: str | XComArg | None = None,
        tallyfy_conn_id: str | XComArg = "tallyfy_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        arguments: dict[str, Any] = {**kwargs}
        if run_owner is None and is_run_owner(arguments.get("owner"), arguments.get("dag")):
            run_owner = arguments.pop("owner")
        super().__init__(organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **arguments)
        self.template = template
        self.name = name
        self.summary = summary
        self.run_owner = run_owner
        self.answers = answers
        self.assignees = assignees
        self.deadlines = deadlines
        self.tags = tags
        self.folders = folders
        self.launch_key = launch_key
        self.if_launched = if_launched
        self.extra_fields = extra_fields
        #: For the error if the template renders to nothing.
        self._launch_key_as_given = launch_key
        self._check_literals()

    def _check_literals(self) -> None:
        from airflow_provider_tallyfy.api.runs.launch_arguments import CHECKS

        check_literals(self, {name: CHECKS[called] for name, called in _ARGUMENTS.items()})

    def execute(self, context: Context) -> dict[str, Any]:
        """Launch or adopt the run, and return it as Tallyfy returned it."""
        arguments: dict[str, Any] = {called: getattr(self, name) for name, called in _ARGUMENTS.items()}
        if self._launch_key_as_given is not None:
            arguments["launch_key"] = checked(self._check_rendered_key, "launch_key", self.launch_key)
        self.log.info(
            "Launching a run of the template %s in organization %s.", show(self.template), self.hook.organization_id
        )

        def push(run: dict[str, Any]) -> None:
            context["ti"].xcom_push(key=RUN_URL_KEY, value=self.hook.run_url(run["id"]))
            context["ti"].xcom_push(key=RUN_ID_KEY, value=run["id"])

        outcome = self.hook.launch_run_outcome(
            **arguments, task=identity_of(context, self.task_id, self.retries), on_launched=push
        )
        self.log.debug("Requests to Tallyfy: %d.", self.hook.request_count)
        return outcome.run

    def _check_rendered_key(self, argument: str, value: object) -> str:
        from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
        from airflow_provider_tallyfy.api.runs.launch_key import check_launch_key

        try:
            return check_launch_key(argument, value)
        except ArgumentError as mistake:
            given = self._launch_key_as_given
            source = "" if given is value else f" It was rendered from {show(given)}."
            raise ArgumentError(f"{mistake}{source} (Launch of the template {show(self.template)}.)") from None


def is_run_owner(owner: object, dag: Any) -> bool:
    """Return whether the argument ``owner`` means a member of Tallyfy, not the owner of the Airflow task.

    :param owner: the value of the argument.
    :param dag: the DAG. A mapped task gets the owner of its ``default_args`` like a given one.
    """
    default_args = getattr(dag, "default_args", None) or {}
    if owner is None or owner == default_args.get("owner"):
        return False
    if not isinstance(owner, str):
        return True
    return "{{" in owner or owner.strip().isdigit() or re.fullmatch(r"[^@\s]+@[^@\s]+", owner.strip()) is not None


def identity_of(context: Context, task_id: str, retries: object) -> TaskIdentity:
    """Return the running task and its try.

    When a task is cleared, ``try_number`` is not reset, and ``max_tries`` becomes the number of tries so far plus
    ``retries``.

    :param task_id: id of the task, including its task groups.
    :param retries: number of retries of the task.
    """
    from airflow_provider_tallyfy.api.runs.launch_key import TaskIdentity

    ti = context["ti"]
    tries = _number(getattr(ti, "try_number", 1), 1)
    first = _number(getattr(ti, "max_tries", None), 0) - _number(retries, 0) + 1
    return TaskIdentity(
        dag_id=str(ti.dag_id),
        run_id=str(ti.run_id),
        task_id=task_id,
        map_index=_number(getattr(ti, "map_index", -1), -1),
        try_number=tries,
        first_try=min(max(first, 1), tries),
        since=_created(context.get("dag_run")),
    )


def _created(dag_run: object) -> datetime | None:
    """Return a time not after the creation of a DAG run. It is not ``start_date``, because clearing changes that."""
    now = datetime.now(timezone.utc)
    for name in ("run_after", "logical_date"):
        moment = getattr(dag_run, name, None)
        if isinstance(moment, datetime) and moment.tzinfo is not None and moment <= now:
            return moment
    return None


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
