"""Curves of a job's time against the load, for one machine and for fleets of workers."""

from deploy.capacity.chart import Curve
from deploy.capacity.measured import Demand, Measured, with_remote_s3
from deploy.capacity.simulation import Load, Plan, simulate
from deploy.capacity.sizing import BUSY, THREADS, percentiles, worker_rate

#: Loads of a curve's points, as shares of the deployment's maximum throughput.
_LOADS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94)
_FLEETS = (2, 12, 36)
_FLOOD = Load(clients=40, seconds=40.0, warm_up=10.0)


def machine_curves(measured: Measured, demand: Demand, jobs: int) -> list[Curve]:
    """Return the curves of one and two workers on the measured machine, without other programs.

    Args:
        measured: the benchmark's report.
        demand: demand of the measured job.
        jobs: number of jobs to simulate at each load.
    """
    curves = []
    for workers in (1, 2):
        plan = Plan(workers=workers, cores=measured.cores)
        most = simulate(plan, _FLOOD, demand).ended / (_FLOOD.seconds - _FLOOD.warm_up)
        name = f"{workers} worker{'s' if workers > 1 else ''}"
        curves.append(Curve(name, [_point(plan, demand, most * share, jobs) for share in _LOADS]))
    return curves


def fleet_curves(demand: Demand, s3_ms: float, jobs: int) -> list[Curve]:
    """Return the curves of fleets with one core per process and a remote S3.

    No load exceeds what the single Redis can process.
    """
    remote = with_remote_s3(demand, s3_ms / 1000)
    one = worker_rate(remote)
    curves = []
    for workers in _FLEETS:
        most = min(workers * one, 1 / remote.redis)
        plan = Plan(workers=workers, threads=THREADS, api=round(most * remote.api / BUSY) + 1)
        points = [_point(plan, remote, most * share, jobs) for share in _LOADS]
        curves.append(Curve(f"{workers} workers", points))
    return curves


def _point(plan: Plan, demand: Demand, rate: float, jobs: int) -> tuple[float, float, float]:
    load = Load(rate=rate, seconds=jobs / rate)
    return (60 * rate, *percentiles(simulate(plan, load, demand).times))
