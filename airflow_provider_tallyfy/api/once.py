"""A write that tells people something: sent once, and settled by reading.

Tallyfy has no idempotency key, and completing what is complete fires its events (mails, webhooks, rules) a second
time. So the flows that use this read first, send their write only where it is still to do, and never send it again
on a guess. After a lost answer they read, and read again with growing waits, because a read may come from a replica
that lags behind. If the write still does not show, it may be on its way (a server that gave up waiting may go on
working), so it is not sent again here: the error asks for another try, which reads first, and by then a read tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Pause, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.runs.read import describe_repeat, describe_reply

#: Seconds before each further read of what does not show: Tallyfy's read replicas lag behind.
LAG = (1.0, 2.0, 5.0, 12.0)
#: Refusals that may also mean that it was done before: settled by reading.
_MAYBE_ALREADY = frozenset({400, 403, 404, 409, 410, 422})


@dataclass(frozen=True)
class Done:
    """What a write came to, when it came to what was wanted.

    :param value: the object, as it was last shown.
    :param how: ``changed`` = Tallyfy said so; ``already`` = somebody else was faster; ``checked`` = the answer was
        lost or unclear, and reading showed it.
    :param note: one sentence for the log; empty where there is nothing to add.
    """

    value: dict[str, Any]
    how: Literal["changed", "already", "checked"]
    note: str = ""


def bring_about(
    write: Request,
    read: Request,
    holds: Callable[[Mapping[str, Any]], bool],
    is_so: str,
    *,
    why_not: Callable[[Mapping[str, Any]], str] = lambda value: "",
) -> Flow[Done]:
    """Send a write, and see that what it is for holds.

    :param write: the write; a POST is sent once, anything else is repeated by the policy after a passing fault.
    :param read: reads what it changes.
    :param holds: whether an object shows it.
    :param is_so: that it holds, in words for a person: "the task is complete".
    :param why_not: why an object may not show it although Tallyfy answered with success; a clause, or empty.
    :raises Rejected: ``INDETERMINATE`` where it may or may not have happened; another try reads first, so it is
        harmless. ``NOT_APPLIED`` where Tallyfy answered with success and it does not hold. Else what Tallyfy said.
    """
    exchange = yield write
    if exchange.ok and exchange.value is not None and holds(exchange.value):
        if exchange.doubt is not None:
            return Done(exchange.value, "checked", f"{describe_repeat(exchange)}, and {is_so}")
        return Done(exchange.value, "changed")
    if not exchange.ok and not exchange.maybe_done:
        if exchange.status not in _MAYBE_ALREADY:
            reject(exchange)
        found = yield read
        if found.ok and holds(found.value):
            return Done(found.value, "already", f"Tallyfy answered {exchange.status}; read afterwards, {is_so}")
        reject(exchange)
    found = yield from look_until(read, exchange, holds)
    if found.ok and holds(found.value):
        if exchange.maybe_done:
            return Done(found.value, "checked", f"{describe_reply(exchange)}; read afterwards, {is_so}")
        return Done(found.value, "changed", f"Tallyfy's answer did not show it; read afterwards, {is_so}")
    if exchange.maybe_done or not found.ok:
        raise undecided(exchange, found, f"read afterwards, it does not show that {is_so}")
    reason = why_not(found.value)
    raise about(
        exchange.request,
        Kind.NOT_APPLIED,
        f"{exchange.request.label} answered {exchange.status}, yet it does not show that {is_so}"
        f"{f', because {reason}' if reason else ''}.",
        like=exchange,
    )


def undecided(exchange: Exchange, found: Exchange, shown: str) -> Rejected:
    """The error for a write that may or may not have happened, and of which another try can tell.

    :param found: the read that was to settle it.
    :param shown: what that read showed, if it could be read.
    """
    why = shown if found.ok else f"reading it failed too ({found.unreadable or describe_reply(found)})"
    return about(
        exchange.request,
        Kind.INDETERMINATE,
        f"{exchange.request.label} may or may not have been done ({describe_reply(exchange)}): {why}. It was not sent "
        "again. Another try reads first, so it is harmless: let the task retry, or run it again.",
        like=exchange if isinstance(exchange.reply, Response) else found,
    )


def look_until(read: Request, behind: Exchange, shows: Callable[[Any], bool]) -> Flow[Exchange]:
    """Read until what a doubtful write was for shows, at once and after each of the pauses ``LAG``.

    :param read: the read.
    :param behind: the write whose outcome is in doubt.
    :param shows: whether what was read shows it.
    :return: the last exchange of the read.
    """
    exchange = yield read
    for seconds in LAG:
        if not exchange.ok or shows(exchange.value):
            break
        reason = (
            f"{behind.request.label} may or may not have been done, and does not show; reading again in {seconds} s"
        )
        exchange = yield replace(read, pause=Pause(seconds, reason))
    return exchange
