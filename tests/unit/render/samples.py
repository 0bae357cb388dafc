"""Texts to encode: what clients send, and what they might send to break something."""

import random
import string
from collections.abc import Sequence

from hypothesis import strategies as st

from render.chunk import choose_versions
from render.gs1.gtin import check_digit
from render.gs1.link import digital_link_uri
from render.image import MAX_SIZE, QUIET_ZONE, ErrorCorrection, RenderOptions, symbol_side
from render.qr.versions import LEVELS

CSET82 = string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_"
DIGITS = string.digits
ALPHANUMERIC = string.digits + string.ascii_uppercase + " $%*+-./:"
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_ALPHABETS = (DIGITS, ALPHANUMERIC, string.ascii_letters + string.digits, PRINTABLE)

levels = st.sampled_from(LEVELS)
#: Texts of runs in one alphabet each, where the best segments are worth finding.
texts = (
    st.lists(
        st.sampled_from(_ALPHABETS).flatmap(lambda a: st.text(a, min_size=1, max_size=30)),
        min_size=1,
        max_size=8,
    )
    .map("".join)
    .map(str.encode)
)


def realistic_uri(rnd: random.Random) -> str:
    """Return a Digital Link URI with a lot, a serial number and an expiry date, or some of them."""
    payload = "".join(rnd.choices(DIGITS, k=13))
    lot = rnd.choice((None, "".join(rnd.choices(CSET82, k=rnd.randint(1, 20)))))
    serial = rnd.choice((None, str(rnd.randrange(10 ** rnd.randint(1, 20)))))
    expiry = rnd.choice((None, "271231", "300600"))
    base = rnd.choice(("https://id.gs1.org", "https://dl.example.com/qr", "HTTPS://ID.GS1.ORG"))
    return digital_link_uri(base, payload + str(check_digit(payload)), lot, serial, expiry)


def hostile_text(rnd: random.Random, longest: int) -> str:
    """Return up to ``longest`` characters of runs in different alphabets."""
    return text_of_runs(rnd, rnd.randint(1, longest))


def text_of_runs(rnd: random.Random, length: int) -> str:
    """Return ``length`` characters of runs in different alphabets."""
    text = ""
    while len(text) < length:
        alphabet = rnd.choice(_ALPHABETS)
        text += "".join(rnd.choices(alphabet, k=rnd.randint(1, rnd.choice((3, 12, 40)))))
    return text[:length]


def least_side(uris: Sequence[str], level: ErrorCorrection) -> int:
    """The side in pixels of the smallest PNG in which every symbol fits."""
    chosen = choose_versions(uris, RenderOptions("png", MAX_SIZE, level))
    return symbol_side(max(version for version, _ in chosen)) + 2 * QUIET_ZONE
