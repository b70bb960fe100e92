"""How much is measured: everything, or what fits into two minutes and shows whether something is broken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Numbers of runs and repetitions.

    :param archive: runs to archive in bulk.
    :param archive_one_by_one: runs to archive with clients that need 50 ms for each; the time is scaled up.
    :param mapped: runs to archive with mapped tasks.
    :param limited: runs to archive under a limit.
    :param waiters: processes that archive one run each under a limit.
    :param walk: number of runs in the short and in the long walk.
    :param reads: reads per block.
    :param blocks: blocks of reads.
    :param imports: imports of each module.
    :param repetitions: of all other benchmarks, except the walks and the limit: one long try of these is enough.
    """

    archive: int = 1000
    archive_one_by_one: int = 100
    mapped: int = 100
    limited: int = 1000
    waiters: int = 20
    walk: tuple[int, int] = (10_000, 100_000)
    reads: int = 200
    blocks: int = 25
    imports: int = 25
    repetitions: int = 5


FULL = Plan()
QUICK = Plan(
    archive=400,
    archive_one_by_one=40,
    mapped=20,
    limited=500,
    waiters=12,
    walk=(5_000, 20_000),
    blocks=9,
    imports=7,
    repetitions=2,
)
