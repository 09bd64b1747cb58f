"""Outages: lets workers be lost, and brings them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from simpy.events import Event

from simulator.cluster.accounting import IDLE
from simulator.cluster.failures.books import Books, gone
from simulator.cluster.failures.checkpoints import Checkpoints, Happening, Unharmed
from simulator.cluster.failures.losses import LossModel
from simulator.cluster.failures.settings import Failures
from simulator.cluster.randomtimes import drawn_ahead
from simulator.engine import Stalled, Streams

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster, Communicator
    from simulator.cluster.worker import Worker

STATE_COPIES = 2  # model and momentum
MOST_BARREN = 10_000


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
    shrinks
        Whether the others go on without a lost worker that they would have to wait for.
    down
        Since when every worker is down, s; None for one that works.
    books
        A row per outage.
    notes
        What a user should know.
    """

    def __init__(self, cluster: Cluster, settings: Failures, lock_step: bool, streams: Streams):
        self._cluster, self._settings, self._streams = cluster, settings, streams
        self._env = cluster.env
        self._lock_step = lock_step
        self.shrinks = lock_step and settings.on_loss == "shrink"
        workers = len(cluster.nodes)
        self.down: list[float | None] = [None] * workers  # since when, s
        self._losses = [0] * workers  # that are under way
        self._turn = [0] * workers  # losses so far: what was begun before one is in vain
        self.books = Books()
        self._work: dict[int, float] = {}  # of aborted computations, s at full speed
        self._lost_at: dict[int, float] = {}  # on the clock of work, s
        self._barren = 0  # losses since a step was last finished
        self._joining: list[int] = []
        self._told: dict[int, list[int]] = {}  # preempted; who leaves early is entered there
        self._beginning = False  # somebody begins anew, since nobody was left
        self._vigil: Event | None = None  # keeps a run alive that nobody is left in
        self._calls = 0  # of the first worker, when it last finished a step
        self.notes: list[str] = []
        given = settings.checkpoint.nbytes if settings.checkpoint else None
        state = STATE_COPIES * cluster.nbytes if given is None else given
        self._checkpoints = Checkpoints(cluster.env, cluster.store, state, self._stands)

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
            early: list[int] = []
            if loss.notice:
                self._announce(unit, early)
                yield self._env.timeout(loss.notice)
            self._lose([rank for rank in unit if rank not in early])
            if absences is None:
                self._give_up(unit)
                return
            yield self._env.timeout(next(absences))
            yield from [self._env.process(self._return(rank)) for rank in unit]

    def _announce(self, unit: Sequence[int], early: list[int]) -> None:
        alive = [rank for rank in unit if self.down[rank] is None]
        if self.shrinks:
            self._told |= dict.fromkeys(alive, early)
        elif self._lock_step and self._settings.checkpoint and alive:
            self._env.service(self._checkpoints.save(alive[0], self._unharmed(alive[0])))

    def _lose(self, unit: Sequence[int]) -> None:
        """Let the workers of *unit* be lost now; those who are down already stay it longer."""
        lost = [rank for rank in unit if self.down[rank] is None]
        for rank in unit:
            self._losses[rank] += 1
            self._turn[rank] += 1
            self._told.pop(rank, None)
            if rank in self._joining:
                self._joining.remove(rank)
        for rank in lost:
            self._lose_one(rank)
        self._hosts_without_workers(lost)
        if self.shrinks and lost and not self._living():
            self._keep_vigil(manned=False)
            self._let_one_begin()
        self._barren += 1
        if self._barren > MOST_BARREN:
            raise Stalled(
                f"{self._barren:,} losses since a step was last finished, by {self._env.now:g} s: "
                "workers are lost again before they have repeated what they lost"
            )

    def _lose_one(self, rank: int) -> None:
        worker, now = self._cluster.workers[rank], self._env.now
        self._lost_at[rank] = self._checkpoints.worked()
        self.down[rank] = now
        self.books.lost(rank, now)
        aborted = worker.abort()
        if self.shrinks:
            worker.lane.kill(now)
            for group, place in self._cluster.groups_of(worker):
                group.leave(place)
            self._cluster.progress.leave(worker.finished)
            return
        if aborted is not None:
            self._work[rank] = aborted
        if self._hold(worker) and not self._lock_step:
            self._excuse(worker)

    def _hold(self, member: Worker | Communicator) -> bool:
        """Let *member* stand still, and its groups wait for it; False if it has ended."""
        held = member.lane.hold(self._env.now)
        if held:
            for group, place in self._cluster.groups_of(member):
                group.lost(place)
        return held

    def _release(self, member: Worker | Communicator) -> None:
        """Let *member* go on, and its groups do anew what they broke off."""
        if member.lane.release(self._env.now):
            for group, place in self._cluster.groups_of(member):
                group.back(place)

    def _excuse(self, worker: Worker) -> None:
        """Let others take the step that *worker* has drawn, and the run end without it."""
        assert worker.lane.process is not None
        self._env.excuse(worker.lane.process)
        self._cluster.progress.give_back()
        living = [self._cluster.workers[rank].lane.is_alive() for rank in self._living()]
        self._keep_vigil(manned=any(living))

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
                    self._hold(helper)

    def _give_up(self, ranks: Sequence[int]) -> None:
        """*ranks* never come back."""
        if not ranks:
            return
        self.notes.append(gone(ranks, self.down[ranks[0]]))
        if not self._lock_step:
            for rank in ranks:
                self._cluster.leave(self._cluster.workers[rank])

    # -- coming back -------------------------------------------------------------------

    def _return(self, rank: int) -> Happening:
        """One loss of *rank* is over; if no other one is, its machine is there again."""
        self._losses[rank] -= 1
        if self._losses[rank]:
            return
        if not self._lock_step:
            self._recall(self._cluster.workers[rank])
        elif self.shrinks:
            self._joining.append(rank)
            self._let_one_begin()
        else:
            unharmed = self._unharmed(rank)
            yield from self._redo(rank, self._lost_at[rank])
            if unharmed():
                self._revive(rank)

    def _let_one_begin(self) -> None:
        """Where nobody is left the first who is back begins anew; others join it later."""
        if self._joining and not self._living() and not self._beginning:
            self._beginning = True
            self._env.service(self._begin_anew(self._joining.pop(0)))

    def _begin_anew(self, rank: int) -> Happening:
        """Let *rank* go on where the furthest worker was, by way of the checkpoint."""
        worker, unharmed = self._cluster.workers[rank], self._unharmed(rank)
        latest = max(self._cluster.workers, key=lambda one: one.finished)
        worker.adopt(latest.params, latest.state, latest.finished)
        yield from self._redo(rank, self._checkpoints.worked())
        self._beginning = False
        if unharmed():
            self._join(rank, None)
            self._end_vigil()
        else:  # lost again meanwhile
            self._let_one_begin()

    def _redo(self, rank: int, upto: float) -> Happening:
        """Spend the time of what *rank* has to repeat; nothing comes of it if it is lost again."""
        seconds = yield from self._checkpoints.redo(rank, upto, self._unharmed(rank))
        if seconds is not None:
            self.books.redone(rank, seconds)

    def _unharmed(self, rank: int) -> Unharmed:
        turn = self._turn[rank]
        return lambda: self._turn[rank] == turn

    def _stands(self) -> bool:
        """Is nothing done that would have to be repeated after a loss?

        Where workers wait for each other that is so if one is down, else if all are.
        """
        away = [since is not None for since in self.down]
        return all(away) if self.shrinks else any(away)

    def _living(self) -> list[int]:
        return [rank for rank, since in enumerate(self.down) if since is None]

    def _up(self, rank: int) -> Worker:
        self._checkpoints.worked()
        self.down[rank] = None
        self.books.back(rank, self._env.now)
        return self._cluster.workers[rank]

    def _recall(self, worker: Worker) -> None:
        """Let *worker*, whom nobody waited for, go on if there is still something to do."""
        process = worker.lane.process
        if worker.lane.is_alive() and not self._cluster.progress.draw_again():
            self._work.pop(worker.rank, None)
            self._cluster.leave(worker)
        if worker.lane.is_alive():
            assert process is not None
            self._env.recall(process, repr(worker))
        self._revive(worker.rank)
        self._end_vigil()

    def _revive(self, rank: int) -> None:
        """Let *rank* go on where it was; an aborted computation begins anew."""
        worker = self._up(rank)
        self._release(worker)
        work = self._work.pop(rank, None)
        if work is not None:
            worker.compute_again(work)
        for helper in self._cluster.communicators_on(self._cluster.layout.hosts[rank]):
            self._release(helper)

    def _join(self, rank: int, first: Worker | None) -> None:
        """Let *rank* begin anew, with what it has been given, in step with *first*."""
        worker = self._up(rank)
        worker.lane.fill(IDLE, self._env.now)
        places = dict(self._cluster.groups_of(first)) if first is not None else {}
        for group, place in self._cluster.groups_of(worker):
            group.join(place, places.get(group))
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
            rank = worker.rank
            saving = self._checkpoints.save(rank, self._unharmed(rank), waited_for=True)
            worker.saving = self._env.process(saving)
        # Who has just left a collective has the parameters that all have.
        calls = sum(group.calls[place] for group, place in self._cluster.groups_of(worker))
        if self._joining and calls != self._calls:
            for rank in self._joining:
                joiner = self._cluster.workers[rank]
                joiner.adopt(worker.params, worker.state, step + 1)
                self._join(rank, worker)
            self._joining = []
        self._calls = calls

    def _leave_early(self, rank: int) -> None:
        early = self._told.pop(rank, None)
        if early is not None:
            early.append(rank)
            self._lose([rank])

    # -- the books ---------------------------------------------------------------------

    def counted(self, workers: Sequence[Worker]) -> Sequence[Worker]:
        """Those whose parameters are part of the model: not those that others do without."""
        living = self._living()
        return [workers[rank] for rank in living] if self.shrinks and living else workers


def _until(event: Event) -> Happening:
    event.label = "a worker that comes back"  # type: ignore[attr-defined]
    yield event
