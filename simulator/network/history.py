"""What links have carried, reckoned from the books of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.network.fabric import Traffic
from simulator.network.link import Links

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

INTERVALS = 128


def traffic_of_rows(
    rows: Mapping[str, NDArray[Any]], loads: Sequence[tuple[Ints, Floats]], links: Links, end: float
) -> Traffic:
    """Traffic of the messages in *rows* that were delivered by *end*.

    Parameters
    ----------
    rows
        Columns carrier, nbytes, start_s and end_s.
    loads
        Of each carrier the link directions, and bytes on them per byte of its messages.
    links
        All link directions.
    end
        Of the run, s.
    """
    delivered = rows["end_s"] <= end
    rows = {name: column[delivered] for name, column in rows.items()}
    width = end / INTERVALS if end > 0 else 1.0
    over_time = spread(rows, len(loads), width)
    history = np.zeros((len(links.ends), INTERVALS))
    nbytes = np.zeros(len(links.ends))
    carried = np.bincount(rows["carrier"], rows["nbytes"], len(loads))
    for number in np.flatnonzero(carried).tolist():
        edges, share = loads[number]
        np.add.at(nbytes, edges, share * carried[number])
        np.add.at(history, edges, share[:, None] * over_time[number])
    busy = nbytes * links.seconds_per_byte
    return Traffic(nbytes, busy, history, width, float(rows["nbytes"].sum()))


def spread(rows: Mapping[str, NDArray[Any]], carriers: int, width: float) -> Floats:
    """Bytes of each carrier in each interval, every message spread evenly over its time.

    What a message has sent by time t is a ramp, so the sum over messages is found from
    where ramps begin and end.

    >>> rows = {"carrier": np.array([0]), "nbytes": np.array([6.0]),
    ...         "start_s": np.array([0.5]), "end_s": np.array([2.0])}
    >>> spread(rows, 1, 1.0)[0, :3].tolist()
    [2.0, 4.0, 0.0]
    """
    lasting = rows["end_s"] > rows["start_s"]
    carrier = rows["carrier"][lasting]
    start, end = rows["start_s"][lasting], rows["end_s"][lasting]
    rate = rows["nbytes"][lasting] / (end - start)
    slope, offset = np.zeros((2, carriers, INTERVALS + 1))
    for time, sign in ((start, 1.0), (end, -1.0)):
        at = np.minimum(np.ceil(time / width).astype(np.int64), INTERVALS)
        np.add.at(slope, (carrier, at), sign * rate)
        np.add.at(offset, (carrier, at), sign * rate * (at * width - time))
    slopes = np.cumsum(slope, axis=1)
    before = np.zeros((carriers, INTERVALS + 1))
    before[:, 1:] = np.cumsum(slopes[:, :-1] * width, axis=1)
    sent = np.cumsum(offset, axis=1) + before
    result: Floats = np.maximum(0.0, np.diff(sent, axis=1))
    return result
