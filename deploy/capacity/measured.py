"""What the model takes from the benchmarks' report, and nothing else of it."""

from pathlib import Path

import msgspec

#: The job that the load is made of, as the benchmark's part ``throughput`` sends it.
JOB = "500 svg"
#: CPU of the accepting side that goes into the answer at the job's end: a POST and a poll are two.
_ANSWER_SHARE = 0.5
#: S3 requests of a chunk: its items are read, what was rendered is staged.
_CHUNK_REQUESTS = 2


class MeasuredError(Exception):
    """The report lacks what the model needs; the message names the command that measures it."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job by itself, from the part ``demand``. Times are in seconds.

    Attributes:
        cpu_seconds: of each part of the stack; ``load generator`` is the client.
        least_seconds: wall time of each phase when the machine did little else (10th percentile).
        variation: standard deviation of the job's time by its mean.
        bundle_bytes: size of its ZIP; ``ledger_bytes``: what Redis keeps of it after its end.
    """

    items: int
    cpu_seconds: dict[str, float]
    least_seconds: dict[str, float]
    variation: float
    bundle_bytes: int
    ledger_bytes: float


class Redis(msgspec.Struct, frozen=True):
    """Commands and bytes of one job."""

    commands: int


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What one job asks of S3 and Redis, from the part ``requests``."""

    s3: dict[str, int]
    redis: Redis
    dollars_a_million: float

    @property
    def writes(self) -> int:
        """PUT, POST and DELETE: what S3 counts against the limit of writes."""
        return sum(self.s3.get(method, 0) for method in ("PUT", "POST", "DELETE"))

    @property
    def reads(self) -> int:
        """GET, HEAD and LIST."""
        return sum(self.s3.values()) - self.writes


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """What twenty clients got, by the number of worker processes; the check is against this.

    Attributes:
        other_cores: cores that everything but the stack and the clients took meanwhile.
    """

    jobs_a_second: dict[int, float]
    other_cores: dict[int, float]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The report.

    Attributes:
        begun: when, ISO 8601; ``load_average`` at its end; ``quick``: few repetitions.
        redis_idle_commands_a_second: of a stack with two workers and nothing to do.
    """

    begun: str
    machine: str
    load_average: tuple[float, float, float]
    quick: bool
    demand: dict[str, Job]
    throughput: Throughput
    requests: dict[str, Requests]
    redis_idle_commands_a_second: float

    @property
    def job(self) -> Job:
        """The job that the load is made of."""
        return self.demand[JOB]

    @property
    def asked(self) -> Requests:
        """What that job asks of S3 and Redis."""
        return self.requests[JOB]

    @property
    def cores(self) -> int:
        """How many cores the machine has, as the report's line about it says."""
        return int(self.machine.split(", ")[1].split()[0])


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of a job. Times are in seconds.

    Attributes:
        own: CPU of the process that does it (API or worker).
        s3: CPU of the S3 server, over all ``calls``; redis: of Valkey.
        wait: time for which it needs no core: disk, network.
    """

    own: float = 0.0
    s3: float = 0.0
    redis: float = 0.0
    calls: int = 0
    wait: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds of all who take part."""
        return self.own + self.s3 + self.redis


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What a job of one chunk asks of every station, phase by phase.

    Attributes:
        client: CPU seconds of the load generator.
        variation: of every service time, its standard deviation by its mean.
    """

    accept: Phase = Phase()
    chunk: Phase = Phase()
    bundle: Phase = Phase()
    answer: Phase = Phase()
    client: float = 0.0
    variation: float = 0.0

    @property
    def worker(self) -> float:
        """CPU seconds of a worker."""
        return self.chunk.own + self.bundle.own

    @property
    def api(self) -> float:
        """CPU seconds of an API process."""
        return self.accept.own + self.answer.own

    @property
    def redis(self) -> float:
        """CPU seconds of Redis."""
        return sum(phase.redis for phase in self.phases)

    @property
    def phases(self) -> tuple[Phase, Phase, Phase, Phase]:
        """The phases in their order."""
        return self.accept, self.chunk, self.bundle, self.answer


def read(path: Path) -> Measured:
    """Return what the report at ``path`` says.

    Raises:
        MeasuredError: there is none, or it lacks a part.
    """
    command = 'make bench BENCH="demand throughput requests"'
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Measured, strict=False)
    except FileNotFoundError:
        raise MeasuredError(f"There is no {path}. Measure first: {command}") from None
    except msgspec.DecodeError as error:
        raise MeasuredError(f"{path} is not whole ({error}). Measure: {command}") from None
    if JOB not in found.demand or JOB not in found.requests:
        raise MeasuredError(f"{path} has no job of {JOB}. Measure: {command}")
    return found


def demand_of(measured: Measured) -> Demand:
    """Return the demand of the measured job.

    The worker's CPU is shared out between chunk and bundle as their wall times are, the S3 server's
    by requests, and Valkey's evenly. What of a phase's wall time no CPU explains is its wait.
    """
    job, calls = measured.job, sum(measured.asked.s3.values())
    cpu, walls = job.cpu_seconds, job.least_seconds
    worker = sum(seconds for part, seconds in cpu.items() if part.startswith("worker"))
    chunk_share = walls["chunk"] / (walls["chunk"] + walls["bundle"])
    own = {
        "accept": cpu["api"] * (1 - _ANSWER_SHARE),
        "chunk": worker * chunk_share,
        "bundle": worker * (1 - chunk_share),
        "answer": cpu["api"] * _ANSWER_SHARE,
    }
    asked = {"accept": 1, "chunk": _CHUNK_REQUESTS, "bundle": calls - 1 - _CHUNK_REQUESTS}
    phases = {}
    for name, seconds in own.items():
        count = asked.get(name, 0)
        phase = Phase(
            own=seconds, s3=cpu["s3"] * count / calls, redis=cpu["valkey"] / len(own), calls=count
        )
        wait = max(0.0, walls[name] - phase.cpu) if count else 0.0
        phases[name] = msgspec.structs.replace(phase, wait=wait)
    return Demand(**phases, client=cpu["load generator"], variation=min(1.0, job.variation))


def with_remote_s3(demand: Demand, latency: float) -> Demand:
    """Return ``demand`` with an S3 elsewhere, whose answers take ``latency`` seconds each."""
    moved = {
        name: msgspec.structs.replace(phase, s3=0.0, wait=phase.calls * latency)
        for name, phase in zip(("accept", "chunk", "bundle", "answer"), demand.phases, strict=True)
    }
    return msgspec.structs.replace(demand, **moved, client=0.0)
