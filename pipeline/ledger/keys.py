"""Every key in Redis, built here and nowhere else.

``{id}`` is the task id; its braces keep a job's keys together.

====================================  ======  =====================================================
key                                   type    what
====================================  ======  =====================================================
``qrmill:{id}:job``                   hash    state, counts, times, error, bundle: one job
``qrmill:{id}:ranges``                hash    chunk index -> ``offset length`` in the request object
``qrmill:{id}:staged``                hash    chunk index -> what is known of it, as JSON
``qrmill:{id}:attempts``              hash    chunk index -> deliveries begun
``qrmill:{id}:leases``                hash    chunk index -> when its attempt counts as dead (ms)
``qrmill:{id}:excused``               hash    chunk index -> deliveries that ended with an error
``qrmill:{id}:errors``                hash    chunk index -> the last of these errors
``qrmill:{id}:failures``              hash    chunk index -> why it failed for good
``qrmill:{id}:letters``               set     ids of its dead letters: put back, they open it
``qrmill:jobs:active``                zset    task ids without an end yet, by creation time (ms)
``qrmill:jobs:ended``                 zset    task ids that have ended, by the time of that (ms)
``qrmill:jobs:unrecorded``            zset    task ids whose end is not in S3 yet, by the time since
                                              when that is so (ms)
``qrmill:jobs:all``                   zset    all task ids, by creation time (ms)
``qrmill:jobs:of:<key id>``           zset    task ids of an API key, by creation time (ms)
``qrmill:callbacks``                  zset    task ids whose callback is pending, by the time (ms)
                                              when the sweep sends a message about it
``qrmill:idempotency:<key id>:<…>``   hash    an Idempotency-Key: body, task id, until, done
``qrmill:drained``                    hash    ten seconds since the epoch -> chunks staged in them,
                                              of the last minute
``qrmill:counts``                     hash    jobs that ended, by kind, format and outcome: metrics
``qrmill:minutes``                    hash    ``<what>:<minute of the hour>`` -> ``minute count``
``qrmill:console:session:<sha256>``   string  an operator's session: the id of their API key
``qrmill:console:form:<nonce>``       string  a form of the console that was sent
``qrmill:held``                       hash    worker on RabbitMQ -> messages it holds, by queue
``qrmill:letters``                    string  lock of who looks at dead letters in RabbitMQ
``qrmill:sweep``                      string  who sweeps: a lease
``qrmill:alive``                      string  run id of the server that S3 was compared with
``qrmill:ended``                      channel task ids of jobs that have just ended
``qrmill:enqueued``                   channel queues that have just got a message
``qrmill:rates:{<key id>}:<s>``       string  requests of an API key in its window of <s> seconds
``qrmill:attempts:of:<address>``      string  attempts to sign in, in a window of a minute
``qrmill:attempts:all``               string  the same, of all addresses
``qrmill:barrier:<uuid>``             string  messages of a Dramatiq group that are not done;
                                              ``…@events``: a note that none is left
``dramatiq:<queue>``                  list    ids of messages that wait; ``<queue>.DQ``: delayed
``dramatiq:<queue>.msgs``             hash    id -> message, worked on or not; ``.DQ``, ``.XQ``
``dramatiq:<queue>.XQ``               zset    ids of dead letters, by the time of that (ms)
``dramatiq:__heartbeats__``           zset    broker clients, by when each was last heard of (ms);
                                              on RabbitMQ, workers alone
``dramatiq:__acks__.<client>.<q>``    set     ids that a broker client has fetched of a queue
``dramatiq:…``                        —       the rest of the broker's own
====================================  ======  =====================================================
"""

ACTIVE_JOBS = "qrmill:jobs:active"
ENDED_JOBS = "qrmill:jobs:ended"
UNRECORDED = "qrmill:jobs:unrecorded"
ALL_JOBS = "qrmill:jobs:all"
ENDED = "qrmill:ended"
ENQUEUED = "qrmill:enqueued"
CALLBACKS = "qrmill:callbacks"
DRAINED = "qrmill:drained"
COUNTS = "qrmill:counts"
MINUTES = "qrmill:minutes"
HEARTBEATS = "dramatiq:__heartbeats__"
HELD = "qrmill:held"
LETTERS = "qrmill:letters"
SIGN_IN_ATTEMPTS = "qrmill:attempts:all"
SWEEP = "qrmill:sweep"
ALIVE = "qrmill:alive"


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


def jobs_of(key_id: str) -> str:
    return f"qrmill:jobs:of:{key_id}"


def rate(key_id: str, seconds: int) -> str:
    return f"qrmill:rates:{{{key_id}}}:{seconds}"


def sign_in_attempts(address: str) -> str:
    return f"qrmill:attempts:of:{address}"


def idempotency(key_id: str, key_sha256: str) -> str:
    return f"qrmill:idempotency:{key_id}:{key_sha256}"


def session(token_sha256: str) -> str:
    return f"qrmill:console:session:{token_sha256}"


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
