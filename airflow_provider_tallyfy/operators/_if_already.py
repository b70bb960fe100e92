"""What an operator does if there is nothing to do."""

from __future__ import annotations

from typing import Any, Literal, get_args

from airflow_provider_tallyfy._compat import AirflowSkipException

IfAlready = Literal["succeed", "skip", "fail"]
IF_ALREADY = get_args(IfAlready)


def nothing_to_do(operator: Any, name: str, note: str) -> None:
    """End a task that found nothing to do, as its ``if_already`` says.

    :param name: the run or the task, for the message: ``Run 'Onboarding' (0a1b...)``.
    :param note: the reason, in parentheses; may be empty.
    :raises AirflowSkipException: for ``if_already="skip"``.
    :raises TallyfyAlreadyError: for ``if_already="fail"``.
    """
    if operator.if_already == "skip":
        raise AirflowSkipException(f"{name}: nothing to do{note}.")
    if operator.if_already == "fail":
        from airflow_provider_tallyfy.exceptions import TallyfyAlreadyError

        raise TallyfyAlreadyError(f"{name}: nothing to do{note}, and if_already='fail'.")
    operator.log.info("%s: nothing to do%s.", name, note)
