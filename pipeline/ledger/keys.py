"""The names of all keys and channels in Redis; no other module builds them.

``{id}`` is the task id; the braces put all keys of a job into one hash slot.

====================================  ======  =====================================================
key                                   type    content
====================================  ======  =====================================================
``qrmill:{id}:job``                   hash    one job: state, counts, times, error, bundle;
                                              ``upload:<sha256>``: a bundle whose upload was about
                                              to be completed, as JSON; of a purged job only a
                                              tombstone with the state ``purged``, which expires
``qrmill:{id}:ranges``                hash    chunk index -> ``offset length`` in the request
                                              object; ``items`` -> items of a small job in flight
``qrmill:{id}:staged``                hash    chunk index -> record of the staged chunk, as JSON
``qrmill:{id}:attempts``              hash    chunk index -> deliveries begun
``qrmill:{id}:leases``                hash    chunk index -> end of its attempt's lease (ms)
``qrmill:{id}:excused``               hash    chunk index -> deliveries that ended with an error
``qrmill:{id}:errors``                hash    chunk index -> last error of its attempts, as JSON
``qrmill:{id}:failures``              hash    chunk index -> why it failed permanently, as JSON
``qrmill:{id}:letters``               set     ids of dead letters that reopen the job when requeued
``qrmill:jobs:active``                zset    task ids of jobs in flight, by creation time (ms)
``qrmill:jobs:ended``                 zset    task ids of ended jobs, by the time of the end (ms)
``qrmill:jobs:unrecorded``            zset    task ids of jobs whose result record in S3 may be
                                              missing, or void since a retry, by the time (ms)
                                              since which that is so
``qrmill:jobs:purged``                zset    task ids of purged jobs that may still have objects
                                              in S3, by the time (ms) when the sweep deletes them
``qrmill:jobs:all``                   zset    all task ids, by creation time (ms)
``qrmill:jobs:of:<tenant>``           zset    task ids of a tenant, by creation time (ms)
``qrmill:callbacks``                  zset    task ids whose callback is pending, by the time (ms)
                                              when the sweep enqueues a message about it
``qrmill:idempotency:<tenant>:<…>``   hash    an idempotency key: digest of the body, task id, end
                                              of the lease (ms), and whether it was accepted
``qrmill:drained``                    hash    interval of ten seconds, counted since the epoch ->
                                              chunks staged in it; the last minute only
``qrmill:counts``                     hash    ended jobs by kind, format and outcome, for metrics
``qrmill:minutes``                    hash    ``<event>:<minute of the hour>`` -> ``minute count``,
                                              the minute counted since the epoch
``qrmill:console:session:<sha256>``   string  an operator's session: the id of the API key
``qrmill:console:portal:<sha256>``    string  a client's session in the portal: the id of the API
                                              key
``qrmill:console:form:<nonce>``       string  marks a console form as submitted
``qrmill:held``                       hash    worker on RabbitMQ -> its unacknowledged messages, by
                                              queue
``qrmill:consumed``                   zset    queues by the time (ms) at which a consumer last read
                                              them
``qrmill:letters``                    string  lock for reading dead letters in RabbitMQ
``qrmill:sweep``                      string  lease of the active sweep
``qrmill:{probe}:write``              string  written by readiness checks; expires after 10 seconds
``qrmill:alive``                      string  run id of the Redis server that was last reconciled
                                              with S3
``qrmill:ended``                      channel task ids of jobs that have just ended
``qrmill:enqueued``                   channel names of queues that have just received a message
``qrmill:rates:{<key id>}:<s>``       string  requests of an API key in a window of <s> seconds
``qrmill:rates:{<key id>}:items:<s>`` string  items of an API key in a window of <s> seconds
``qrmill:attempts:of:<network>``      string  wrong sign-in attempts from a network in one minute
``qrmill:attempts:all``               string  wrong sign-in attempts from all networks in a minute
``qrmill:barrier:<uuid>``             string  number of unfinished messages of a Dramatiq group;
                                              ``…@events``: notice that all are finished
``dramatiq:<queue>``                  list    ids of waiting messages; ``<queue>.DQ``: delayed ones
``dramatiq:<queue>.msgs``             hash    id -> waiting or unacknowledged message; also
                                              ``.DQ.msgs`` (delayed), ``.XQ.msgs`` (dead letters)
``dramatiq:<queue>.XQ``               zset    ids of dead letters, by the time of their death (ms)
``dramatiq:__heartbeats__``           zset    broker clients by time of last heartbeat (ms);
                                              only workers if the broker is RabbitMQ
``dramatiq:__acks__.<client>.<q>``    set     ids of messages that a broker client has fetched from
                                              a queue and not acknowledged
``dramatiq:…``                        —       other keys of the broker
====================================  ======  =====================================================
"""

ACTIVE_JOBS = "qrmill:jobs:active"
ENDED_JOBS = "qrmill:jobs:ended"
UNRECORDED = "qrmill:jobs:unrecorded"
PURGED_JOBS = "qrmill:jobs:purged"
ALL_JOBS = "qrmill:jobs:all"
ENDED = "qrmill:ended"
ENQUEUED = "qrmill:enqueued"
CALLBACKS = "qrmill:callbacks"
DRAINED = "qrmill:drained"
COUNTS = "qrmill:counts"
MINUTES = "qrmill:minutes"
HEARTBEATS = "dramatiq:__heartbeats__"
HELD = "qrmill:held"
CONSUMED = "qrmill:consumed"
LETTERS = "qrmill:letters"
SIGN_IN_ATTEMPTS = "qrmill:attempts:all"
SWEEP = "qrmill:sweep"
ALIVE = "qrmill:alive"
#: The braces let it match a pattern that the ACL file of every release gives to every role.
PROBE = "qrmill:{probe}:write"


def job(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:job"


def ranges(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:ranges"


def staged(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:staged"


def attempts(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:attempts"


def handled_errors(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:excused"


def errors(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:errors"


def failures(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:failures"


def letters(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:letters"


def leases(task_id: str) -> str:
    return f"qrmill:{{{task_id}}}:leases"


def jobs_of(tenant: str) -> str:
    return f"qrmill:jobs:of:{tenant}"


def rate(key_id: str, seconds: int) -> str:
    return f"qrmill:rates:{{{key_id}}}:{seconds}"


def item_rate(key_id: str, seconds: int) -> str:
    return f"qrmill:rates:{{{key_id}}}:items:{seconds}"


def sign_in_attempts(network: str) -> str:
    return f"qrmill:attempts:of:{network}"


def idempotency(tenant: str, key_sha256: str) -> str:
    return f"qrmill:idempotency:{tenant}:{key_sha256}"


def idempotency_prefix(tenant: str) -> str:
    return idempotency(tenant, "")


def session(kind: str, token_sha256: str) -> str:
    return f"qrmill:console:{kind}:{token_sha256}"


def sent_form(nonce: str) -> str:
    return f"qrmill:console:form:{nonce}"


def barrier(group: str) -> str:
    return f"qrmill:barrier:{group}"


def queue(name: str) -> str:
    return f"dramatiq:{name}"


def messages(name: str) -> str:
    return f"{queue(name)}.msgs"


def delayed_messages(name: str) -> str:
    return f"{queue(name)}.DQ.msgs"


def fetched(client: str, name: str) -> str:
    return f"dramatiq:__acks__.{client}.{name}"


def dead_letters(name: str) -> str:
    return f"{queue(name)}.XQ"


def dead_messages(name: str) -> str:
    return f"{queue(name)}.XQ.msgs"
