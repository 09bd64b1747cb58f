"""The network: links, routes, collectives and groups.  Bytes become seconds here."""

from simulator.network.alpha_beta import AlphaBeta
from simulator.network.changing import ChangingGroup
from simulator.network.collectives import COLLECTIVES, Move, Pairs, Plan, Round
from simulator.network.fabric import MESSAGE_KINDS, Carrier, Network, Play, Prepared, Price, Traffic
from simulator.network.group import Choices, Group
from simulator.network.link import Links
from simulator.network.mail import Mail
from simulator.network.routing import Route, Router

__all__ = [
    "COLLECTIVES",
    "MESSAGE_KINDS",
    "AlphaBeta",
    "Carrier",
    "ChangingGroup",
    "Choices",
    "Group",
    "Links",
    "Mail",
    "Move",
    "Network",
    "Pairs",
    "Plan",
    "Play",
    "Prepared",
    "Price",
    "Round",
    "Route",
    "Router",
    "Traffic",
]
