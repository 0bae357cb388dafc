"""Every key in S3, built here and nowhere else.

Main bucket:

====================================  =============================================================
``jobs/<id>/request.json``            the accepted request: a head line, then the chunks' items
``jobs/<id>/bundle.zip``              the bundle
``jobs/<id>/result.json``             how the job ended, for good
``jobs/<id>/callback.json``           how the callback about that ended
``keys/<key id>.json``                an API key: its hash, role and rates
``webhook-secrets/<key id>.json``     what an API key's callbacks are signed with
``checkup-<random>``                  of a check-up that runs, in both buckets
====================================  =============================================================

Staging bucket:

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
