"""The model beside what was measured: twenty clients, one and two worker processes."""

from statistics import fmean
from typing import NamedTuple

from deploy.capacity.measured import Demand, Measured
from deploy.capacity.simulation import Load, Plan, simulate

#: As the benchmark's part ``throughput`` has it.
_CLIENTS = 20
_SECONDS, _QUICK_SECONDS = 30.0, 10.0
#: Runs of the model with other random numbers, of which the mean is taken.
_RUNS = 3
#: What the error may be.
WANTED = 0.2


class Compared(NamedTuple):
    """Jobs a second, measured and modelled, with so many worker processes."""

    workers: int
    other_cores: float
    measured: float
    modelled: float

    @property
    def error(self) -> float:
        """How far the model is off, by what was measured."""
        return self.modelled / self.measured - 1


def compare(measured: Measured, demand: Demand) -> list[Compared]:
    """Run the model as the benchmark ran: everything, clients included, on one machine's cores.

    It begins empty and as long as the benchmark did, so that what the clients wait for at first
    counts in both.
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
