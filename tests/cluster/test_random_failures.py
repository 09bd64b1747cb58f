"""Fifty random schedules of losses: whatever happens, the books are right (hypothesis)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.make import simulate

WORKERS, BATCH = 6, 8
WHO = st.sampled_from(
    [{"hosts": 0}, {"hosts": "1-2"}, {"workers": [5]}, {"count": 2}, {"fraction": 1.0}]
)
AWAY = st.one_of(st.just({}), st.floats(0, 1).map(lambda away: {"away": away}))
MOMENTS = st.one_of(
    st.floats(0, 2).map(lambda at: {"at": at}), st.floats(0.5, 3).map(lambda mtbf: {"mtbf": mtbf})
)
LOSSES = st.one_of(
    st.builds(
        lambda at, who, away: {"kind": "timed", "at": at} | who | away, st.floats(0, 2), WHO, AWAY
    ),
    st.builds(
        lambda mtbf, of: {"kind": "random", "mtbf": mtbf, "of": of},
        st.floats(0.3, 3),
        st.sampled_from(["hosts", "workers"]),
    ),
    st.builds(
        lambda moment, notice: {"kind": "preemption", "notice": notice, "away": 0.4} | moment,
        MOMENTS,
        st.floats(0, 0.3),
    ),
)
ALGORITHMS = st.sampled_from(
    [
        ({"kind": "sync-sgd"}, "wait"),
        ({"kind": "sync-sgd"}, "shrink"),
        ({"kind": "local-sgd", "period": 3}, "wait"),
        ({"kind": "local-sgd", "period": 3}, "shrink"),
        ({"kind": "layered-sgd"}, "wait"),
        ({"kind": "dc-s3gd"}, "wait"),
        ({"kind": "async-ps"}, "wait"),
        ({"kind": "async-ps"}, "shrink"),
    ]
)
STORAGES = st.sampled_from(
    [
        "none",
        {"kind": "local-disk", "latency": "5 ms"},
        {"kind": "shared-filesystem", "num_workers": 2, "decode": "100 us"},
    ]
)


def check_books(result, lock_step):
    """No step counts twice, every instant of a worker is one span, states are what they say."""
    steps, end = result.tables["steps"], result.summary["simulated_time_s"]
    pairs = list(zip(steps["worker"].tolist(), steps["step"].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert result.summary["samples"] == BATCH * len(pairs)
    spans = result.tables["spans"]
    own = np.array(spans["lane"]) == "worker"
    for worker in range(WORKERS):
        mine = own & (spans["worker"] == worker)
        start, stop = spans["start_s"][mine], spans["end_s"][mine]
        order = np.argsort(start, kind="stable")
        np.testing.assert_array_equal(start[order][1:], stop[order][:-1])
        if end:
            assert (start.min(), stop.max()) == (0.0, end)
        taken = steps["step"][steps["worker"] == worker]
        assert not lock_step or (np.diff(taken) > 0).all()
    assert sum(result.summary["breakdown"].values()) == pytest.approx(end, rel=1e-9, abs=1e-12)
    outages = result.tables["outages"]
    over = outages["back_s"][~np.isnan(outages["back_s"])]
    assert (over >= outages["lost_s"][~np.isnan(outages["back_s"])]).all()
    if result.summary["status"] == "stalled":
        assert any(word in result.warnings[0] for word in ("down", "comes back", "lost again"))
    elif lock_step and not np.isnan(outages["back_s"]).any():
        assert steps["step"].max() == 29


@settings(max_examples=50, deadline=None)
@given(
    losses=st.lists(LOSSES, min_size=1, max_size=3),
    algorithm=ALGORITHMS,
    fidelity=st.sampled_from(["flow", "message", "alpha-beta"]),
    storage=STORAGES,
    restart=st.sampled_from([None, 0.1, {"kind": "exponential", "mean": 0.3}]),
    checkpoint=st.sampled_from([None, {"every": 1}, {"every": 7}]),
    seed=st.integers(0, 1000),
)
def test_random_failures(losses, algorithm, fidelity, storage, restart, checkpoint, seed):
    chosen, on_loss = algorithm
    result = simulate(
        seed=seed,
        topology={"kind": "star", "hosts": 3, "gpus_per_host": 2},
        network={"fidelity": fidelity},
        storage=storage,
        algorithm=chosen,
        stop={"steps": 30},
        failures={
            "on_loss": on_loss,
            "restart": restart,
            "checkpoint": checkpoint,
            "losses": losses,
        },
    )
    check_books(result, lock_step=chosen["kind"] != "async-ps")
