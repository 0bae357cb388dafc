"""Comparison of the model with the benchmark: twenty clients, one and two worker processes."""

from statistics import fmean
from typing import NamedTuple

from deploy.capacity.measured import Demand, Measured
from deploy.capacity.simulation import Load, Plan, simulate

#: The load of the benchmark ``throughput``.
_CLIENTS = 20
_SECONDS, _QUICK_SECONDS = 30.0, 10.0
#: Runs of the model with different random numbers; their mean is compared.
_RUNS = 3
#: Error at which the command fails, relative to the measured figure.
MAX_ERROR = 0.2


class Compared(NamedTuple):
    """Jobs per second, measured and modelled, for a number of worker processes."""

    workers: int
    other_cores: float
    measured: float
    modelled: float

    @property
    def error(self) -> float:
        """Error of the model, relative to the measured figure."""
        return self.modelled / self.measured - 1


def compare(measured: Measured, demand: Demand) -> list[Compared]:
    """Run the model like the benchmark: everything, clients included, on the cores of one machine.

    The model starts without jobs and runs as long as the benchmark, so that the clients' first
    waits count in the model and in the benchmark.
    """
    found = []
    load = Load(clients=_CLIENTS, seconds=_QUICK_SECONDS if measured.quick else _SECONDS)
    for workers, rate in sorted(measured.throughput.jobs_a_second.items()):
        others = measured.throughput.other_cores[workers]
        plan = Plan(workers=workers, cores=measured.cores, others=others)
        modelled = fmean(
            simulate(plan, load, demand, seed).ended / load.seconds for seed in range(_RUNS)
        )
        found.append(Compared(workers, others, rate, modelled))
    return found
