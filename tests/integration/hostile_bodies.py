"""Bodies that a client should not send: seeded, so that a seed finds one again."""

import gzip
import json
import random
from collections.abc import Callable
from typing import NamedTuple

JSON, CSV = "application/json", "text/csv"
GTIN = "9506000134352"
#: Its check digit is wrong, so nothing made of it is ever accepted.
BAD_GTIN = "9506000134353"
_FIELDS = ["lot", "serial", "expiry", "gtin", "items", "format", "size", "batch", "", "\0", "é"]
_SCALARS = [None, True, 5, -0.5, "x" * 30, "", GTIN]

_BOMB = gzip.compress(bytes(10_000_000))


class Sent(NamedTuple):
    media_type: str
    body: bytes
    coding: str = "identity"


def hostile(seed: int) -> Sent:
    """Return the body of a seed; no job may come of it."""
    chosen = random.Random(seed)
    if chosen.random() < 0.003:  # each takes its limit in time
        return Sent(chosen.choice([JSON, CSV]), _BOMB, "gzip")
    sent = chosen.choice(_KINDS)(chosen)
    if chosen.random() < 0.2:
        compressed = gzip.compress(sent.body, 1)
        damage = chosen.choice([_as_it_is, _cut, _flipped, _appended])
        return Sent(sent.media_type, damage(chosen, compressed), "gzip")
    return sent


def _random_bytes(chosen: random.Random) -> Sent:
    return Sent(chosen.choice([JSON, CSV]), chosen.randbytes(chosen.randrange(400)))


def _nested(chosen: random.Random) -> Sent:
    depth = chosen.choice([2, 50, 900, 1100, 30_000])
    opening, closing = chosen.choice([("[", "]"), ('{"items":', "}"), ('{"":[', "]}")])
    inside = opening * depth + closing * (depth if chosen.random() < 0.7 else 0)
    where = chosen.choice(
        ["%s", '{"gtin":%s}', '{"gtin":"","items":[%s]}', '{"items":[{"lot":%s}]}']
    )
    return Sent(JSON, (where % inside).encode())


def _number(chosen: random.Random) -> str:
    digits = "".join(chosen.choices("0123456789", k=chosen.choice([1, 19, 20, 400, 5000])))
    return chosen.choice(["%s", "-%s", "1e%s", "1e-%s", "0.%s", "%s.0", "%se9", "0%s"]) % digits


def _numbers(chosen: random.Random) -> Sent:
    where = chosen.choice(
        [
            '{"gtin":"","items":[{}],"size":%s}',
            '{"gtin":"","items":[{}],"version":%s,"dpi":%s,"xdim_mm":%s}',
            '{"gtin":"9506000134352","size":2001,"version":%s,"xdim_mm":%s}',
            '{"items":[{"lot":%s}]}',
            '{"items":%s,"gtin":%s}',
            "%s",
        ]
    )
    return Sent(JSON, where.replace("%s", _number(chosen)).encode())


def _string(chosen: random.Random) -> str:
    pieces = ["\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0000", "\0", "a", "é", "\\x", '"', "\n"]
    return f'"{"".join(chosen.choices(pieces, k=chosen.randrange(6)))}"'


def _strings(chosen: random.Random) -> Sent:
    values = ",".join(f'{{{_string(chosen)}:1,"lot":{_string(chosen)}}}' for _ in range(3))
    return Sent(JSON, f'{{"gtin":{_string(chosen)},"items":[{values}]}}'.encode())


def _duplicates(chosen: random.Random) -> Sent:
    pairs = [f'"{name}":{_value(chosen)}' for name in chosen.choices(_FIELDS[:7], k=12)]
    return Sent(JSON, f'{{{",".join(pairs)},"gtin":"{BAD_GTIN}"}}'.encode())


def _value(chosen: random.Random, depth: int = 0) -> str:
    if depth < 3 and chosen.random() < 0.4:
        inner = [_value(chosen, depth + 1) for _ in range(chosen.randrange(4))]
        if chosen.random() < 0.5:
            return f"[{','.join(inner)}]"
        return (
            "{" + ",".join(f"{json.dumps(chosen.choice(_FIELDS))}:{each}" for each in inner) + "}"
        )
    return json.dumps(chosen.choice(_SCALARS))


def _wrong_types(chosen: random.Random) -> Sent:
    items = ",".join(_value(chosen) for _ in range(chosen.randrange(5)))
    extra = f',"size":{_value(chosen)}' if chosen.random() < 0.5 else ""
    return Sent(JSON, f'{{"gtin":"{BAD_GTIN}","items":[{items}]{extra}}}'.encode())


def _mutated_json(chosen: random.Random) -> Sent:
    items = [{"lot": "L", "serial": f"{n:05}", "expiry": "271231"} for n in range(5)]
    body = bytearray(json.dumps({"items": items, "size": 400, "gtin": BAD_GTIN}).encode())
    end = body.rindex(b'"gtin"')  # what stands there stays, or it might come to be valid
    return Sent(JSON, bytes(_changed(chosen, body, end)))


def _mutated_csv(chosen: random.Random) -> Sent:
    rows = b"".join(b'L,"%05d",271231\r\n' % n for n in range(5))
    body = bytearray(b"\xef\xbb\xbflot,serial,expiry\r\n" + rows)
    return Sent(CSV, bytes(_changed(chosen, body, len(body))))


def _changed(chosen: random.Random, body: bytearray, end: int) -> bytearray:
    for _ in range(chosen.randrange(1, 6)):
        at = chosen.randrange(end)
        body[at : at + chosen.randrange(2)] = chosen.choice(
            [b"", b"\0", b'"', b",", b"\r", b"\n", b"\xff", b"{", b"]", chosen.randbytes(1)]
        )
        end = min(end, len(body) - 30)
    return body


def _as_it_is(_chosen: random.Random, data: bytes) -> bytes:
    return data


def _cut(chosen: random.Random, data: bytes) -> bytes:
    return data[: chosen.randrange(len(data))]


def _flipped(chosen: random.Random, data: bytes) -> bytes:
    at = chosen.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chosen.randrange(8))]) + data[at + 1 :]


def _appended(chosen: random.Random, data: bytes) -> bytes:
    return data + chosen.randbytes(chosen.randrange(1, 20))


_KINDS: list[Callable[[random.Random], Sent]] = [
    _random_bytes,
    _nested,
    _numbers,
    _strings,
    _duplicates,
    _wrong_types,
    _mutated_json,
    _mutated_csv,
    _mutated_csv,
]
