"""What an algorithm is, what it may need, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeVar

from simulator.cluster import Cluster
from simulator.cluster.accounting import Process
from simulator.registry import Registry

EVERYTHING = frozenset({"momentum", "weight_decay", "linear_scaling"})
ELASTIC = frozenset({"wait", "shrink"})
Specification = Literal["verified from code", "from the paper", "reconstruction"]


@dataclass(frozen=True)
class Needs:
    """What an algorithm needs, and what it takes from the scenario.

    Attributes
    ----------
    lock_step
        All workers take the same number of steps; else each draws tickets.
    servers
        Parameter servers, which get a host of their own.
    groups
        It divides the workers into groups.
    power_of_two
        The number of workers must be a power of two.
    optimizer
        Parts of `learning.optimizer` that its specification has, beside rate and schedule.
    failures
        What can be done when a worker is lost: `wait` for it, or `shrink`, going on without.
    fixed
        Why it cannot go on without a worker, if it cannot.
    """

    lock_step: bool = True
    servers: int = 0
    groups: bool = False
    power_of_two: bool = False
    optimizer: frozenset[str] = EVERYTHING
    failures: frozenset[str] = frozenset({"wait"})
    fixed: str = "its specification does not say how it would go on without a worker"


class Algorithm(Protocol):
    """How replicas are kept in step: the processes to start on a cluster.

    Class constants say what it needs (`needs`), where it comes from (`paper`) and how
    sure its description is (`specification`).
    """

    needs: ClassVar[Needs]
    paper: ClassVar[str]
    specification: ClassVar[Specification]

    def processes(self, cluster: Cluster) -> Iterator[Process]: ...


ALGORITHMS: Registry[Algorithm] = Registry("algorithm")
register = ALGORITHMS.register

Item = TypeVar("Item")


def with_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Every item with the answer to "is this the last one?".

    >>> list(with_last("ab"))
    [('a', False), ('b', True)]
    """
    remaining = iter(items)
    try:
        item = next(remaining)
    except StopIteration:
        return
    for following in remaining:
        yield item, False
        item = following
    yield item, True
