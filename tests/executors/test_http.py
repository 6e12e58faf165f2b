"""`http.fetch` against a real server on a real socket."""

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import stepwell.executors as executors
from stepwell.engine.errors import InvalidPayload, Permanent, Retryable, RetryAfter, StepError
from stepwell.engine.step.execution import Execution
from stepwell.executors import kinds
from tests.executors.fakes import FakeArtifacts, artifacts_of, claimed, services

LARGE = b"x" * 200_000


class Site(BaseHTTPRequestHandler):
    """Answers by path; `/hang` waits until the server closes."""

    protocol_version = "HTTP/1.1"
    closing: threading.Event

    def do_GET(self) -> None:
        part = self.path.strip("/").split("/")
        match part:
            case ["status", code, *after]:
                headers = {"Retry-After": after[0].replace("%20", " ")} if after else {}
                self.answer(int(code), b"why", **headers)
            case ["redirect", "0"]:
                self.answer(200, b"there")
            case ["redirect", left]:
                self.answer(302, b"", Location=f"/redirect/{int(left) - 1}")
            case ["away"]:
                self.answer(302, b"", Location="ftp://example.com/")
            case ["loop"]:
                self.answer(302, b"", Location="/loop")
            case ["large"]:
                self.answer(200, LARGE)
            case ["endless"]:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(LARGE)
                self.close_connection = True
            case ["hang"]:
                self.closing.wait()
                self.close_connection = True
            case ["drop"]:
                self.close_connection = True
            case _:
                self.answer(200, b"hello", **{"Content-Type": "text/plain"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        said = {"body": body, "type": self.headers["Content-Type"], "x": self.headers["X-Test"]}
        self.answer(201, json.dumps(said).encode())

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    Site.closing = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        Site.closing.set()
        server.shutdown()
        thread.join()


def execution(url: str, **request: Any) -> tuple[Execution, FakeArtifacts]:
    artifacts = FakeArtifacts()
    given = services(artifacts=artifacts)
    return Execution(claimed("http.fetch", {"url": url, **request}), "w", given), artifacts


def fetch(url: str, **request: Any) -> dict[str, Any]:
    made, _ = execution(url, **request)
    value: dict[str, Any] = asyncio.run(made.invoke())
    return value


def test_the_body_becomes_an_artifact(site: str) -> None:
    made, _ = execution(f"{site}/hello")

    value = asyncio.run(made.invoke())

    body = artifacts_of(made, value)["body"]
    assert (body.body, body.content_type) == (b"hello", "text/plain")
    assert value["artifact_id"] == body.id
    assert value["sha256"] == body.sha256
    assert (value["status"], value["size"], value["url"]) == (200, 5, f"{site}/hello")
    assert value["headers"]["content-type"] == value["content_type"] == "text/plain"
    assert value["elapsed"] >= 0


def test_a_large_body_goes_to_the_artifact_store(site: str) -> None:
    made, artifacts = execution(f"{site}/large")

    asyncio.run(made.invoke())

    assert artifacts.stored == [LARGE]


def test_method_headers_and_bodies(site: str) -> None:
    for extra, body in (({"body": "plain"}, "plain"), ({"json": {"a": 1}}, '{"a": 1}')):
        made, _ = execution(site, method="POST", headers={"X-Test": "yes"}, **extra)
        value = asyncio.run(made.invoke())
        said = json.loads(artifacts_of(made, value)["body"].body or b"")
        assert (said["body"], said["x"]) == (body, "yes")
        assert body == "plain" or said["type"] == "application/json"


def test_redirects_are_followed_or_not(site: str) -> None:
    assert fetch(f"{site}/redirect/3")["url"] == f"{site}/redirect/0"
    assert fetch(f"{site}/redirect/3", follow_redirects=False)["status"] == 302


@pytest.mark.parametrize(
    ("path", "code"), [("loop", "http_redirects"), ("away", "http_invalid_url")]
)
def test_redirects_to_nowhere_are_permanent(site: str, path: str, code: str) -> None:
    with pytest.raises(Permanent) as caught:
        fetch(f"{site}/{path}")

    assert caught.value.code == code


@pytest.mark.parametrize("status", [400, 404, 410])
def test_client_errors_are_permanent(site: str, status: int) -> None:
    with pytest.raises(Permanent, match=str(status)) as caught:
        fetch(f"{site}/status/{status}")

    assert caught.value.code == "http_status"
    assert caught.value.details["status"] == status
    assert caught.value.details["excerpt"] == "why"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_server_errors_are_retried(site: str, status: int) -> None:
    with pytest.raises(Retryable) as caught:
        fetch(f"{site}/status/{status}")

    assert caught.value.code == "http_status"
    assert not isinstance(caught.value, RetryAfter)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("7", 7), ("Wed,%2001%20Jan%202020%2000:00:00%20GMT", 0), ("999999999", 86_400)],
)
def test_retry_after_is_honoured(site: str, after: str, seconds: float) -> None:
    with pytest.raises(RetryAfter) as caught:
        fetch(f"{site}/status/503/{after}")

    assert caught.value.code == "http_status"
    assert caught.value.delay.total_seconds() == seconds


def test_a_retry_after_that_says_nothing_is_ignored(site: str) -> None:
    with pytest.raises(Retryable) as caught:
        fetch(f"{site}/status/503/soon")

    assert not isinstance(caught.value, RetryAfter)


def test_statuses_that_are_said_to_be_fine(site: str) -> None:
    assert fetch(f"{site}/status/404", ok_statuses=[404])["status"] == 404


@pytest.mark.parametrize("path", ["large", "endless"])
def test_a_body_that_is_too_large_is_permanent(site: str, path: str) -> None:
    with pytest.raises(Permanent) as caught:
        fetch(f"{site}/{path}", max_bytes=1000)

    assert caught.value.code == "http_too_large"


def test_silence_is_a_timeout(site: str) -> None:
    with pytest.raises(Retryable) as caught:
        fetch(f"{site}/hang", timeout=0.2)

    assert caught.value.code == "http_timeout"


def test_a_dropped_or_refused_connection(site: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for url in (f"{site}/drop", nobody):
        with pytest.raises(Retryable) as caught:
            fetch(url)
        assert caught.value.code == "http_connect"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"url": "ftp://example.com/x"}, "http://"),
        ({"url": "file:///etc/hosts"}, "http://"),
        ({"url": "example.com"}, "http://"),
        ({"url": "http://x/", "method": "get"}, r"input\.method"),
        ({"url": "http://x/", "headers": {"A": "b\r\nC: d"}}, "line breaks"),
        ({"url": "http://x/", "body": "a", "json": 1}, "takes one of"),
        ({"url": "http://x/", "verify": False}, r"input\.verify"),
    ],
)
def test_wrong_requests_are_refused(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidPayload, match=field):
        fetch(**request_)


def test_without_aiohttp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "stepwell.executors.kinds.http_session", raising=False)
    monkeypatch.delattr(kinds, "http_session", raising=False)
    monkeypatch.delitem(vars(executors), "http_session", raising=False)

    with pytest.raises(StepError, match=r"install stepwell\[http\]"):
        fetch("http://127.0.0.1/")
