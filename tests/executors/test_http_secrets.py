"""What `http.fetch` tells nobody, carries to no other origin, and does not connect to."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from aiohttp import ClientOSError

from stepwell.engine.errors import InvalidPayload, NotFound, Permanent, Retryable, StepError
from stepwell.engine.exchange import Failed
from stepwell.engine.step.execution import Execution
from stepwell.executors.kinds import http_address
from stepwell.executors.kinds.http import HttpFetch, fetch_url
from stepwell.executors.kinds.http_address import is_public
from stepwell.executors.kinds.http_hops import Hop
from stepwell.executors.kinds.http_session import _Talk
from stepwell.executors.kinds.http_text import Secrets, shown_url
from stepwell.executors.kinds.sources import ArtifactOf
from stepwell.executors.kinds.spool import Spool
from stepwell.testing import step_context
from tests.executors.test_http import execution
from tests.executors.web import Web, answer, serving

SECRET = "s3cr3t"
USER = f"ann:{SECRET}@"
QUERY = f"?key={SECRET}&n=1"
TOKEN = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET, "Cookie": f"id={SECRET}"}


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def other() -> Iterator[Web]:
    with serving() as other:
        yield other


def with_user(web: Web, path: str) -> str:
    return web.url.replace("//", f"//{USER}") + path


def made(url: str, **request: Any) -> Execution:
    return execution(url, **request)[0]


def fetched(url: str, **request: Any) -> dict[str, Any]:
    value: dict[str, Any] = asyncio.run(made(url, **request).invoke())
    return value


def failure(url: str, **request: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        fetched(url, **request)
    return caught.value


@pytest.mark.parametrize(
    "said",
    [
        answer("404 Not Found", body=SECRET.encode()),
        answer(f"503 {SECRET}", b"Retry-After: 1"),
        answer("200 OK", body=b"x" * 2_000_000),
        answer("302 Found", f"Location: ftp://h/{QUERY}".encode()),
        answer("302 Found", f"Location: http://u:{SECRET}@[h/".encode()),
        answer("302 Found", f"Location: /{QUERY}".encode()),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n" + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + SECRET.encode() * 100_000 + b"\r\n\r\n",
        SECRET.encode() + b"\r\n\r\n",
        b"",
    ],
)
def test_no_failure_tells_a_secret(web: Web, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    # given a server that fails in some way, and perhaps repeats what it was asked
    web.answers["/"] = said
    caplog.set_level(logging.DEBUG)
    task = made(with_user(web, f"/{QUERY}"), headers=TOKEN, max_bytes=1_000_000)

    # when it is asked with secrets in URL and headers
    with pytest.raises(StepError) as caught:
        asyncio.run(task.invoke())

    # then neither what is stored of the failure, with its traceback, nor the log has them
    outcome = task.failed(caught.value)
    assert isinstance(outcome, Failed)
    assert SECRET not in json.dumps(asdict(outcome.failure))
    assert SECRET not in caplog.text
    assert SECRET in web.asked[0].decode()


def test_no_failure_to_connect_tells_a_secret() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://{USER}127.0.0.1:{nobody.getsockname()[1]}/{QUERY}"
        error = failure(url)

    assert error.code == "http_connect"
    assert SECRET not in str(error)


def test_what_a_redirect_adds_is_not_told_either() -> None:
    step, request = step_context(), HttpFetch(url="http://h/")
    with Spool(1) as body:
        talk = _Talk(step, request, body)
        hop = talk._first.redirected(302, QUERY.encode())
        error = ClientOSError(None, f"Can not write request body for {hop.url}")

        assert SECRET not in str(talk._failure(error, hop))


@pytest.mark.parametrize(
    "request_",
    [
        {"url": f"ftp://{USER}h/"},
        {"url": f"http://{USER}h/" + "x" * 9_000},
        {"url": f"http://{USER}h/", "headers": {"A": f"{SECRET}\n"}},
        {"url": f"http://{USER}h/", "headers": {"A b": SECRET}},
        {"url": f"http://{USER}h/", "headers": [SECRET]},
        {"url": f"http://{USER}h/", "headers": {"A": [SECRET]}},
        {"url": f"http://{USER}h/", "headers": TOKEN, "body": SECRET, "json": 1},
    ],
)
def test_a_wrong_request_is_refused_without_its_secrets(request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload) as caught:
        fetched(**request_)

    assert SECRET not in str(caught.value)


def test_the_user_of_a_url_is_sent_and_not_kept(web: Web) -> None:
    web.answers["/"] = answer("200 OK")

    value = fetched(with_user(web, "/"))

    assert b"Authorization: Basic YW5uOnMzY3IzdA==\r\n" in web.asked[0]
    assert value["url"] == f"{web.url}/"


def test_a_password_may_be_any_text(web: Web) -> None:
    web.answers["/"] = answer("200 OK")

    fetched(web.url.replace("//", "//%C3%A9:%E2%82%AC@") + "/")

    assert b"Authorization: Basic w6k64oKs\r\n" in web.asked[0]


def test_nothing_of_its_own_follows_to_another_origin(web: Web, other: Web) -> None:
    # given a server that redirects to another, which redirects back
    web.answers["/"] = answer("302 Found", f"Location: {other.url}/b".encode())
    other.answers["/b"] = answer("302 Found", f"Location: {web.url}/c".encode())
    web.answers["/c"] = answer("200 OK")

    fetched(with_user(web, "/"), headers={**TOKEN, "Accept": "text/x", "X-Mine": SECRET})

    # then only the first request has what may be secret, and all have what is harmless
    for asked in (other.asked[0], web.asked[1]):
        assert SECRET not in asked.decode()
        assert b"authorization" not in asked.lower()
        assert b"x-mine" not in asked.lower()
        assert b"Accept: text/x\r\n" in asked


def test_at_the_same_origin_all_of_it_follows(web: Web) -> None:
    web.answers["/"] = answer("307 There", b"Location: /b")
    web.answers["/b"] = answer("200 OK")

    fetched(web.url, method="POST", headers=TOKEN, body="the body")

    for asked in web.asked:
        assert asked.startswith(b"POST /")
        assert f"X-Api-Key: {SECRET}\r\n".encode() in asked
        assert asked.endswith(b"the body")


@pytest.mark.parametrize("status", ["307 T", "308 P"])
def test_a_body_does_not_follow_to_another_origin(web: Web, other: Web, status: str) -> None:
    web.answers["/"] = answer(status, f"Location: {other.url}/{QUERY}".encode())

    error = failure(web.url, method="POST", body=SECRET)

    assert (type(error), error.code) == (Permanent, "http_redirects")
    assert f"{other.url}/?…, which is another origin" in str(error)
    assert other.asked == []


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        *(("POST", status, "GET") for status in ("301 M", "302 F", "303 S")),
        *(("PUT", "303 S", "GET"), ("HEAD", "303 S", "HEAD"), ("PUT", "302 F", "PUT")),
    ],
)
def test_the_method_after_a_redirect(web: Web, method: str, status: str, then: str) -> None:
    web.answers["/"] = answer(status, b"Location: /b")
    web.answers["/b"] = answer("200 OK")

    fetched(web.url, method=method, **({"body": "b"} if method != "HEAD" else {}))

    second = web.asked[1]
    assert second.startswith(f"{then} /b ".encode())
    assert (b"content-type" in second.lower()) == second.endswith(b"b") == (then == "PUT")


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        ("http://h/", "https://h/", True),
        ("http://h:80/", "https://H:443/x", True),
        ("https://h/", "http://h/", False),
        ("http://h:8080/", "https://h/", False),
        ("http://h/", "https://h:8443/", False),
        ("https://h/", "https://h:444/", False),
        ("https://h/", "https://sub.h/", False),
        ("https://sub.h/", "https://h/", False),
        ("https://h/", "https://h.evil.example/", False),
        ("https://h/", "https://h@evil.example/", False),
        ("https://h/", "//evil.example/", False),
        ("https://h/", "https:/path", True),
    ],
)
def test_what_is_the_same_place(before: str, after: str, follows: bool) -> None:
    first = Hop.first(HttpFetch(url=before, headers=TOKEN))

    second = first.redirected(302, after.encode())

    assert ("X-Api-Key" in second.headers) == follows
    assert "X-Api-Key" in first.headers


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://{USER}h:8/p?a={SECRET}#{SECRET}", "https://h:8/p?…"),
        (f"https://a@b:{SECRET}@h/p", "https://h/p"),
        (f"https://[{SECRET}", "a URL that cannot be read"),
        ("https://h/" + "x" * 999, "https://h/" + "x" * 290 + "…"),
        ("https://h/a\nb", "https://h/ab"),
        ("https://h/\x85", "https://h/?"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_secrets_are_masked_in_what_others_say() -> None:
    secrets = Secrets("http://u:p%40ssword@h/?token=abcd%20ef&x=1", ["Bearer xyz123"])

    said = secrets.mask("p@ssword p%40ssword token=abcd%20ef&x=1 'abcd ef' xyz123 Bearer fine")

    assert said == "… … … '…' … … fine"


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((text, True) for text in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8")),
        *((text, True) for text in ("2002:808:808::1", "64:ff9b::808:808")),
        *((text, False) for text in ("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3")),
        *((text, False) for text in ("172.16.0.1", "192.168.0.1", "169.254.169.254")),
        *((text, False) for text in ("100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255")),
        *((text, False) for text in ("198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1")),
        *((text, False) for text in ("fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1")),
        *((text, False) for text in ("ff02::1", "2001:db8::1", "::ffff:127.0.0.1")),
        *((text, False) for text in ("::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::1")),
        *((text, False) for text in ("2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1")),
        *((text, False) for text in ("64:ff9b:1::1", "2001:0:7f00:1::", "", "localhost")),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1"])
def test_a_private_address_is_refused_however_it_is_written(web: Web, host: str) -> None:
    error = failure(f"http://{USER}{host}:{web.port}/{QUERY}", allow_private=False)

    assert isinstance(error, Permanent)
    if error.code != "http_invalid_url":  # as aiohttp takes no numbers that only look like names
        assert error.code == "http_private"
        assert "is not public, and allow_private is false" in str(error)
    assert SECRET not in str(error)
    assert web.asked == []


def test_a_redirect_to_a_private_address_is_refused(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given one server that counts as public, and one that does not
    monkeypatch.setattr(http_address, "is_public", lambda address: address == "127.0.0.1")
    with serving("127.0.0.2") as private:
        web.answers["/"] = answer("302 Found", f"Location: {private.url}/".encode())
        web.answers["/fine"] = answer("200 OK")

        assert failure(f"{web.url}/", allow_private=False).code == "http_private"

        assert private.asked == []
    assert fetched(f"{web.url}/fine", allow_private=False)["status"] == 200


class Names:
    """A resolver that answers with something else each time it is asked, as rebinding does."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.port = 0

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        found = self.answers.pop(0)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address in found]


def test_what_a_name_resolves_to_is_what_is_asked_about(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a name that is public once and private when asked again
    monkeypatch.setattr(http_address, "is_public", lambda address: address == "127.0.0.1")
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    monkeypatch.setattr(socket, "getaddrinfo", names)
    web.answers["/"] = answer("200 OK")
    url = f"http://rebind.example:{web.port}/"

    # then one connection asks once, and goes where that led; the next one is refused
    assert fetched(url, allow_private=False)["status"] == 200
    assert len(names.answers) == 1
    assert failure(url, allow_private=False).code == "http_private"


def test_of_several_addresses_the_public_ones_are_tried(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_address, "is_public", lambda address: address != "127.0.0.2")
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.2", "127.0.0.1"], ["127.0.0.3"]))
    web.answers["/"] = answer("200 OK")
    url = f"http://both.example:{web.port}/"

    assert fetched(url, allow_private=False)["status"] == 200
    error = failure(url, allow_private=False)  # public, and nobody listens there
    assert (type(error), error.code) == (Retryable, "http_connect")


# --- bodies from artifacts --------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_the_body_is_an_artifact_of_an_earlier_step(web: Web, size: int) -> None:
    web.answers["/"] = answer("307 There", b"Location: /b")
    web.answers["/b"] = answer("200 OK")
    step = step_context(dependencies={"make": None}, artifacts={("make", "it"): b"x" * size})

    source = ArtifactOf(step="make", name="it")
    asyncio.run(fetch_url(step, HttpFetch(url=web.url, method="PUT", body_artifact=source)))

    for asked in web.asked:
        assert f"Content-Length: {size}\r\n".encode() in asked
        assert asked.endswith(b"\r\n\r\n" + b"x" * size)


def test_a_body_that_is_not_there_is_said(web: Web) -> None:
    step = step_context()

    with pytest.raises(NotFound, match="there is no artifact 'gone'"):
        asyncio.run(fetch_url(step, HttpFetch(url=web.url, method="PUT", body_artifact="gone")))
