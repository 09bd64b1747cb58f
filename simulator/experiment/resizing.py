"""Numbers of hosts for topologies whose size follows from other settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import ValidationError

from simulator.errors import InvalidInput, ScenarioError
from simulator.experiment.document import Document
from simulator.experiment.scenario import Scenario
from simulator.experiment.settings import dump, settings_for
from topologies import TOPOLOGIES, Topology


def resize(document: Document) -> None:
    """Replace `topology.hosts` by the settings that give so many hosts.

    ``--nodes`` sets `hosts` whatever the topology is; a fat tree has a `k` instead, a torus
    `dims`.  What is no topology yet is left to validation.

    Raises
    ------
    ScenarioError
        If there is no such topology with so many hosts; it names the nearest ones.
    """
    settings = document.data.get("topology")
    if not isinstance(settings, dict) or "hosts" not in settings:
        return
    default = Scenario().topology
    cls: Any = TOPOLOGIES.get(str(settings.get("kind", getattr(default, "kind", ""))))
    if cls is None or "hosts" in {item.name for item in dataclasses.fields(cls)}:
        return
    hosts = settings["hosts"]
    if not isinstance(hosts, int) or isinstance(hosts, bool) or hosts < 1:
        return
    given = {name: value for name, value in settings.items() if name not in ("hosts", "kind")}
    try:
        topology: Topology = settings_for(cls).model_validate(given).build()
    except ValidationError:
        return
    try:
        made = located(topology, document).with_hosts(hosts)
    except InvalidInput as error:
        problem = document.problem(["topology", "hosts"], str(error))
        raise ScenarioError([problem]) from None
    document.data["topology"] = dump(made, units=True)


def located(topology: Topology, document: Document) -> Topology:
    """*topology* with relative paths of files meant from the scenario's folder."""
    if any(item.name == "folder" for item in dataclasses.fields(topology)):  # type: ignore[arg-type]
        return dataclasses.replace(topology, folder=document.folder)  # type: ignore[type-var]
    return topology
