"""`http.fetch` meets the real web: whatever comes has one outcome, and no answer is lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import Permanent, Retryable, RetryAfter, StepError
from stepwell.executors.kinds.http_text import MAX_RETRY_AFTER, retry_after
from tests.executors.fakes import artifacts_of
from tests.executors.test_http import execution
from tests.executors.web import Web, answer, serving

TEXT = b"hello, world\n" * 1_000


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def fetched(web: Web, path: str = "/", **request: Any) -> tuple[dict[str, Any], bytes]:
    """The result, as it is stored, and the body that was kept."""
    made, _ = execution(web.url + path, **request)
    value = asyncio.run(made.invoke())
    kept = artifacts_of(made, value)["body"]
    assert kept.content_type == value["content_type"]
    return json.loads(json.dumps(value)), kept.body or b""


def failed(web: Web, path: str = "/", **request: Any) -> StepError:
    made, _ = execution(web.url + path, **request)
    with pytest.raises(StepError) as caught:
        asyncio.run(made.invoke())
    assert made.failed(caught.value) is not None
    return caught.value


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"caf\xe9", "café"),
        ("café €".encode(), "café €"),
        (b"\xff\xfe\x80", "ÿþ\x80"),
        (b"", ""),
        (b"\xc3", "Ã"),
    ],
)
def test_bytes_in_a_header_are_text(web: Web, raw: bytes, text: str) -> None:
    web.answers["/"] = answer("200 OK", b"X-Name: " + raw, b"X-Name: more", body=b"it")

    value, body = fetched(web)

    assert value["headers"]["x-name"] == f"{text}, more"
    assert body == b"it"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"text/caf\xe9", "text/café"),
        (b"text/plain; charset=no-such-charset", "text/plain; charset=no-such-charset"),
        (b"x" * 5_000, "x" * 200),
        ("é".encode() * 150, "é" * 100),
        (b"\x80\x81", "application/octet-stream"),
    ],
)
def test_any_content_type_can_be_kept(web: Web, raw: bytes, kind: str) -> None:
    web.answers["/"] = answer("200 OK", b"Content-Type: " + raw, body=b"\xff\x00")

    value, body = fetched(web)

    assert (value["content_type"], body) == (kind, b"\xff\x00")


def test_a_reason_that_is_no_text_is_told(web: Web) -> None:
    web.answers["/"] = answer("200 OK").replace(b"200 OK", b"404 d\xe9sol\xe9")

    assert failed(web).args[0].endswith("status 404 désolé")


PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]) + b"\0" * 10,
    "deflate": zlib.compress(TEXT),
    "Deflate": zlib.compress(TEXT)[2:-4],
    "identity": TEXT,
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_what_can_be_decoded_is(web: Web, encoding: str) -> None:
    encoded = PACKED[encoding]
    web.answers["/"] = answer("200 OK", f"Content-Encoding: {encoding}".encode(), body=encoded)

    value, body = fetched(web)

    assert (value["content_encoding"], body) == (None, TEXT)
    assert b"Accept-Encoding: gzip, deflate\r\n" in web.asked[0]


BROKEN = {
    "gzip": b"no gzip at all",
    "x-gzip": gzip.compress(TEXT)[:-20],
    "deflate": zlib.compress(TEXT)[:-5],
    "br": b"\x0b\x02\x80hello\x03",
    "zstd": b"(\xb5/\xfd whatever",
    "gzip, foreign": gzip.compress(TEXT),
}


@pytest.mark.parametrize("encoding", BROKEN)
def test_what_cannot_be_decoded_is_kept_as_it_came(web: Web, encoding: str) -> None:
    encoded = BROKEN[encoding]
    web.answers["/"] = answer("200 OK", f"Content-Encoding: {encoding}".encode(), body=encoded)

    value, body = fetched(web)

    assert (value["content_encoding"], body) == (encoding, encoded)
    assert value["size"] == len(encoded)


def test_an_empty_body_has_no_encoding(web: Web) -> None:
    web.answers["/"] = answer("200 OK", b"Content-Encoding: gzip")

    value, body = fetched(web)

    assert (value["content_encoding"], body) == (None, b"")


def test_a_bomb_is_too_large_and_no_more(web: Web) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    web.answers["/"] = answer("200 OK", b"Content-Encoding: gzip", body=bomb)

    error = failed(web, max_bytes=100_000)

    assert (type(error), error.code) == (Permanent, "http_too_large")


def test_an_error_whose_body_cannot_be_read_is_that_error(web: Web) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n"
    web.answers["/cut"] = head + b"\r\nwhy"
    web.answers["/gzip"] = answer("404 No", b"Content-Encoding: gzip", body=b"why")
    web.answers["/large"] = answer("404 No", body=b"why" * 100)
    web.answers["/slow"] = head + b"\r\nwhy"
    web.silent.add("/slow")

    for path in ("/cut", "/gzip", "/large", "/slow"):
        error = failed(web, path, max_bytes=10, timeout=1)
        assert (type(error), error.code, error.details["status"]) == (Permanent, "http_status", 404)
        assert "why" in error.details["excerpt"]


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_a_body_that_breaks_off_is_tried_again(web: Web, body: bytes) -> None:
    web.answers["/"] = b"HTTP/1.1 200 OK\r\n" + body

    error = failed(web)

    assert (type(error), error.code) == (Retryable, "http_truncated")
    assert error.details["status"] == 200


def test_a_body_that_never_ends_is_out_of_time(web: Web) -> None:
    web.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    web.silent.add("/")

    error = failed(web, timeout=0.5)

    assert (type(error), error.code) == (Retryable, "http_timeout")
    assert "status 200, and its body was not whole" in str(error)


def test_large_headers_are_kept_up_to_a_limit(web: Web) -> None:
    many = [f"X-{n}: {'v' * 700}".encode() for n in range(500)]
    web.answers["/some"] = answer("200 OK", *many[:50], b"X-Long: " + b"x" * 20_000, body=b"it")
    web.answers["/many"] = answer("200 OK", *many, body=b"it")

    value, _ = fetched(web, "/some")
    assert (len(value["headers"]["x-long"]), value["headers_truncated"]) == (20_000, False)
    value, body = fetched(web, "/many")
    assert (value["headers_truncated"], body) == (True, b"it")
    assert 50 < len(value["headers"]) < 100


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK" + b"\r\nX: y" * 5_000,
    ],
)
def test_a_flood_of_headers_is_permanent(web: Web, head: bytes) -> None:
    web.answers["/"] = head + b"\r\n\r\n"

    error = failed(web)

    assert (type(error), error.code) == (Permanent, "http_headers")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\xff\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n",
    ],
)
def test_what_is_no_http_is_tried_again(web: Web, said: bytes) -> None:
    web.answers["/"] = said

    error = failed(web)

    assert isinstance(error, Retryable)
    assert error.code in ("http_malformed", "http_connect")


@pytest.mark.parametrize(
    "cookie",
    [
        b"a=b; Path=/",
        b"\xe9=\xff; x",
        b"=",
        b"a=" + b"b" * 10_000,
        b"a=b; expires=never",
    ],
)
def test_any_cookie_is_no_reason_to_fail(web: Web, cookie: bytes) -> None:
    web.answers["/"] = answer("302 Found", b"Set-Cookie: " + cookie, b"Location: /there")
    web.answers["/there"] = answer("200 OK", b"Set-Cookie: " + cookie, body=b"it")

    assert fetched(web)[1] == b"it"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        (b"http://" + b"a" * 300 + b".example/", "http_invalid_url"),
        (b"http://" + b"a" * 70 + b"\xe9.example/", "http_invalid_url"),
        (b"http://[::1", "http_invalid_url"),
        (b"http://host:99999999/", "http_invalid_url"),
        (b"http://host:port/", "http_invalid_url"),
        (b"javascript:alert(1)", "http_invalid_url"),
        (b"//", "http_redirects"),
        (b"http:///", "http_redirects"),
    ],
)
def test_a_redirect_to_no_url_is_permanent(web: Web, location: bytes, code: str) -> None:
    web.answers["/"] = answer("302 Found", b"Location: " + location)

    error = failed(web)

    assert (type(error), error.code) == (Permanent, code)


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/caf\u00e9".encode("latin-1"), b"GET /caf%E9 "),
        ("/café".encode(), b"GET /caf%C3%A9 "),
        (b"/a b", b"GET /a%20b "),
        (b"/a%2Fb?x=%20y", b"GET /a%2Fb?x="),
        (b"there", b"GET /there "),
        (b"?q", b"GET /start?q "),
        (b"#part", b"GET /start "),
    ],
)
def test_a_location_is_read_as_browsers_do(web: Web, location: bytes, asked: bytes) -> None:
    web.answers["/start"] = answer("302 Found", b"Location: " + location)

    failed(web, "/start")

    assert web.asked[1].startswith(asked)


@pytest.mark.parametrize("location", [(), (b"Location: ",)])
def test_a_redirect_to_nowhere_is_the_answer(web: Web, location: tuple[bytes, ...]) -> None:
    web.answers["/"] = answer("302 Found", *location, body=b"it")

    value, body = fetched(web)

    assert (value["status"], body) == (302, b"it")


CLOCK = SystemClock()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 1.5 ", 1.5),
        ("9" * 400, MAX_RETRY_AFTER),
        ("9" * 400 + ".5", MAX_RETRY_AFTER),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 -1200", MAX_RETRY_AFTER),
        ("Mon, 01 Jan 0001 00:00:00 +1400", 0),
        *((text, None) for text in ("", "soon", "-5", "1e9", "inf", "nan", "٣", "²", "0x10")),
        *((text, None) for text in ("Wed, 99 Foo 2020 25:00:00 GMT", "1 1 1", ":::", "\ud800")),
        ("Wed, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Wed, 01 Jan 2020 00:00:00 +999999", None),
    ],
)
def test_any_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after(text, CLOCK) == seconds


@pytest.mark.parametrize(
    ("after", "kind"),
    [(b"9" * 400, RetryAfter), (b"-1", Retryable), (b"\xe9", Retryable), (b"", Retryable)],
)
def test_any_retry_after_that_a_server_sends(web: Web, after: bytes, kind: type) -> None:
    web.answers["/"] = answer("503 Later", b"Retry-After: " + after)

    error = failed(web)

    assert (type(error), error.code) == (kind, "http_status")
