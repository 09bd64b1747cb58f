"""What an algorithm is, what it may need, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.errors import InvalidInput
from simulator.network import Group
from simulator.registry import Registry

EVERYTHING = frozenset({"momentum", "nesterov", "weight_decay", "linear_scaling"})
NO_MOMENTUM = EVERYTHING - {"momentum", "nesterov"}
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
    restarts
        Its replicas, one process per worker, can be begun anew from parameters and optimiser
        state at any step; so it can be the base of another method.
    timed
        What is learned depends on who comes when, although all take the same steps.
    """

    lock_step: bool = True
    servers: int = 0
    groups: bool = False
    power_of_two: bool = False
    optimizer: frozenset[str] = EVERYTHING
    failures: frozenset[str] = frozenset({"wait"})
    fixed: str = "its specification does not say how it would go on without a worker"
    restarts: bool = True
    timed: bool = False


@dataclass(frozen=True)
class OfTheBase(Needs):
    """Needs of which some, asked of an instance, are those of its base."""

    def __get__(self, instance: Any, owner: type) -> Needs:
        del owner
        if instance is None:
            return self
        base = instance.base.needs
        return replace(self, optimizer=base.optimizer, groups=base.groups, timed=base.timed)


class Algorithm(Protocol):
    """How replicas are kept in step: the processes to start on a cluster.

    Class constants say what it needs (`needs`), where it comes from (`paper`) and how
    sure its description is (`specification`).
    """

    needs: ClassVar[Needs]
    paper: ClassVar[str]
    specification: ClassVar[Specification]

    def processes(self, cluster: Cluster) -> Iterator[Process]: ...


def specification_of(algorithm: Algorithm) -> Specification:
    """How sure the description of *algorithm*, and of its base if it has one, is."""
    base = getattr(algorithm, "base", algorithm)
    reconstructed = "reconstruction" in (base.specification, algorithm.specification)
    return "reconstruction" if reconstructed else algorithm.specification


ALGORITHMS: Registry[Algorithm] = Registry("algorithm")
BASES: Registry[Algorithm] = Registry("base algorithm")  # of methods that wrap another one

Item = TypeVar("Item")
Registered = TypeVar("Registered", bound=Algorithm)
Replica = Callable[[Worker, int, Group], Process]


def register(name: str) -> Callable[[type[Registered]], type[Registered]]:
    """Class decorator: enters an algorithm, and as a base if it can be one."""

    def enter(cls: type[Registered]) -> type[Registered]:
        ALGORITHMS.register(name)(cls)
        if cls.needs.lock_step and cls.needs.restarts and not cls.needs.servers:
            BASES.register(name)(cls)
        return cls

    return enter


def in_one_group(cluster: Cluster, replica: Replica) -> Iterator[Process]:
    """``replica(worker, rank, world)`` for every worker; the world is the group of all."""
    world = cluster.group(cluster.workers)
    for rank, worker in enumerate(cluster.workers):
        yield replica(worker, rank, world)


def divides(size: int | None, workers: int, what: str) -> None:
    """Refuse groups of *size*, which a setting called *what* asks for, that leave somebody over.

    Raises
    ------
    InvalidInput
        With the sizes that are possible.
    """
    if size is not None and workers % size:
        fitting = [one for one in range(1, workers + 1) if workers % one == 0]
        raise InvalidInput(
            f"{what} of {size} do not divide {workers} workers; "
            f"possible: {', '.join(map(str, fitting))}, or leave it out"
        )


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
