"""The network: links, routes, collectives and groups.  Bytes become seconds here."""

from simulator.network.alpha_beta import AlphaBeta
from simulator.network.collectives import ALL_REDUCE, Move, Plan, Round
from simulator.network.fabric import MESSAGE_KINDS, Carrier, Network, Play, Prepared, Price
from simulator.network.group import Group
from simulator.network.link import Links
from simulator.network.routing import Route, Router

__all__ = [
    "ALL_REDUCE",
    "MESSAGE_KINDS",
    "AlphaBeta",
    "Carrier",
    "Group",
    "Links",
    "Move",
    "Network",
    "Plan",
    "Play",
    "Prepared",
    "Price",
    "Round",
    "Route",
    "Router",
]
