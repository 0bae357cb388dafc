"""Bodies of up to 5 MB of which hardly a byte may enter the response, or stay in memory."""

from collections.abc import Callable

JSON, CSV = "application/json", "text/csv"
#: Size in bytes: a little less than the limit of the service for 5000 items.
SIZE = 4_900_000
_GTIN = b"9506000134352"
#: A character that makes Python use four bytes for every character of a text.
_WIDE = "\N{WRAPPED PRESENT}".encode()
_LONG = b"x" * SIZE
_TEXT = b'"%s"' % (b"a" * 60)


def _items(*items: bytes) -> bytes:
    return b'{"gtin":"%s","items":[%s]}' % (_GTIN, b",".join(items))


def _object(*members: bytes) -> bytes:
    return b"{%s}" % b",".join(members)


_JSON: dict[str, Callable[[], bytes]] = {
    "one name at the top": lambda: _object(b'"%s":1' % _LONG),
    "one name with a wide character": lambda: _object(b'"%s%s":1' % (_LONG, _WIDE)),
    "one name of escapes": lambda: _object(b'"%s%s":1' % (rb"\"" * (SIZE // 2), _WIDE)),
    "one name after a byte order mark": lambda: b"\xef\xbb\xbf" + _object(b'"%s":1' % _LONG),
    "one name that is not UTF-8": lambda: _object(b'"%s\xff":1' % _LONG),
    "95 names of 48 KB": lambda: _object(*(b'"%d%s":1' % (n, b"x" * 48_000) for n in range(95))),
    "54,000 names": lambda: _object(*(b'"%d":%s' % (n, _TEXT) for n in range(54_000))),
    "a name twice": lambda: _object(*[b'"%s":1' % (b"d" * (SIZE // 2 - 20))] * 2),
    "one name in an item": lambda: _items(_object(b'"%s%s":1' % (_LONG, _WIDE))),
    "a name twice in an item": lambda: _items(
        _object(*[b'"%s":1' % (b"d" * (SIZE // 2 - 50))] * 2)
    ),
    "5000 items with a long name each": lambda: _items(
        *(b'{"%d%s%s":1}' % (n, b"n" * 900, _WIDE) for n in range(5000))
    ),
    "330 items with a longer name each": lambda: _items(
        *(b'{"%d%s%s":1}' % (n, b"n" * 14_000, _WIDE) for n in range(330))
    ),
    "5000 items with three names each": lambda: _items(
        *(b'{"a%d":1,"b%s":2,"c":3}' % (n, b"n" * 900) for n in range(5000))
    ),
    "one lot": lambda: _items(b'{"lot":"%s%s"}' % (_LONG, _WIDE)),
    "a lot that is an array": lambda: _items(b'{"lot":[%s]}' % b",".join([_TEXT] * 50_000)),
    "5000 lots": lambda: _items(*[b'{"lot":"%s%s"}' % (b"n" * 900, _WIDE)] * 5000),
    "330 lots": lambda: _items(*[b'{"lot":"%s%s"}' % (b"n" * 14_500, _WIDE)] * 330),
    "blanks in items": lambda: _items(*[b'{"lot":"#"%s}' % (b" " * 960)] * 5000),
    "a GTIN": lambda: b'{"items":[{}],"gtin":"%s%s"}' % (_LONG, _WIDE),
    "a number": lambda: b'{"items":[{}],"gtin":"1","size":%s}' % (b"1" * SIZE),
    "a callback URL": lambda: b'{"items":[{}],"gtin":"1","callback_url":"%s"}' % _LONG,
    "objects in an unknown field": lambda: b'{"a":[%s]}' % b",".join([b'{"b":[{}]}'] * 50_000),
    "900 objects, one in another": lambda: b'{"a":' * 900 + b'"%s"' % _LONG + b"}" * 900,
    "a million objects, one in another": lambda: b'{"a":' * 980_000,
    "an array of texts": lambda: b"[%s]" % b",".join([_TEXT] * 50_000),
    "a text": lambda: b'"%s%s"' % (_LONG, _WIDE),
    "zeros": lambda: _items(*[b"0"] * 2_400_000),
    "commas in a lot": lambda: _items(b'{"lot":"%s"}' % (b"," * SIZE)),
    "UTF-16": lambda: ('{"' + "x" * (SIZE // 2)).encode("utf-16"),
}
_CSV: dict[str, Callable[[], bytes]] = {
    "one column": lambda: _LONG + b"\n1\n",
    "one column with a wide character": lambda: _LONG + _WIDE + b"\n1\n",
    "95 columns of 48 KB": lambda: (
        b",".join(b"%d%s" % (n, b"c" * 48_000) for n in range(95)) + b"\n1\n"
    ),
    "99 columns": lambda: (
        b",".join(b"%d%s" % (n, "é".encode() * 75) for n in range(99)) + b"\n" + b"1\n" * 2_400_000
    ),
    "100,000 columns": lambda: b",".join(b"column-%d" % n for n in range(100_000)) + b"\n1\n",
    "a column of lines": lambda: b'"%s"\n1\n' % ((b"x" * 80 + _WIDE + b"\n") * 57_000),
    "a quoted field": lambda: b'lot\n"%s"\n' % _LONG,
    "a quoted field of lines": lambda: b'lot\n"%s"\n' % ((b"x" * 80 + _WIDE + b"\n") * 57_000),
    "a quote that is never closed": lambda: b'lot\n"A\n' + b"B\n" * 2_400_000,
    "5000 lots": lambda: b"\xef\xbb\xbflot\n" + (b"v" * 900 + _WIDE + b"\n") * 5000,
    "300 lots": lambda: b"lot\n" + (b"v" * 16_000 + _WIDE + b"\n") * 300,
    "records of 900 fields": lambda: b"lot\n" + (b",".join([b"ab"] * 900) + b"\n") * 1800,
    "blank records": lambda: b"\xef\xbb\xbflot\n#\n" + b"\n" * SIZE,
    "records of commas": lambda: b"lot\n#\n" + (b"," * 900 + b"\n") * 5000,
    "UTF-16": lambda: ("lot\n" + ("語" * 448 + "🎁\n") * 5000).encode("utf-16"),
    "UTF-16 that is cut off": lambda: (
        ("lot\n" + ("語" * 450 + "\n") * 5000).encode("utf-16") + b"\0"
    ),
    "a byte at the end that is not UTF-8": lambda: (
        b"\xef\xbb\xbflot\n" + _WIDE + (b"v" * 900 + b"\n") * 4900 + b"\xff"
    ),
}
#: Name of each body -> its media type, and a function that makes it.
HUGE_BODIES = {
    **{f"{JSON}: {name}": (JSON, make) for name, make in _JSON.items()},
    **{f"{CSV}: {name}": (CSV, make) for name, make in _CSV.items()},
}
