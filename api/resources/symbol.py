"""``/qr/``: the image of a single symbol, rendered within the request and not stored."""

import hashlib

import falcon

from api.http.item_limits import add_item_headers
from api.http.json_decoding import decode_fields
from api.http.negotiation import JSON, check_accepts
from api.http.problems import Violations, invalid
from api.http.query import read_query
from api.http.request_bodies import BodyReader
from api.intake.item_batch import FIRST_FIELDS, ITEM_FIELDS, Column, ItemBatch, Location
from api.intake.validation import ANY_GTIN, ItemCheck, RequestLimits
from api.intake.warnings import Warnings
from api.schemas.tasks import BulkItem, SymbolRequest
from pipeline.service import ItemLimits
from render.chunk import render_chunk
from render.image import MEDIA_TYPES, RenderOptions

_BODY_LIMIT = 32 * 1024  # bytes, for the longest extra values
_ITEM_POINTERS = frozenset(f"/{name}" for name in BulkItem.__struct_fields__)
#: 30 days. The same values always give the same image.
_CACHE_CONTROL = "public, max-age=2592000"


class Symbol:
    """``POST /qr/``."""

    def __init__(self, limits: RequestLimits, item_limits: ItemLimits, bodies: BodyReader) -> None:
        self._limits = limits
        self._item_limits = item_limits
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Render a symbol and respond with its image, or with 304 if the client has the image."""
        violations = Violations()
        read_query(req, (), violations)
        _, body = self._bodies.read(req, _BODY_LIMIT, (JSON,))
        limits = self._limits.of_key(req.context.key)
        options, uri = parse_symbol(body, limits, violations)
        media_type = MEDIA_TYPES[options.format]
        check_accepts(req, media_type)
        self._item_limits.take(req.context.key, 1)
        add_item_headers(req, resp, self._item_limits)
        (image,) = render_chunk([uri], options)
        digest = hashlib.sha256(image.data).hexdigest()
        resp.set_headers({"ETag": f'"{digest}"', "Cache-Control": _CACHE_CONTROL})
        resp.append_header("Vary", "X-API-Key, Authorization")
        # If-None-Match compares entity tags weakly (RFC 9110, section 13.1.2).
        if any(str(tag) in {"*", digest} for tag in req.if_none_match or ()):
            resp.status = falcon.HTTP_NOT_MODIFIED
            return
        resp.content_type = media_type
        resp.data = image.data


def parse_symbol(
    body: bytes, limits: RequestLimits, violations: Violations
) -> tuple[RenderOptions, str]:
    """Parse and validate a request; return the options and the URI of its symbol.

    Args:
        body: JSON.
        limits: limits of the service.
        violations: violations found in the query; further ones are appended.

    Raises:
        ProblemError: 400 if the body is not JSON, or has a member twice; 422 with every invalid
            value.
    """
    fields = decode_fields(body, SymbolRequest, "", violations)
    request = SymbolRequest(**{"gtin": ANY_GTIN} | fields)
    check = ItemCheck(request, limits, violations, Warnings(violations, strict=request.strict))
    columns = {
        field: Column.of([value])
        for field in ITEM_FIELDS
        if field not in {"extra", "gtin"}  # the GTIN is that of the request
        and ((value := getattr(request, field)) is not None or field in FIRST_FIELDS)
    }
    unreadable = [0] if any(row.pointer in _ITEM_POINTERS for row in violations.listed) else []
    size_field = "size" if request.xdim_mm is None else "xdim_mm"

    def locate(_number: int, field: str | None) -> Location:
        return Location(f"/{field or size_field}")

    batch = ItemBatch(columns, [0], unreadable, locate, [request.extra] if request.extra else None)
    valid = check.valid_items(batch)
    if violations:
        raise invalid(violations)
    (uri,) = check.uris(valid)
    return check.options, uri
