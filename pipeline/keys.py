"""Every key in Redis and S3, built here and nowhere else.

Redis (``{id}`` is the task id; its braces keep a job's keys together):

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
``qrmill:attempts:…``                 string  attempts to sign in, the ``limits`` library's
``dramatiq:<queue>``                  list    ids of messages that wait; ``<queue>.DQ``: delayed
``dramatiq:<queue>.msgs``             hash    id -> message, worked on or not; ``.DQ``, ``.XQ``
``dramatiq:<queue>.XQ``               zset    ids of dead letters, by the time of that (ms)
``dramatiq:__heartbeats__``           zset    broker clients, by when each was last heard of (ms);
                                              on RabbitMQ, workers alone
``dramatiq:__acks__.<client>.<q>``    set     ids that a broker client has fetched of a queue
``dramatiq:…``                        —       the rest of the broker's own
====================================  ======  =====================================================

S3, main bucket:

====================================  =============================================================
``jobs/<id>/request.json``            the accepted request: a head line, then the chunks' items
``jobs/<id>/bundle.zip``              the bundle
``jobs/<id>/result.json``             how the job ended, for good
``jobs/<id>/callback.json``           how the callback about that ended
``keys/<key id>.json``                an API key: its hash, role and rates
``webhook-secrets/<key id>.json``     what an API key's callbacks are signed with
``checkup-<random>``                  of a check-up that runs, in both buckets
====================================  =============================================================

S3, staging bucket:

====================================  =============================================================
``<id>/<chunk>.zip``                  a staged chunk (``QRMILL_STAGING=zip``): rows, then images
``<id>/<chunk>/rows.json``            a staged chunk's rows (``QRMILL_STAGING=object``)
``<id>/<chunk>/<file>``               one image of it
====================================  =============================================================

S3 takes 3,500 writes and 5,500 reads a second for each prefix that it has made a partition of, and
splits one that is asked for more at any character (S3 User Guide, "Optimizing Amazon S3
performance"). Task ids are random (UUID4), and nothing but a constant stands before them, so that
the keys of the jobs at hand are spread evenly over whatever partitions there are.
"""

import secrets

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
#: Prefix that the ``limits`` library puts before its own keys.
ATTEMPTS_PREFIX = "qrmill:attempts"
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


def excused(task_id: str) -> str:
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


def idempotency(key_id: str, key_sha256: str) -> str:
    return f"qrmill:idempotency:{key_id}:{key_sha256}"


def session(token_sha256: str) -> str:
    return f"qrmill:console:session:{token_sha256}"


def sent_form(nonce: str) -> str:
    return f"qrmill:console:form:{nonce}"


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


def request_object(task_id: str) -> str:
    return f"{objects_of(task_id)}request.json"


def bundle_object(task_id: str) -> str:
    return f"{objects_of(task_id)}bundle.zip"


def result_object(task_id: str) -> str:
    return f"{objects_of(task_id)}result.json"


def callback_object(task_id: str) -> str:
    return f"{objects_of(task_id)}callback.json"


def all_objects(task_id: str) -> list[str]:
    """Return all that the main bucket may hold of a job."""
    families = (request_object, bundle_object, result_object, callback_object)
    return [family(task_id) for family in families]


def objects_of(task_id: str) -> str:
    """Return the prefix of all objects of a job but its staging."""
    return f"{JOBS}{task_id}/"


def api_key_object(key_id: str) -> str:
    return f"{API_KEYS}{key_id}.json"


def webhook_secret_object(key_id: str) -> str:
    return f"webhook-secrets/{key_id}.json"


def checkup_object() -> str:
    return f"checkup-{secrets.token_hex(8)}"


API_KEYS = "keys/"
JOBS = "jobs/"


def staged_zip(task_id: str, chunk_index: int) -> str:
    return f"{staging_of(task_id)}{chunk_index:06d}.zip"


def staged_image(task_id: str, chunk_index: int, file: str) -> str:
    return f"{staging_of(task_id)}{chunk_index:06d}/{file}"


def staging_of(task_id: str) -> str:
    """Return the prefix of all that is staged of a job."""
    return f"{task_id}/"
