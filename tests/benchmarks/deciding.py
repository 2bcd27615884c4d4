"""The time of the decision alone, without a disk."""

from __future__ import annotations

from collections.abc import Iterator

from common.temp.commands.collecting import collector_at_rest
from common.temp.core.policy import Policy
from common.temp.core.retention import judge
from tests.benchmarks.figures import Figure, Options, in_turn, seconds
from tests.support import NOW, entry

JUDGED = 100_000


def judging(options: Options) -> Iterator[Figure]:
    """The decision on 100,000 entries, as a command makes it, against one second."""
    entries = [
        entry(path=f"debug/demo{n % 500}_{n}", label=f"demo{n % 500}", changed=NOW - n)
        for n in range(JUDGED)
    ]
    policy = Policy(max_age=40_000, max_count=50, max_total_size=10**8, exclude=("keep*",))

    def decide() -> None:
        with collector_at_rest():
            judge(entries, policy, NOW, free=10**9)

    (ours,) = in_turn(options.pairs, lambda: seconds(decide))
    yield Figure.of("judge, 100,000 entries", ours, "one second", [1.0] * len(ours), 0.8)
