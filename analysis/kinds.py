"""The kinds and formats of plots; light, so that they can be listed without matplotlib."""

KINDS = {
    "loss": "held-out loss against simulated time and against samples",
    "accuracy": "held-out accuracy against simulated time and against samples",
    "target": "time to the target accuracy against the number of workers",
    "breakdown": "where a worker's time goes: compute, communication, I/O, idle",
    "timeline": "what every worker does in the first steps",
    "outages": "when workers were lost, how long they were away, what they repeated",
    "links": "the topology, its links coloured by how much they were used",
    "link-history": "how much the busiest links are used over time",
}

# Tables that a plot cannot do without: of all runs, or of one at the least.
NEEDS_OF_ALL = {"timeline": "spans"}
NEEDS_OF_ONE = {"outages": "outages"}

FORMATS = ("png", "svg", "pdf")
