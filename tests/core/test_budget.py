"""A budget, compared to what is there."""

from __future__ import annotations

from common.temp.core.budget import Budget, Excess, Usage, excesses, together
from tests.each import each

USAGE = Usage(size=100, free=50, entries=7, root="/r")


@each(
    ("budget", "over"),
    [
        (Budget(), ()),
        (Budget(max_size=100, min_free=50, max_entries=7), ()),
        (Budget(max_size=99), (Excess("max size", 100, 99),)),
        (Budget(min_free=51), (Excess("min free", 50, 51),)),
        (Budget(max_entries=6), (Excess("max entries", 7, 6),)),
        (
            Budget(0, 51, 0),
            (
                Excess("max size", 100, 0),
                Excess("min free", 50, 51),
                Excess("max entries", 7, 0),
            ),
        ),
    ],
)
def test_a_limit_is_kept_up_to_itself(budget: Budget, over: tuple[Excess, ...]) -> None:
    assert excesses(budget, USAGE) == over


def test_nothing_is_said_of_free_space_that_is_not_known() -> None:
    assert excesses(Budget(min_free=1), Usage()) == ()


def test_a_budget_of_zero_is_a_limit() -> None:
    assert Budget(max_entries=0).has_limit
    assert not Budget().has_limit


def test_roots_together_have_the_sum_and_the_least_that_is_free() -> None:
    unknown, other = Usage(1, None, 1, "/u"), Usage(10, 20, 3, "/o")
    assert together([unknown, USAGE, other]) == Usage(111, 20, 11, "/o")
    assert together([unknown]) == Usage(1, None, 1)
    assert together([]) == Usage()
