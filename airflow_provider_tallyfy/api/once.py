"""Send a write that notifies people once; if its answer is unclear, a read decides.

Tallyfy has no idempotency key, and completing a task twice sends its mails and webhooks and runs its rules twice. So a
flow that uses this module reads first and sends its write only if that is still necessary. After a lost answer, it
reads several times with growing pauses, because Tallyfy's read replicas may lag behind. If the change does not show
even then, the server may still be working on it. So the write is not sent again. The error asks for a retry, which
reads first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_tallyfy.api.protocol.messages import Exchange, Flow, Pause, Request, Response
from airflow_provider_tallyfy.api.protocol.problems import Kind, Rejected, about, reject
from airflow_provider_tallyfy.api.runs.read import describe_repeat, describe_reply

#: Pauses between reads in seconds, because Tallyfy's read replicas may lag behind.
LAG = (1.0, 2.0, 5.0, 12.0)
#: Statuses that can also mean "there is nothing to do": a read decides.
_MAYBE_ALREADY = frozenset({400, 403, 404, 409, 410, 422})


@dataclass(frozen=True)
class WriteOutcome:
    """How a successful write ended.

    :param value: the object as Tallyfy returned it last.
    :param how: ``changed`` = Tallyfy's answer shows the change; ``already`` = somebody else had made it;
        ``checked`` = the answer was lost or unclear, and a read showed the wanted state.
    :param note: details for the log; may be empty.
    """

    value: dict[str, Any]
    how: Literal["changed", "already", "checked"]
    note: str = ""


def write_once(
    write: Request,
    read: Request,
    is_done: Callable[[Mapping[str, Any]], bool],
    goal: str,
    *,
    why_not: Callable[[Mapping[str, Any]], str] = lambda value: "",
) -> Flow[WriteOutcome]:
    """Send a write once, and check that the object is in the wanted state.

    :param write: the write. A POST is sent once; other methods are repeated after a temporary failure.
    :param read: the read of the object that the write changes.
    :param is_done: returns whether the object is in the wanted state.
    :param goal: the wanted state, for notes and errors: "the task is complete".
    :param why_not: returns why an object is not in the wanted state although the write succeeded; may be empty.
    :raises Rejected: ``INDETERMINATE`` if it is unknown whether the write was carried out; ``NOT_APPLIED`` if Tallyfy
        reported success, but the object is not in the wanted state; otherwise Tallyfy's own error.
    """
    exchange = yield write
    if exchange.ok and exchange.value is not None and is_done(exchange.value):
        if exchange.doubt is not None:
            return WriteOutcome(exchange.value, "checked", f"{describe_repeat(exchange)}; the answer shows that {goal}")
        return WriteOutcome(exchange.value, "changed")
    if not exchange.ok and not exchange.maybe_done:
        if exchange.status not in _MAYBE_ALREADY:
            reject(exchange)
        found = yield read
        if found.ok and is_done(found.value):
            return WriteOutcome(found.value, "already", f"Tallyfy answered {exchange.status}; a read shows that {goal}")
        reject(exchange)
    found = yield from read_until(read, exchange, is_done)
    if found.ok and is_done(found.value):
        if exchange.maybe_done:
            return WriteOutcome(found.value, "checked", f"{describe_reply(exchange)}; a read shows that {goal}")
        return WriteOutcome(found.value, "changed", f"Tallyfy's answer did not show it; a read shows that {goal}")
    if exchange.maybe_done or not found.ok:
        raise _undecided(exchange, found, f"a read does not show that {goal}")
    reason = why_not(found.value)
    raise about(
        exchange.request,
        Kind.NOT_APPLIED,
        f"{exchange.request.label} answered {exchange.status}, but a read does not show that {goal}"
        f"{f', because {reason}' if reason else ''}.",
        like=exchange,
    )


def _undecided(exchange: Exchange, found: Exchange, shown: str) -> Rejected:
    """Return the error for a write that may or may not have been carried out.

    :param found: the read after it.
    :param shown: what that read shows, if it succeeded.
    """
    why = shown if found.ok else f"reading it failed too ({found.unreadable or describe_reply(found)})"
    return about(
        exchange.request,
        Kind.INDETERMINATE,
        f"{exchange.request.label} may or may not have been done ({describe_reply(exchange)}): {why}. It was not sent "
        "again. A retry is harmless, because it reads first: let the task retry, or run it again.",
        like=exchange if isinstance(exchange.reply, Response) else found,
    )


def read_until(read: Request, behind: Exchange, is_done: Callable[[Any], bool]) -> Flow[Exchange]:
    """Read until the object is in the wanted state: at once, and after each of the pauses in ``LAG``.

    :param read: the read.
    :param behind: the write whose outcome is unclear.
    :param is_done: returns whether the object is in the wanted state.
    :return: the last exchange; a read that failed ends the loop.
    """
    exchange = yield read
    for seconds in LAG:
        if not exchange.ok or is_done(exchange.value):
            break
        reason = (
            f"{behind.request.label} may or may not have been done: a read does not show it; reading again in "
            f"{seconds} s"
        )
        exchange = yield replace(read, pause=Pause(seconds, reason))
    return exchange
