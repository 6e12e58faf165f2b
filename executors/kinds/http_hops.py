"""The hops of a redirected request, and which headers and bodies follow a redirect."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from stepwell.engine.errors import Permanent
from stepwell.executors.kinds.http import HttpFetch
from stepwell.executors.kinds.http_decoding import ACCEPTED
from stepwell.executors.kinds.http_text import shown_url

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_HOPS = 10

# Headers that follow to another origin. Any other header may be a credential.
_HARMLESS = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "pragma",
        "range",
        "user-agent",
    }
)
# Headers about a body.
_OF_BODY = frozenset(
    {
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-type",
        "transfer-encoding",
    }
)


@dataclass(frozen=True)
class Hop:
    """One request; user and password are a header, not part of the URL."""

    method: str
    url: URL
    headers: Mapping[str, str]
    has_body: bool

    @classmethod
    def first(cls, request: HttpFetch) -> Hop:
        """The original request. Raises Permanent for an invalid URL."""
        url = _url(request.url, shown_url(request.url))
        headers = dict(request.headers)
        given = {name.lower() for name in headers}
        if url.user is not None or url.password is not None:
            pair = f"{url.user or ''}:{url.password or ''}".encode()
            if "authorization" not in given:
                headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
            url = url.with_user(None)
        if "accept-encoding" not in given:
            headers["Accept-Encoding"] = ACCEPTED
        if request.json_body is not None and "content-type" not in given:
            headers["Content-Type"] = "application/json"
        bodies = (request.body, request.json_body, request.body_artifact)
        return cls(request.method, url, headers, any(body is not None for body in bodies))

    @property
    def own_values(self) -> list[str]:
        """The values of its headers that may be credentials."""
        known = _HARMLESS | _OF_BODY
        return [value for name, value in self.headers.items() if name.lower() not in known]

    def redirected(self, status: int, location: bytes) -> Hop:
        """The request that follows a redirect. Raises Permanent for an invalid one."""
        here = shown_url(str(self.url))
        text = "".join(
            chr(byte) if 32 < byte < 127 else f"%{byte:02X}" for byte in location.strip()
        )
        url = _url(text, here, self.url)
        if url.scheme not in ("http", "https"):
            raise Permanent(
                "http_invalid_url",
                f"{here}: redirects to {shown_url(str(url))}, which is not HTTP",
            )
        url = url.with_user(None)
        method, has_body, headers = self.method, self.has_body, dict(self.headers)
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, has_body = "GET", False
            headers = {k: v for k, v in headers.items() if k.lower() not in _OF_BODY}
        if not _is_same_place(self.url, url):
            if has_body:
                raise Permanent(
                    "http_redirects",
                    f"{here}: status {status} to {shown_url(str(url))}, which is another origin: "
                    "the body does not follow there; fetch that URL itself if it is right",
                )
            headers = {k: v for k, v in headers.items() if k.lower() in _HARMLESS}
        return Hop(method, url, headers, has_body)


def json_bytes(request: HttpFetch) -> bytes:
    """The body of a request with `json`."""
    return json.dumps(request.json_body).encode()


def _url(text: str, shown: str, base: URL | None = None) -> URL:
    try:
        url = URL(text) if base is None else base.join(URL(text))
        if url.host and url.port is not None:
            return url
    except ValueError:  # a UnicodeError is one
        pass
    what = "is" if base is None else f"redirects to {shown_url(text)}, which is"
    raise Permanent("http_invalid_url", f"{shown}: {what} no URL that one can go to")


def _is_same_place(before: URL, after: URL) -> bool:
    """Whether it is the same origin, or the same host upgraded to TLS on the default ports."""
    if before.host != after.host:
        return False
    if (before.scheme, before.port) == (after.scheme, after.port):
        return True
    upgraded = (before.scheme, before.port, after.scheme, after.port)
    return upgraded == ("http", 80, "https", 443)
