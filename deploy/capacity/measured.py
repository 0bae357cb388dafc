"""Input of the model: fields of the benchmarks' report, and the demand of a job."""

from pathlib import Path

import msgspec

#: The job that the load consists of; the benchmark ``throughput`` sends the same job.
JOB = "500 svg"
#: Share of the API's CPU that the poll at the job's end takes: one of two requests, POST and poll.
_ANSWER_SHARE = 0.5
#: S3 requests per chunk: one reads its items, one stages the rendered symbols.
_CHUNK_REQUESTS = 2


class MeasuredError(Exception):
    """Raised when the report lacks a figure; the message names the command that measures it."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a job that runs alone, from the benchmark ``demand``. Times are in seconds.

    Attributes:
        cpu_seconds: CPU time by process of the stack; ``load generator`` is the client.
        least_seconds: wall time of each phase when the machine did little else (10th percentile).
        variation: standard deviation of the job's time divided by its mean.
        bundle_bytes: size of the job's ZIP.
        ledger_bytes: memory that the job takes in Redis after its end.
    """

    items: int
    cpu_seconds: dict[str, float]
    least_seconds: dict[str, float]
    variation: float
    bundle_bytes: int
    ledger_bytes: float


class Redis(msgspec.Struct, frozen=True):
    """Redis commands of one job."""

    commands: int


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """S3 requests and Redis commands of one job, from the benchmark ``requests``."""

    s3: dict[str, int]
    redis: Redis
    dollars_a_million: float

    @property
    def writes(self) -> int:
        """Number of PUT, POST and DELETE requests, which count against S3's limit of writes."""
        return sum(self.s3.get(method, 0) for method in ("PUT", "POST", "DELETE"))

    @property
    def reads(self) -> int:
        """Number of GET, HEAD and LIST requests."""
        return sum(self.s3.values()) - self.writes


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """Throughput of twenty clients by number of worker processes, with which the model is compared.

    Attributes:
        other_cores: cores that were used meanwhile by programs outside the stack and the clients.
    """

    jobs_a_second: dict[int, float]
    other_cores: dict[int, float]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The benchmarks' report.

    Attributes:
        begun: start of the run, ISO 8601.
        load_average: load average at the end of the run, over 1, 5 and 15 minutes.
        quick: whether the run had few repetitions.
        redis_idle_commands_a_second: commands of an idle stack with two workers.
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
        """The job that the load consists of."""
        return self.demand[JOB]

    @property
    def usage(self) -> Requests:
        """S3 requests and Redis commands of the job that the load consists of."""
        return self.requests[JOB]

    @property
    def cores(self) -> int:
        """Number of cores of the machine, from the report's description of the machine."""
        return int(self.machine.split(", ")[1].split()[0])


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A phase of a job. Times are in seconds.

    Attributes:
        own: CPU time of the process that runs the phase (API or worker).
        s3: CPU time of the S3 server, for all ``calls`` together.
        redis: CPU time of Valkey.
        calls: number of S3 requests.
        wait: time in which the phase needs no core: disk, network.
    """

    own: float = 0.0
    s3: float = 0.0
    redis: float = 0.0
    calls: int = 0
    wait: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes that take part."""
        return self.own + self.s3 + self.redis


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Demand of a job of one chunk on each station (queueing theory), phase by phase.

    Attributes:
        client: CPU seconds of the load generator.
        variation: standard deviation of every service time divided by its mean.
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
        """The phases in order."""
        return self.accept, self.chunk, self.bundle, self.answer


def read(path: Path) -> Measured:
    """Return the report at ``path``.

    Raises:
        MeasuredError: if the file is missing, or lacks a benchmark.
    """
    command = 'make bench BENCH="demand throughput requests"'
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Measured, strict=False)
    except FileNotFoundError:
        raise MeasuredError(f"{path} does not exist. Measure first: {command}") from None
    except msgspec.DecodeError as error:
        raise MeasuredError(f"{path} is incomplete ({error}). Measure: {command}") from None
    if JOB not in found.demand or JOB not in found.requests:
        raise MeasuredError(f"{path} has no figures for a job of {JOB}. Measure: {command}")
    return found


def demand_of(measured: Measured) -> Demand:
    """Return the demand of the measured job.

    The worker's CPU time is divided between chunk and bundle in proportion to their wall times, the
    S3 server's in proportion to its requests, and Valkey's evenly. The part of a phase's wall time
    that is not CPU time is its wait.
    """
    job, calls = measured.job, sum(measured.usage.s3.values())
    cpu, walls = job.cpu_seconds, job.least_seconds
    worker = sum(seconds for part, seconds in cpu.items() if part.startswith("worker"))
    chunk_share = walls["chunk"] / (walls["chunk"] + walls["bundle"])
    own = {
        "accept": cpu["api"] * (1 - _ANSWER_SHARE),
        "chunk": worker * chunk_share,
        "bundle": worker * (1 - chunk_share),
        "answer": cpu["api"] * _ANSWER_SHARE,
    }
    s3_calls = {"accept": 1, "chunk": _CHUNK_REQUESTS, "bundle": calls - 1 - _CHUNK_REQUESTS}
    phases = {}
    for name, seconds in own.items():
        count = s3_calls.get(name, 0)
        phase = Phase(
            own=seconds, s3=cpu["s3"] * count / calls, redis=cpu["valkey"] / len(own), calls=count
        )
        wait = max(0.0, walls[name] - phase.cpu) if count else 0.0
        phases[name] = msgspec.structs.replace(phase, wait=wait)
    return Demand(**phases, client=cpu["load generator"], variation=min(1.0, job.variation))


def with_remote_s3(demand: Demand, latency: float) -> Demand:
    """Return ``demand`` with a remote S3 that takes ``latency`` seconds for each response."""
    moved = {
        name: msgspec.structs.replace(phase, s3=0.0, wait=phase.calls * latency)
        for name, phase in zip(("accept", "chunk", "bundle", "answer"), demand.phases, strict=True)
    }
    return msgspec.structs.replace(demand, **moved, client=0.0)
