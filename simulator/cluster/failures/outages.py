"""Outages: lets workers be lost, and brings them back."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from simulator.cluster.failures.losses import LossModel
from simulator.cluster.failures.settings import Failures
from simulator.cluster.randomtimes import drawn_ahead
from simulator.engine import Stalled, Streams, Table

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster
    from simulator.cluster.worker import Worker

STATE_COPIES = 2  # model and momentum
MOST_BARREN = 10_000
Happening = Generator[Event, Any, None]


class Outages:
    """Lost workers of one run.

    A lost worker stands still: its computation is aborted, nothing wakes it.  In lock step
    it comes back by way of the checkpoint, whose reading and repeated steps cost time, and
    then repeats what it was about to do; or the others go on and it joins them later.
    Where nobody waits for it, it just goes on when it is back.

    Parameters
    ----------
    cluster
        What is run.
    settings
        The scenario's `failures`.
    lock_step
        Whether workers wait for each other.
    streams
        Loss k draws from streams ``("failure", k, ...)``.

    Attributes
    ----------
    table
        One row per outage: worker, lost_s, back_s (nan if it never came back), redone_s (time
        that had to be repeated).
    notes
        What a user should know.
    """

    def __init__(self, cluster: Cluster, settings: Failures, lock_step: bool, streams: Streams):
        self._cluster, self._settings, self._streams = cluster, settings, streams
        self._env = cluster.env
        self._lock_step = lock_step
        self._shrinks = lock_step and settings.on_loss == "shrink"
        workers = len(cluster.nodes)
        self.down: list[float | None] = [None] * workers  # since when, s
        self._rows: list[list[float]] = []
        self._row_of: dict[int, list[float]] = {}
        self._work: dict[int, float] = {}  # of aborted computations, s at full speed
        self._saved = 0.0  # work that the last checkpoint holds, s
        self._to_redo: dict[int, tuple[bool, float]] = {}  # is there a checkpoint; s after it
        self._stood, self._stood_since = 0.0, 0.0  # time in which somebody was down, s
        self._barren = 0  # losses since a step was last finished
        self._joining: list[int] = []
        self._told: dict[int, None] = {}  # preempted workers that leave at the end of their step
        self._early: dict[int, bool] = {}  # those who have
        self._beginning = False  # somebody begins anew, since nobody was left
        self._vigil: Event | None = None  # keeps a run alive that nobody is left in
        self._calls = 0  # of the first worker, when it last finished a step
        self.notes: list[str] = []
        given = settings.checkpoint.nbytes if settings.checkpoint else None
        self._state = STATE_COPIES * cluster.nbytes if given is None else given

    # -- what happens ------------------------------------------------------------------

    def begin(self) -> None:
        """Let time take its course."""
        layout = self._cluster.layout
        for number, loss in enumerate(self._settings.losses):
            rng = partial(self._streams.get, "failure", number)
            for unit in loss.units(layout, rng()):
                lives = loss.lives(rng(1, unit[0])) if unit else iter(())
                away = loss.away or self._settings.restart
                absences = drawn_ahead(away, rng(2, unit[0])) if away and unit else None
                self._env.service(self._life(loss, unit, lives, absences))

    def _life(
        self,
        loss: LossModel,
        unit: Sequence[int],
        lives: Iterator[float],
        absences: Iterator[float] | None,
    ) -> Happening:
        for life in lives:
            yield self._env.lull(life)
            if loss.notice:
                self._announce(unit)
                yield self._env.timeout(loss.notice)
            early = [rank for rank in unit if self._early.pop(rank, 0)]
            lost = [*self._lose(unit), *early]
            if absences is None:
                self._give_up(lost)
                return
            yield self._env.timeout(next(absences))
            returns = [self._env.process(self._return(rank)) for rank in lost]
            yield from returns

    def _announce(self, unit: Sequence[int]) -> None:
        alive = [rank for rank in unit if self.down[rank] is None]
        if self._shrinks:
            self._told |= dict.fromkeys(alive)
        elif self._lock_step and self._settings.checkpoint and alive:
            self._env.service(self._save(alive[0]))

    def _lose(self, unit: Sequence[int]) -> list[int]:
        """Let the workers of *unit* that still work be lost now."""
        lost = [rank for rank in unit if self.down[rank] is None]
        for rank in lost:
            self._lose_one(rank)
        self._barren += len(lost)
        if self._barren > MOST_BARREN:
            raise Stalled(
                f"{self._barren:,} losses since a step was last finished, by {self._env.now:g} s: "
                "workers are lost again before they have repeated what they lost"
            )
        self._hosts_without_workers(lost)
        return lost

    def _lose_one(self, rank: int) -> None:
        worker, now = self._cluster.workers[rank], self._env.now
        self._to_redo[rank] = self._saved > 0, max(0.0, self._worked() - self._saved)
        if not any(since is not None for since in self.down):
            self._stood_since = now
        self.down[rank] = now
        self._told.pop(rank, None)
        self._rows.append([rank, now, math.nan, 0.0])
        self._row_of[rank] = self._rows[-1]
        aborted = worker.abort()
        if aborted is not None:
            self._work[rank] = aborted
        if not self._lock_step:
            self._excuse(worker)
        elif not self._shrinks:
            worker.lane.hold(now)
            for group, place in self._cluster.groups_of(worker):
                group.lost(place)
        else:
            worker.lane.kill(now)
            for group, place in self._cluster.groups_of(worker):
                group.leave(place)
            self._cluster.progress.leave(worker.finished)
            self._keep_vigil(bool(self._living()))

    def _excuse(self, worker: Worker) -> None:
        """Let others take the step that *worker* has drawn, and the run end without it."""
        if worker.lane.hold(self._env.now):
            assert worker.lane.process is not None
            self._env.excuse(worker.lane.process)
            self._cluster.progress.give_back()
            living = [self._cluster.workers[rank].lane.is_alive() for rank in self._living()]
            self._keep_vigil(any(living))

    def _keep_vigil(self, manned: bool) -> None:
        """Keep a run alive in which nobody is left who could go on."""
        if not manned and self._vigil is None:
            self._vigil = self._env.event()
            self._env.work(_until(self._vigil), "the run")

    def _end_vigil(self) -> None:
        if self._vigil is not None:
            self._vigil.succeed()
            self._vigil = None

    def _hosts_without_workers(self, lost: Sequence[int]) -> None:
        """A host all of whose workers are lost is lost itself, with its communicators."""
        hosts = self._cluster.layout.hosts
        for host in dict.fromkeys(hosts[rank] for rank in lost):
            if all(self.down[rank] is not None for rank in self._cluster.layout.on_host(host)):
                for helper in self._cluster.communicators_on(host):
                    if helper.lane.hold(self._env.now):
                        for group, place in self._cluster.groups_of(helper):
                            group.lost(place)

    def _give_up(self, ranks: Sequence[int]) -> None:
        """*ranks* never come back."""
        if not ranks:
            return
        who, was = ("workers", "were") if len(ranks) > 1 else ("worker", "was")
        at = self.down[ranks[0]]
        self.notes.append(
            f"{who} {', '.join(map(str, ranks))} {was} lost at {at:.6g} s and did not come back"
        )
        for rank in ranks:
            if not self._lock_step:
                self._cluster.workers[rank].lane.kill(self._env.now)

    # -- coming back -------------------------------------------------------------------

    def _return(self, rank: int) -> Happening:
        """The machine of *rank* is there again."""
        worker = self._cluster.workers[rank]
        if not self._lock_step:
            self._recall(worker)
            return
        if self._shrinks:
            if self._living() or self._beginning:
                self._joining.append(rank)
                return
            self._beginning = True
            latest = max(self._cluster.workers, key=lambda one: one.finished)
            worker.adopt(latest.params, latest.state, latest.finished)
        saved, redone = self._to_redo.pop(rank)
        if saved:
            yield self._cluster.store.read(rank, self._state)
        yield self._env.timeout(redone)
        self._row_of[rank][3] = redone
        if self._shrinks:
            self._beginning = False
            self._join(rank)
            self._end_vigil()
        else:
            self._revive(rank)

    def _worked(self) -> float:
        """Time so far in which nobody was down, s: the rest of it nobody has to repeat."""
        standing = any(since is not None for since in self.down)
        return (self._stood_since if standing else self._env.now) - self._stood

    def _living(self) -> list[int]:
        return [rank for rank, since in enumerate(self.down) if since is None]

    def _up(self, rank: int) -> Worker:
        self.down[rank] = None
        if all(since is None for since in self.down):
            self._stood += self._env.now - self._stood_since
        self._row_of[rank][2] = self._env.now
        return self._cluster.workers[rank]

    def _recall(self, worker: Worker) -> None:
        """Let *worker*, whom nobody waited for, go on if there is still something to do."""
        process = worker.lane.process
        if worker.lane.is_alive() and not self._cluster.progress.draw_again():
            self._work.pop(worker.rank, None)
            worker.lane.kill(self._env.now)
        if worker.lane.is_alive():
            assert process is not None
            self._env.recall(process, repr(worker))
        self._revive(worker.rank)
        self._end_vigil()

    def _revive(self, rank: int) -> None:
        """Let *rank* go on where it was; an aborted computation begins anew."""
        worker, now = self._up(rank), self._env.now
        worker.lane.release(now)
        work = self._work.pop(rank, None)
        if work is not None:
            worker.compute_again(work)
        for group, place in self._cluster.groups_of(worker):
            group.back(place)
        for helper in self._cluster.communicators_on(self._cluster.layout.hosts[rank]):
            if helper.lane.release(now):
                for group, place in self._cluster.groups_of(helper):
                    group.back(place)

    def _join(self, rank: int) -> None:
        """Let *rank* begin anew, with what it has been given."""
        worker = self._up(rank)
        self._work.pop(rank, None)
        for group, place in self._cluster.groups_of(worker):
            group.join(place)
        self._cluster.progress.join(worker.first_step)
        self._cluster.begin_again(worker)

    # -- at the end of a step ----------------------------------------------------------

    def finished(self, worker: Worker, step: int) -> None:
        """*worker* has just finished *step*."""
        rank, self._barren = worker.rank, 0
        first = next((r for r, since in enumerate(self.down) if since is None), None)
        if rank == first:
            self._first_has_finished(worker, step)
        if rank in self._told:
            self._env.after_instant(partial(self._leave_early, rank))

    def _first_has_finished(self, worker: Worker, step: int) -> None:
        checkpoint = self._settings.checkpoint
        if self._lock_step and checkpoint and (step + 1) % checkpoint.every == 0:
            worker.saving = self._env.process(self._save(worker.rank))
        # Who has just left a collective has the parameters that all have.
        calls = sum(group.calls[place] for group, place in self._cluster.groups_of(worker))
        if self._joining and calls != self._calls:
            for rank in self._joining:
                joiner = self._cluster.workers[rank]
                joiner.adopt(worker.params, worker.state, step + 1)
                self._join(rank)
            self._joining = []
        self._calls = calls

    def _leave_early(self, rank: int) -> None:
        if self._told.pop(rank, 0) is None:
            self._early[rank] = True
            self._lose([rank])

    def _save(self, rank: int) -> Happening:
        """Write a checkpoint of the present state."""
        state = self._worked()
        yield self._cluster.store.write(rank, self._state)
        if self.down[rank] is None:
            self._saved = max(self._saved, state)

    # -- the books ---------------------------------------------------------------------

    def counted(self, workers: Sequence[Worker]) -> Sequence[Worker]:
        """Those whose parameters are part of the model: not those that others do without."""
        living = self._living()
        return [workers[rank] for rank in living] if self._shrinks and living else workers

    @property
    def table(self) -> Table:
        """All outages so far."""
        table = Table(worker="i8", lost_s="f8", back_s="f8", redone_s="f8")
        for row in self._rows:
            table.append(table.row(*row))
        return table


def _until(event: Event) -> Happening:
    event.label = "a worker that comes back"  # type: ignore[attr-defined]
    yield event
