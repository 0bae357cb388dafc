"""URLs of RabbitMQ: what pika would refuse is refused at the start, without the password.

The query has the parameters of pika's ``URLParameters``, such as ``ssl_options``.
"""

from urllib.parse import parse_qsl, urlencode

import pika


def check_amqp_url(url: str) -> None:
    """Check the query of a URL whose other parts are right.

    Raises:
        ValueError: it says which parameter is wrong, and not its value, which may be a secret.
    """
    address, _, query = url.partition("?")
    if "@" in query:
        raise ValueError("a ? in its password is written %3F, an @ in its query %40")
    for name, value in parse_qsl(query, keep_blank_values=True):
        try:
            pika.URLParameters(f"{address}?{urlencode({name: value})}")
        except (ValueError, TypeError, SyntaxError, OSError) as error:
            raise ValueError(f"pika's URLParameters does not take its {name!r}") from error
