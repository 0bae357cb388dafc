"""The capacity model compared with queueing theory, and the command that writes its page."""

import math
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.capacity import sizing
from deploy.capacity.__main__ import main
from deploy.capacity.chart import Curve, draw
from deploy.capacity.measured import Demand, MeasuredError, Phase, demand_of, read, with_remote_s3
from deploy.capacity.page import PageError, insert
from deploy.capacity.simulation import Load, Plan, simulate

PAGE = Path(__file__).parents[3] / "deploy" / "capacity"

#: Three standard errors of the mean time of 20,000 jobs in M/M/1 at 0.6, by which it may be off.
NOISE = 0.15
_MS = st.just(0.0) | st.floats(0.0001, 0.02)
_PHASES = st.builds(
    Phase, own=st.floats(0.001, 0.03), s3=_MS, redis=_MS, calls=st.integers(0, 3), wait=_MS
)
_DEMANDS = st.builds(Demand, accept=_PHASES, chunk=_PHASES, bundle=_PHASES, answer=_PHASES)
_PLANS = st.builds(
    Plan,
    workers=st.integers(1, 3),
    threads=st.integers(1, 3),
    api=st.integers(1, 2),
    cores=st.none() | st.integers(1, 3),
)
_LOADS = st.builds(Load, clients=st.integers(1, 6), seconds=st.just(2.0)) | st.builds(
    Load, rate=st.floats(2, 20), seconds=st.just(2.0)
)
few = settings(max_examples=25, deadline=None)


def erlang_c(servers: int, offered: float) -> float:
    """Return the probability to wait in M/M/c: Erlang's second formula."""
    top = offered**servers / math.factorial(servers) * servers / (servers - offered)
    return top / (sum(offered**k / math.factorial(k) for k in range(servers)) + top)


def mm_c(servers: int, rate: float, service: float) -> float:
    """Return the mean time in M/M/c."""
    offered = rate * service
    return service + erlang_c(servers, offered) * service / (servers - offered)


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.4), (1, 0.6), (3, 0.7)])
def test_processes_that_serve_in_turn_are_m_m_c(servers: int, busy: float) -> None:
    service, rate = 0.1, servers * busy / 0.1
    load = Load(rate=rate, seconds=20_000 / rate, warm_up=500 / rate)
    demand = Demand(accept=Phase(own=service), variation=1.0)
    times = simulate(Plan(api=servers), load, demand).times
    assert fmean(times) == pytest.approx(mm_c(servers, rate, service), rel=NOISE)


@pytest.mark.parametrize("busy", [0.4, 0.7])
def test_a_process_with_steady_service_is_m_d_1(busy: float) -> None:
    service, rate = 0.1, busy / 0.1
    load = Load(rate=rate, seconds=20_000 / rate, warm_up=500 / rate)
    times = simulate(Plan(api=1), load, Demand(accept=Phase(own=service))).times
    # Pollaczek and Khinchine's formula for a variance of zero.
    assert fmean(times) == pytest.approx(service + busy * service / (2 * (1 - busy)), rel=NOISE)


def test_cores_that_are_shared_in_slices_are_m_m_c_in_the_mean() -> None:
    # For exponential service the mean does not depend on the order of service (Kleinrock, vol. 2).
    service, rate = 0.1, 14.0
    demand = Demand(accept=Phase(s3=service, calls=1), variation=1.0)
    load = Load(rate=rate, seconds=8000 / rate, warm_up=300 / rate)
    times = simulate(Plan(cores=2), load, demand).times
    assert fmean(times) == pytest.approx(mm_c(2, rate, service), rel=NOISE)


@few
@given(plan=_PLANS, load=_LOADS, demand=_DEMANDS)
def test_littles_law(plan: Plan, load: Load, demand: Demand) -> None:
    outcome = simulate(plan, load, demand)
    assert len(outcome.times) == outcome.sent
    assert outcome.present == pytest.approx(sum(outcome.times))


@few
@given(plan=_PLANS, load=_LOADS, demand=_DEMANDS)
def test_the_utilisation_law(plan: Plan, load: Load, demand: Demand) -> None:
    outcome = simulate(plan, load, demand)
    s3 = sum(phase.s3 for phase in demand.phases)
    asked = {"api": demand.api, "worker": demand.worker, "redis": demand.redis, "s3": s3}
    for station, seconds in asked.items():
        assert outcome.busy[station] == pytest.approx(outcome.sent * seconds)
    assert sum(outcome.busy.values()) <= (plan.cores or math.inf) * outcome.length * 1.000001
    assert outcome.busy["worker"] <= plan.workers * outcome.length * 1.000001
    assert outcome.busy["redis"] <= outcome.length * 1.000001


@few
@given(plan=_PLANS, clients=st.integers(1, 8), demand=_DEMANDS)
def test_no_more_than_the_asymptotic_bounds(plan: Plan, clients: int, demand: Demand) -> None:
    outcome = simulate(plan, Load(clients=clients, seconds=3.0), demand)
    cpu = sum(phase.cpu for phase in demand.phases)
    alone = cpu + sum(phase.wait for phase in demand.phases)
    bounds = [clients / alone, plan.workers / demand.worker, plan.api / demand.api]
    bounds += [plan.cores / cpu] if plan.cores else []
    assert outcome.sent / outcome.length <= min(bounds) * 1.000001
    assert min(outcome.times) >= alone * 0.999999


@few
@given(plan=_PLANS, load=_LOADS, demand=_DEMANDS)
def test_the_same_run_has_the_same_outcome(plan: Plan, load: Load, demand: Demand) -> None:
    varied = Demand(accept=demand.accept, chunk=demand.chunk, bundle=demand.bundle, variation=0.5)
    assert simulate(plan, load, varied) == simulate(plan, load, varied)


def test_other_programs_take_their_cores() -> None:
    demand, load = Demand(chunk=Phase(own=0.05)), Load(clients=8, seconds=60.0)
    alone = simulate(Plan(workers=2, cores=2), load, demand).ended
    beside = simulate(Plan(workers=2, cores=2, others=1.0), load, demand).ended
    assert beside / alone == pytest.approx(0.5, rel=0.1)


@few
@given(rate=st.floats(0.1, 300), demand=_DEMANDS, ms=st.floats(1, 200))
def test_so_many_workers_are_enough_and_not_many_too_many(
    rate: float, demand: Demand, ms: float
) -> None:
    away = with_remote_s3(demand, ms / 1000)
    workers = sizing.workers_for(rate, away)
    most = sizing.worker_rate(away)
    assert workers * most * sizing.BUSY >= rate * 0.999999
    assert workers == 1 or (workers - 1) * most * sizing.BUSY < rate
    assert most <= 1 / away.worker


def test_a_job_of_the_report_is_shared_out_without_loss() -> None:
    measured = read(PAGE / "measured.json")
    demand = demand_of(measured)
    cpu = measured.job.cpu_seconds
    assert demand.api == pytest.approx(cpu["api"])
    assert demand.worker == pytest.approx(cpu["worker-1"] + cpu["worker-2"])
    assert sum(phase.s3 for phase in demand.phases) == pytest.approx(cpu["s3"])
    assert sum(phase.calls for phase in demand.phases) == sum(measured.usage.s3.values())


def test_limits_are_in_the_order_in_which_they_come() -> None:
    measured = read(PAGE / "measured.json")
    demand = demand_of(measured)
    near, far = (
        [limit.jobs_a_minute for limit in sizing.limits(measured, demand, s3_ms)]
        for s3_ms in (sizing.S3_MS, 10 * sizing.S3_MS)
    )
    assert near == sorted(near)
    assert near[0] > far[0] > 0  # the sweep waits for S3


@pytest.mark.parametrize("jobs_a_minute", [10, 3000, 9000, 100_000])
def test_a_load_is_sized_so_that_it_reaches_no_limit(jobs_a_minute: float) -> None:
    measured = read(PAGE / "measured.json")
    demand = demand_of(measured)
    found = sizing.size(measured, demand, jobs_a_minute, sizing.S3_MS, jobs=30)
    each = jobs_a_minute / found.installations
    limits = sizing.limits(measured, demand, sizing.S3_MS)
    assert each <= min(limit.jobs_a_minute for limit in limits if limit.raised_by == "another")
    for limit in limits:
        if limit.raised_by == "ttl":  # the limit rises as jobs are kept for a shorter time
            assert each <= limit.jobs_a_minute * sizing.JOB_TTL / found.job_ttl * 1.000001
    assert found.job_ttl <= sizing.JOB_TTL
    assert found.redis_bytes <= found.installations * 100e9 * 1.000001


def test_installations_follow_from_the_lowest_limit_that_they_raise() -> None:
    limits = [
        sizing.Limit(100, "memory", "", "ttl"),
        sizing.Limit(200, "removal", "", "another"),
        sizing.Limit(300, "Redis", "", "another"),
        sizing.Limit(50, "prefixes", "", "neither"),
    ]
    assert [sizing.installations_for(rate, limits) for rate in (1, 200, 201)] == [1, 1, 2]
    assert sizing.job_ttl_for(50, limits) == sizing.JOB_TTL
    assert sizing.job_ttl_for(200, limits) == sizing.JOB_TTL / 2


@given(st.lists(st.tuples(*[st.floats(0.001, 10_000)] * 3), min_size=2, max_size=6))
def test_a_chart_keeps_its_lines_on_the_page(points: list[tuple[float, float, float]]) -> None:
    distinct = sorted({(round(load, 3), p50, p99) for load, p50, p99 in points})
    if distinct[0][0] == distinct[-1][0]:
        return
    drawn = ET.fromstring(draw("t", "n", [Curve("<one>", distinct)]))  # noqa: S314 - it is ours
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    curves = [path for path in drawn.iter() if "curve" in path.attrib.get("class", "")]
    assert len(curves) == 4  # p50 and p99, and both in the legend
    for path in curves[:2]:
        for x, y in (place.split() for place in path.attrib["d"][1:].split("L")):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_the_command_writes_the_page_and_its_charts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(PAGE / "README.md", tmp_path)
    options = ["--report", str(PAGE / "measured.json"), "--page", str(tmp_path / "README.md")]
    main([*options, "--write", "--jobs", "30"])
    written = (tmp_path / "README.md").read_text("utf-8")
    assert capsys.readouterr().out.strip() in written
    committed = (PAGE / "README.md").read_text("utf-8")
    # --jobs has no influence on these.
    for section in ("one job by itself", "The model compared", "Limits, in the order"):
        assert section_of(written, section) == section_of(committed, section)
    assert (tmp_path / "measured.json").read_bytes() == (PAGE / "measured.json").read_bytes()
    for chart in ("machine.svg", "fleet.svg"):
        assert chart in written
        ET.parse(tmp_path / chart)  # noqa: S314 - it is ours


def section_of(page: str, title: str) -> str:
    return next(part for part in page.split("\n#") if title in part.splitlines()[0])


def test_a_report_that_lacks_a_part_is_told_how_to_be_made(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    with pytest.raises(MeasuredError, match="make bench"):
        read(report)
    report.write_text('{"begun": "2026-11-24"}')
    with pytest.raises(MeasuredError, match="make bench"):
        read(report)
    with pytest.raises(SystemExit, match="make bench"):
        main(["--report", str(report)])


def test_a_page_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("nothing")
    with pytest.raises(PageError, match="figures"):
        insert(page, "| a |")
    assert page.read_text() == "nothing"
