"""Digital Link URIs as a job has them: one GTIN, lots and serial numbers that differ."""

import random
import string

from render.gs1.link import digital_link_uri

_CHARACTERS = string.ascii_uppercase + string.digits + "-"


def uris(count: int) -> list[str]:
    """Return URIs of 70 to 78 characters; the same ones at every call."""
    rnd = random.Random(18004)
    return [
        digital_link_uri(
            "https://id.gs1.org",
            "09506000134352",
            "".join(rnd.choices(_CHARACTERS, k=rnd.randint(6, 10))),
            "".join(rnd.choices(_CHARACTERS, k=rnd.randint(8, 12))),
            "271231",
        )
        for _ in range(count)
    ]
