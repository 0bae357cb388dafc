"""Discrete-event model of the service: API, queue, workers, Redis and S3 on cores.

An API process accepts a job. The job's chunk and then its bundle wait in the queue for a thread of
a worker, and finally the client gets the response. CPU time is spent in slices. Each slice needs a
core and, in an API or worker process, the interpreter lock of that process. So the threads of one
process share at most one core, and all processes on a machine compete for its cores. Waiting for S3
occupies the thread and no core.
"""

import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import simpy

from deploy.capacity.measured import Demand, Phase

#: CPU seconds per slice: CPython's switch interval, which is close to the kernel's time slice.
SLICE = 0.005
_SEED = 20261124
#: Priorities of waiting messages: bundles come first, as in the service.
_BUNDLE, _CHUNK = 0, 1

Steps = Generator[simpy.Event, Any, None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The processes of a deployment and their cores.

    Attributes:
        workers: number of worker processes.
        threads: threads per worker process.
        api: number of API processes.
        cores: cores that all processes share, the clients included; None if each process has a
            core of its own.
        others: cores that programs outside the service use.
    """

    workers: int = 1
    threads: int = 2
    api: int = 2
    cores: int | None = None
    others: float = 0.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The load: clients that each wait for their job, or jobs that arrive at random.

    Attributes:
        clients: clients that send their next job when the current one has ended.
        rate: jobs per second, with random (Poisson) arrivals.
        seconds: duration; jobs in flight at the end are finished and do not count as ended.
        warm_up: seconds at the beginning that do not count.
    """

    clients: int = 0
    rate: float = 0.0
    seconds: float = 60.0
    warm_up: float = 0.0


class Outcome(msgspec.Struct):
    """The result of a run. Times are in seconds.

    Attributes:
        times: time of each job sent after the warm-up, from its POST to its last response.
        ended: number of jobs that ended between the warm-up and the end of the load.
        busy: busy time of each station over the whole run.
        present: number of jobs in the system, integrated over the time of the whole run.
        length: duration of the whole run, until the last job has ended.
        sent: number of jobs sent in the whole run.
    """

    times: list[float] = []
    ended: int = 0
    busy: dict[str, float] = {}
    present: float = 0.0
    length: float = 0.0
    sent: int = 0


def simulate(plan: Plan, load: Load, demand: Demand, seed: int = _SEED) -> Outcome:
    """Run the model. The same arguments return the same outcome."""
    return _Model(plan, load, demand, random.Random(seed)).run()  # noqa: S311 - nothing secret


class _Process:
    """A process with an interpreter lock, or without one if its threads run in parallel."""

    def __init__(self, env: simpy.Environment, station: str, locks: int | None) -> None:
        self.station = station
        self.lock = simpy.Resource(env, locks) if locks else None


class _Model:
    def __init__(self, plan: Plan, load: Load, demand: Demand, source: random.Random) -> None:
        self._plan, self._load, self._demand, self._random = plan, load, demand, source
        self._env = simpy.Environment()
        self._cores = simpy.Resource(self._env, plan.cores) if plan.cores else None
        self._queue = simpy.PriorityStore(self._env)
        self._api = _Process(self._env, "api", plan.api)
        self._redis = _Process(self._env, "redis", 1)
        self._s3, self._client = _Process(self._env, "s3", None), _Process(self._env, "client", 1)
        self._outcome = Outcome(busy=dict.fromkeys(("api", "worker", "redis", "s3", "client"), 0.0))
        self._sequence = 0
        self._open, self._changed = 0, 0.0

    def run(self) -> Outcome:
        for _ in range(self._plan.workers):
            process = _Process(self._env, "worker", 1)
            for _ in range(self._plan.threads):
                self._env.process(self._thread(process))
        if self._plan.others:
            self._env.process(self._others())
        for _ in range(self._load.clients):
            self._env.process(self._closed())
        if self._load.rate:
            self._env.process(self._arrivals())
        while self._env.now < self._load.seconds or self._open:
            self._env.step()
        self._outcome.length = self._env.now
        return self._outcome

    def _closed(self) -> Steps:
        while self._env.now < self._load.seconds:
            yield from self._job()

    def _arrivals(self) -> Steps:
        while True:
            yield self._env.timeout(self._random.expovariate(self._load.rate))
            if self._env.now >= self._load.seconds:
                return
            self._env.process(self._job())

    def _others(self) -> Steps:
        """Generate the slices of other programs, which arrive at random."""
        rate = self._plan.others / SLICE
        process = _Process(self._env, "others", None)
        while True:
            yield self._env.timeout(self._random.expovariate(rate))
            self._env.process(self._compute(process, SLICE))

    def _job(self) -> Steps:
        begun = self._env.now
        with self._counted():
            yield from self._compute(self._client, self._drawn(self._demand.client))
            yield from self._phase(self._api, self._demand.accept)
            for priority, phase in ((_CHUNK, self._demand.chunk), (_BUNDLE, self._demand.bundle)):
                done = self._env.event()
                self._sequence += 1
                self._queue.put((priority, self._sequence, phase, done))
                yield done
            yield from self._phase(self._api, self._demand.answer)
        if begun >= self._load.warm_up:
            self._outcome.times.append(self._env.now - begun)
        if self._load.warm_up <= self._env.now <= self._load.seconds:
            self._outcome.ended += 1

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._outcome.sent += 1
        self._change(1)
        yield
        self._change(-1)

    def _change(self, by: int) -> None:
        self._outcome.present += self._open * (self._env.now - self._changed)
        self._changed = self._env.now
        self._open += by

    def _thread(self, process: _Process) -> Steps:
        while True:
            _, _, phase, done = yield self._queue.get()
            yield from self._phase(process, phase)
            done.succeed()

    def _phase(self, process: _Process, phase: Phase) -> Steps:
        """Run a phase, in as many rounds as it has calls to S3."""
        rounds = max(1, phase.calls)
        means = (phase.own, phase.s3, phase.redis, phase.wait)
        own, s3, redis, wait = (self._drawn(mean) / rounds for mean in means)
        for _ in range(rounds):
            yield from self._compute(process, own)
            yield from self._compute(self._redis, redis)
            yield from self._compute(self._s3, s3)
            if wait:
                yield self._env.timeout(wait)

    def _drawn(self, mean: float) -> float:
        """Draw a service time from a gamma distribution with the variation of the demand."""
        variation = self._demand.variation
        if not mean or not variation:
            return mean
        shape = 1 / variation**2
        return self._random.gammavariate(shape, mean / shape)

    def _compute(self, process: _Process, seconds: float) -> Steps:
        alone = self._cores is None  # no other process can use the core, so slices have no effect
        while seconds > 0:
            piece = seconds if alone else min(SLICE, seconds)
            lock = process.lock.request() if process.lock else None
            if lock:
                yield lock
            core = self._cores.request() if self._cores else None
            if core:
                yield core
            yield self._env.timeout(piece)
            if self._cores and core:
                self._cores.release(core)
            if process.lock and lock:
                process.lock.release(lock)
            busy = self._outcome.busy
            busy[process.station] = busy.get(process.station, 0.0) + piece
            seconds -= piece
