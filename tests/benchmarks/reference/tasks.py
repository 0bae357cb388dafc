"""The work of the replaced design: one Celery task renders, packs and uploads a whole job."""

import io
import os
import zipfile
from typing import Any
from urllib.parse import quote

import boto3
import segno
from botocore.config import Config
from celery import Celery

BUCKET = os.environ["REFERENCE_BUCKET"]
_QUIET_ZONE = 4  # modules

app = Celery("reference", broker=os.environ["REFERENCE_REDIS_URL"])
app.conf.update(
    result_backend=os.environ["REFERENCE_REDIS_URL"],
    task_track_started=True,
    worker_prefetch_multiplier=1,
)

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["REFERENCE_S3_ENDPOINT_URL"],
    region_name="us-east-1",
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
)


@app.task  # type: ignore[untyped-decorator] # Celery has no types
def build_bundle(task_id: str, request: dict[str, Any]) -> str:
    """Render every item one after the other, and upload one ZIP that was built in memory."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, item in enumerate(request["items"], 1):
            parts = [f"{index:05}", *(item[name] for name in ("lot", "serial") if item.get(name))]
            archive.writestr("_".join(parts) + f".{request['format']}", _render(request, item))
    key = f"{task_id}.zip"
    s3.put_object(Bucket=BUCKET, Key=key, Body=packed.getvalue(), ContentType="application/zip")
    return key


def _render(request: dict[str, Any], item: dict[str, str | None]) -> bytes:
    symbol = segno.make(_uri(request["gtin"], item), micro=False, error="m")
    image = io.BytesIO()
    if request["format"] == "svg":
        symbol.save(image, kind="svg", border=_QUIET_ZONE)
    else:
        # A module has a whole number of pixels, so the image is a little smaller than was asked
        # for, which is less work than to fill it up to the exact size.
        side = symbol.symbol_size(border=_QUIET_ZONE)[0]
        scale = max(1, request["size"] // side)
        symbol.save(image, kind="png", scale=scale, border=_QUIET_ZONE)
    return image.getvalue()


def _uri(gtin: str, item: dict[str, str | None]) -> str:
    uri = f"https://id.gs1.org/01/{gtin.zfill(14)}"
    for identifier, name in (("10", "lot"), ("21", "serial")):
        if value := item.get(name):
            uri += f"/{identifier}/{quote(value, safe='')}"
    if expiry := item.get("expiry"):
        uri += f"?17={expiry}"
    return uri
