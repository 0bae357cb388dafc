"""The keys of all objects in S3; no other module builds them.

Main bucket:

====================================  =============================================================
``jobs/<id>/request.json``            the accepted request: a line with the head, then the items
                                      chunk by chunk
``jobs/<id>/bundle.zip``              the bundle
``jobs/<id>/result.json``             the result record: how the job ended
``jobs/<id>/callback.json``           the outcome of the callback about that result
``keys/<key id>.json``                an API key: its hash, tenant, role, expiry and rate limits
``key-marks/<key id>/used``           empty; its time of writing is the day of the key's last use
``key-marks/<key id>/revoked``        empty; written before the key itself is marked as revoked
``imported-keys/<sha256>.<key id>``   empty; the key whose imported token has this SHA-256
``webhook-secrets/<tenant>.json``     the secrets that sign a tenant's callbacks
``checkup-<random>``                  a temporary object of a running doctor, in both buckets
====================================  =============================================================

Staging bucket:

====================================  =============================================================
``<id>/<chunk>.zip``                  a staged chunk (``QRMILL_STAGING=zip``): rows, then images
``<id>/<chunk>/rows.json``            a staged chunk's rows (``QRMILL_STAGING=object``)
``<id>/<chunk>/<file>``               one image of a staged chunk (``QRMILL_STAGING=object``)
====================================  =============================================================

S3 allows 3,500 writes and 5,500 reads per second for each partitioned prefix. It splits a busier
prefix at any character (S3 User Guide, "Optimizing Amazon S3 performance"). Task ids are random
(UUID4), and only a constant precedes them in a key, so that the objects of current jobs are spread
evenly over the partitions.
"""

import secrets


def request_object(task_id: str) -> str:
    return f"{objects_of(task_id)}request.json"


def bundle_object(task_id: str) -> str:
    return f"{objects_of(task_id)}bundle.zip"


def result_object(task_id: str) -> str:
    return f"{objects_of(task_id)}result.json"


def callback_object(task_id: str) -> str:
    return f"{objects_of(task_id)}callback.json"


def all_objects(task_id: str) -> list[str]:
    """Return the keys of all objects that the service writes for a job to the main bucket."""
    families = (request_object, bundle_object, result_object, callback_object)
    return [family(task_id) for family in families]


def objects_of(task_id: str) -> str:
    """Return the prefix of a job's objects in the main bucket."""
    return f"{JOBS}{task_id}/"


def api_key_object(key_id: str) -> str:
    return f"{API_KEYS}{key_id}.json"


def key_use_object(key_id: str) -> str:
    return f"{marks_of(key_id)}used"


def key_revocation_object(key_id: str) -> str:
    return f"{marks_of(key_id)}revoked"


def marks_of(key_id: str) -> str:
    """Return the prefix of an API key's marks."""
    return f"{KEY_MARKS}{key_id}/"


def imported_key_object(token_sha256: str, key_id: str) -> str:
    return f"{IMPORTED_KEYS}{token_sha256}.{key_id}"


def webhook_secret_object(tenant: str) -> str:
    return f"webhook-secrets/{tenant}.json"


def checkup_object() -> str:
    return f"checkup-{secrets.token_hex(8)}"


API_KEYS = "keys/"
#: Not below ``keys/``, because a list of keys reads every object there.
KEY_MARKS = "key-marks/"
IMPORTED_KEYS = "imported-keys/"
JOBS = "jobs/"


def staged_zip(task_id: str, chunk_index: int) -> str:
    return f"{staging_of(task_id)}{chunk_index:06d}.zip"


def staged_image(task_id: str, chunk_index: int, file: str) -> str:
    return f"{staging_of(task_id)}{chunk_index:06d}/{file}"


def staging_of(task_id: str) -> str:
    """Return the prefix of a job's staged chunks."""
    return f"{task_id}/"
