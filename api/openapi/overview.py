"""The introduction of the OpenAPI document, and its groups of operations."""

from api.schemas.problems import MAX_ERRORS
from api.schemas.tasks import DEFAULT_DPI, DEFAULT_SIZE, DEFAULT_XDIM_MM, MAX_WAIT
from render.gs1.x_dimension import MAX_RETAIL_XDIM_MM, MIN_RETAIL_XDIM_MM
from render.image import MAX_SIDE_PX

SUBMIT, FOLLOW, SINGLE = "Submit jobs", "Follow jobs", "Single symbols"
WEBHOOKS, KEYS, HEALTH = "Webhooks", "API keys", "Service health"

#: Name of each group of operations, in the order of the page -> its description.
TAGS = {
    SUBMIT: "Send up to thousands of items in one request, as JSON or CSV. An accepted request is "
    "a job. Paths and fields call it a task: its id is the `task_id`.",
    FOLLOW: "Poll a task until it ends, download its ZIP, list tasks, cancel a task, retry a "
    "failed one, or delete an ended one.",
    SINGLE: "Render one QR code and get its image in the response.",
    WEBHOOKS: "Receive a signed POST when a task ends, instead of polling.",
    KEYS: "Create, import, list, rotate and revoke API keys. These operations need a key with the "
    "role `operator`.",
    HEALTH: "Check whether the service works, for load balancers and supervisors. No API key is "
    "needed.",
}


def overview(max_items: int) -> str:
    """Return the introduction of the document, in Markdown.

    Args:
        max_items: maximum number of items per request.
    """
    return _OVERVIEW.format(
        max_items=max_items,
        max_wait=MAX_WAIT,
        max_errors=MAX_ERRORS,
        size=DEFAULT_SIZE,
        xdim_mm=DEFAULT_XDIM_MM,
        dpi=DEFAULT_DPI,
        max_side=MAX_SIDE_PX,
        min_retail=MIN_RETAIL_XDIM_MM,
        max_retail=MAX_RETAIL_XDIM_MM,
    )


_OVERVIEW = """\
qrmill renders GS1 Digital Link QR codes in bulk. A request has a GTIN and up to {max_items} \
items, each with an optional lot, serial number, variant, dates and GTIN of its own. The result is \
one ZIP with an image per item and a manifest. In place of items, a request may have `serials`, \
which the service makes.

## From request to ZIP

1. **Submit.** `POST /qr/bulk/` validates the whole request and responds with 202 and a `task_id`, \
before anything is rendered. The request is now a job, which paths and fields call a task. With \
`?dry_run=true`, the request is only validated.
2. **Poll.** `GET /qr/bulk/{{task_id}}/` reports the status and the progress. Repeat this request \
after the number of seconds in `Retry-After`, until `status` is `completed` or `failed`. With the \
header `Prefer: wait={max_wait}`, the response comes as soon as the task ends, or after {max_wait} \
seconds. To get a webhook instead, set `callback_url` in the request.
3. **Download.** When `status` is `completed`, GET the `download_url`, without an API key. The URL \
works until `expires_at`; poll again for a new one. The ZIP itself is kept until \
`bundle.expires_at`.

Before the ZIP is built, every symbol is read back by an independent decoder and compared with its \
item. A symbol that differs fails the task with the `error_code` `unverified`. The column \
`verified` of the manifest and `bundle.verified` are true where symbols were read back.

For a single QR code, `POST /qr/` responds with the image.

## Formats and sizes

The `format` is `png`, `svg`, `pdf` or `eps`. The size of an image, quiet zone included, follows \
from the version of its symbol and from one of these fields:

- `size`: the side of a PNG in pixels, {size} by default. Every module has the same whole number \
of pixels, and the remainder is white.
- `xdim_mm`: the X-dimension, the width of a module in millimetres. SVG, PDF and EPS have exactly \
this X-dimension, {xdim_mm} mm by default. A PNG gets modules of the nearest whole number of \
pixels at `dpi` ({dpi} by default), and a side of at most {max_side} pixels; `size` is then ignored.

With `dpi`, a PNG states its resolution, so that programs place it at its physical size. With \
`version`, the minimum version, all symbols of a task get one size if their texts fit that \
version. A dry run reports the size of the symbols in pixels and millimetres.

A PDF or EPS is one page of exact size, without colours other than black. With `pages` `single`, a \
task in the format `pdf` gets one file `symbols.pdf` with a page per symbol. With `datamerge`, the \
ZIP also has a `datamerge.csv` for variable-data printing.

## Authentication

Send your API key in the header `X-API-Key`, or as `Authorization: Bearer KEY`, which means the \
same. A request with different keys in both headers is rejected with 401. A key with the role \
`client` can access only the tasks of its tenant, which may have several keys; for the tasks of \
other tenants, the response is 404. A key with the role `operator` can access all tasks. \
Idempotency-Keys and webhook secrets belong to the tenant too, so that a key can be replaced while \
its tasks are in flight.

## Safe retries

Send an `Idempotency-Key` with `POST /qr/bulk/`, for example a UUID. If you get no response, \
repeat the same request with the same key, within 24 hours: it does not create a second task, and \
the response has the same `task_id` and the header `Idempotency-Replayed: true`. Requests are \
compared by their meaning: the order of members, white space, escapes and explicitly sent defaults \
make no difference.

## Errors

An error response is `application/problem+json` (RFC 9457). Programs should check `error_code`; \
`detail` states what is wrong and what to do. A response with 422 lists every invalid value in \
`errors`, up to {max_errors}, each with its location, so that all of them can be corrected at \
once. A request with one invalid item is rejected as a whole. If `retryable` is true, send the \
same request again after the seconds in `Retry-After`. Quote the `X-Request-ID` of a response when \
you report a problem.

An error response is smaller than 64 KiB, whatever was sent. Therefore messages and pointers have \
only the first 60 characters of a name or value of the request, followed by `…`, and fewer values \
are listed if their messages are long.

The member `error` has the same error in another form, for clients that were written for it: \
`code`, `message`, `status` and `details`, a list of `field` and `message`. The `code` depends \
only on the status:

| status | `error.code` |
|---|---|
| 401 | `UNAUTHORIZED` |
| 403 | `FORBIDDEN` |
| 404 | `NOT_FOUND` |
| 409 | `CONFLICT` |
| 422 | `VALIDATION_ERROR` |
| 429 | `RATE_LIMITED` |
| other 4xx | `BAD_REQUEST` |
| 5xx | `INTERNAL_ERROR` |

Malformed HTTP has errors of this form too, at any path and before the API key is checked: 400 \
`malformed_request`, 414 `uri_too_long`, 417 `expectation_failed`, 431 `headers_too_large` and 501 \
`unsupported_transfer_coding`. The connection is closed afterwards.

## Warnings

Some values are valid but probably not intended. A request with such values is accepted; the 202 \
response, the response to a dry run and the bundle's `warnings.json` list up to {max_errors} of \
them in `warnings`, and `warnings_total` counts all. With `strict`, each \
warning is an error, and the response is 422.

| code | meaning |
|---|---|
| `duplicate_serial` | an earlier item, named in `detail`, has the same GTIN and serial |
| `duplicate_item` | an item without serial has the same values as an earlier one |
| `gtin8_restricted` | a GTIN of eight digits that begins with 0 or 2, probably a UPC-E |
| `gtin_restricted` | a GTIN with a GS1 prefix for use within a company or a region |
| `number_format` | a lot or serial such as `9.5E+12` or `1234.0`, which a spreadsheet has changed |
| `placeholder` | a lot or serial of `NULL`, `nan`, `None` or `#N/A` |
| `separator_in_value` | a CSV of one column whose values all have the same number of separators |
| `xdim_below` | an X-dimension below {min_retail} mm, too small for retail point of sale; that of \
a PNG after rounding to whole pixels |
| `xdim_above` | an X-dimension above {max_retail} mm, too large for retail point of sale before \
release 26.0 of the GS1 General Specifications |
| `day_zero` | a date with day 00, the last day of the month |
| `outside_set82` | a lot or serial with a character outside GS1 character set 82 |
| `dot_segment` | a lot or serial of `.` or `..`, which browsers remove from the URI |
| `no_identifier` | an item with neither lot, serial, variant, date nor GTIN of its own in a \
request of several items |

## Rate limits

Each API key has a limit per minute and one per day. The headers `RateLimit-*` of every response \
report the limit and the number of requests left. Over a limit, the response is 429.

A key may also have limits on items, per minute and per day. Then the headers `Items-RateLimit-*` \
of the responses to `POST /qr/bulk/`, to retries and to `POST /qr/` report them in the same way. A \
request counts with all of its items or, if they exceed what is left, with none and a 429 \
(`over_item_rate`). A replay and a dry run do not count.

A 429 with `backlog_full` means that too many of the tenant's tasks are waiting to be rendered. A \
503 with `backlog_full` means that, besides, the service has as many waiting tasks as it may have.

## CSV

`POST /qr/bulk/` also accepts `text/csv`: a header with the names of any fields of an item, \
such as `lot`, `serial` and `expiry`, then one item per record. The fields that all items share, \
such as `gtin` and `format`, are query parameters.

Files are accepted as spreadsheets save them:

- Column names are matched without regard to case and surrounding blanks. `batch`, `batch number` \
and `lot number` mean `lot`; `serial number` and `sn` mean `serial`; `expiry date`, \
`expiration date` and `use by` mean `expiry`; `best before` means `best_before_date`, `sell by` \
`sell_by_date`; the dates are also known with blanks for `_`, such as `production date`. Columns \
`x_…` are the `extra` values. An unknown column is an error.
- Fields are separated by the header's separator: commas, semicolons or tabs. A first line \
`sep=;` is honoured.
- The encoding is UTF-8, with or without a byte order mark, or UTF-16 with one.
- `="0012"` is read as the value `0012`. Dates may also be ISO 8601, such as `2027-12-31`.
- Empty columns without a name, and empty records at the end, are ignored. An empty record between \
others is an error.

```
curl 'https://…/qr/bulk/?gtin=9506000134352&format=svg' \\
  -H "X-API-Key: $KEY" -H 'Content-Type: text/csv' --data-binary @items.csv
```
"""
