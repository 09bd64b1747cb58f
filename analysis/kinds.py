"""The kinds and formats of plots; light, so that they can be listed without matplotlib."""

KINDS = {
    "loss": "held-out loss against simulated time and against samples",
    "accuracy": "held-out accuracy against simulated time and against samples",
    "target": "time to the target accuracy against the number of workers",
    "breakdown": "where a worker's time goes: compute, communication, I/O, idle",
    "timeline": "what every worker does in the first steps",
    "links": "the topology, its links coloured by how much they were used",
    "link-history": "how much the busiest links are used over time",
}

FORMATS = ("png", "svg", "pdf")
