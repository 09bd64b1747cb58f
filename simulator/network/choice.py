"""Which algorithm does a collective: the one that was asked for, or the cheapest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simulator.network.collectives import Collective, Plan
from simulator.network.fabric import Network


def hosts_of(network: Network, nodes: Sequence[str]) -> list[list[int]]:
    """The ranks on each host, hosts in order of their first rank."""
    network.router.numbers(nodes)  # are they there?
    ranks: dict[str, list[int]] = {}
    for rank, node in enumerate(nodes):
        ranks.setdefault(network.router.host[node], []).append(rank)
    return list(ranks.values())


def chosen(
    network: Network,
    nodes: Sequence[str],
    makers: Mapping[str, Collective],
    asked: str,
    planned: Callable[[Collective], Plan],
) -> tuple[Plan, str, str]:
    """The plan to play, the name of its algorithm, and why it was taken.

    Parameters
    ----------
    network, nodes
        Where rank r runs on ``nodes[r]``.
    makers
        Algorithms by name.
    asked
        One of them, or ``"auto"`` for the cheapest by `Network.price`.
    planned
        Makes the plan of an algorithm.
    """
    if asked != "auto":
        return planned(makers[asked]), asked, "as the scenario says"
    plans = {name: planned(make) for name, make in makers.items()}
    prices = {name: network.price(plan, nodes).seconds for name, plan in plans.items()}
    best = min(prices, key=prices.__getitem__)
    if len(set(prices.values())) == 1:
        return plans[best], best, f"all cost {prices[best]:.6g} s"
    listed = ", ".join(f"{name} {seconds:.6g} s" for name, seconds in prices.items())
    return plans[best], best, f"the cheapest by the alpha-beta model: {listed}"
