"""Cookies of the console and the portal.

Over TLS, the names have the prefix ``__Host-`` (RFC 6265bis, section 4.1.3.2). A browser accepts
such a cookie only from this host itself, over TLS and for all paths, so that neither another host
of the domain nor a page without TLS can replace a session by one of an attacker.
"""

import falcon

from api.console.areas import Area


def read_cookie(req: falcon.Request, name: str, prefix: str) -> str:
    """Return the value of a cookie, or an empty text.

    Args:
        req: the request.
        name: name of the cookie, without ``__Host-``.
        prefix: path prefix of the API.
    """
    return next(iter(req.get_cookie_values(_full_name(req, name, prefix)) or []), "")


def set_cookie(
    req: falcon.Request,
    resp: falcon.Response,
    name: str,
    prefix: str,
    value: str,
    *,
    area: Area,
    seconds: int,
) -> None:
    """Set a cookie that scripts cannot read and that no other site can have a browser send.

    Args:
        req: the request.
        resp: the response.
        name: name of the cookie, without ``__Host-``.
        prefix: path prefix of the API.
        value: value of the cookie.
        area: area whose pages get the cookie. Over TLS, the cookie is for all paths.
        seconds: lifetime; 0 deletes the cookie.
    """
    secure = _is_secure(req)
    resp.set_cookie(
        _full_name(req, name, prefix),
        value,
        max_age=seconds,
        path="/" if secure else f"{prefix}{area.cookie_path}" or "/",
        http_only=True,
        same_site="Strict",
        secure=secure,
    )


def _is_secure(req: falcon.Request) -> bool:
    return req.scheme == "https"


def _full_name(req: falcon.Request, name: str, prefix: str) -> str:
    # A cookie for all paths has the prefix in its name, so that two installations on a host do not
    # replace each other's sessions.
    return f"__Host-{name}{prefix.replace('/', '.')}" if _is_secure(req) else name
