"""Every fault by its name."""

from tests.faults.clock_faults import clock_back, clock_forward, shifted_clock
from tests.faults.hostile import HOSTILE_SETTINGS, hostile_clients
from tests.faults.message_faults import (
    callbacks_early,
    callbacks_late,
    messages_reordered,
    messages_twice,
)
from tests.faults.one_step_faults import freeze_in_the_one_step, kill_in_the_one_step
from tests.faults.process_faults import (
    BUNDLER_SETTINGS,
    kill_all_workers,
    kill_api_processes,
    kill_the_bundler,
    kill_workers,
)
from tests.faults.rabbitmq_faults import (
    empty_rabbitmq,
    freeze_rabbitmq,
    kill_rabbitmq,
    rabbitmq_away,
    rabbitmq_dying,
)
from tests.faults.redis_faults import (
    empty_redis,
    freeze_redis,
    kill_redis,
    redis_away,
    redis_dying,
    redis_full,
)
from tests.faults.s3_faults import kill_s3, s3_cutting, s3_failing, s3_full, s3_slow
from tests.faults.scene import Fault
from tests.faults.sentinel_faults import (
    freeze_master,
    kill_master,
    masters_dying,
)
from tests.faults.soak import soak

_ALL = (
    Fault("kill-workers", kill_workers, within=300),
    Fault("kill-all-workers", kill_all_workers),
    Fault("kill-api", kill_api_processes),
    Fault("kill-bundler", kill_the_bundler, settings=BUNDLER_SETTINGS, within=240),
    Fault("kill-one-step", kill_in_the_one_step, within=240),
    Fault("freeze-one-step", freeze_in_the_one_step, within=240),
    Fault("kill-redis", kill_redis),
    Fault("redis-dying", redis_dying),
    Fault("freeze-redis", freeze_redis),
    Fault("empty-redis", empty_redis),
    Fault("redis-away", redis_away),
    Fault("redis-full", redis_full),
    Fault("sentinel-failover", kill_master, sentinels=True),
    Fault("sentinel-freeze", freeze_master, sentinels=True),
    Fault("sentinel-dying", masters_dying, sentinels=True),
    Fault("sentinel-empty", empty_redis, sentinels=True),
    Fault("kill-rabbitmq", kill_rabbitmq, of_rabbitmq=True),
    Fault("rabbitmq-dying", rabbitmq_dying, of_rabbitmq=True, within=240),
    Fault("freeze-rabbitmq", freeze_rabbitmq, of_rabbitmq=True),
    Fault("empty-rabbitmq", empty_rabbitmq, of_rabbitmq=True),
    Fault("rabbitmq-away", rabbitmq_away, of_rabbitmq=True),
    Fault("kill-s3", kill_s3),
    Fault("s3-failing", s3_failing),
    # With 5 s a request, jobs of dozens of chunks would take an hour.
    Fault("s3-slow", s3_slow, settings={"QRMILL_CHUNK_SIZE": "250"}),
    Fault("s3-cutting", s3_cutting),
    Fault("s3-full", s3_full),
    Fault("messages-twice", messages_twice),
    Fault("messages-reordered", messages_reordered),
    Fault("callbacks-early", callbacks_early),
    Fault("callbacks-late", callbacks_late),
    Fault("clock-forward", clock_forward, first_worker=shifted_clock),
    Fault("clock-back", clock_back, first_worker=shifted_clock),
    Fault("soak", soak, within=300),
    # Without the proxy, which would take its part in the durations that are printed.
    Fault("hostile-clients", hostile_clients, 300, HOSTILE_SETTINGS, proxied=False),
)
FAULTS = {fault.name: fault for fault in _ALL}
