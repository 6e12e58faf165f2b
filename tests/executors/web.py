"""A server of raw bytes: it says what a test wants, however wrong, and keeps what it was asked."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

END = b"\r\n\r\n"


def answer(status: str, *headers: bytes, body: bytes = b"") -> bytes:
    """An answer in HTTP, with the length of its body."""
    length = f"Content-Length: {len(body)}".encode()
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), length, *headers]) + END + body


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        web = self.server
        assert isinstance(web, Web)
        asked = b""
        while not asked.endswith(END):
            line = self.rfile.readline()
            if not line:
                return
            asked += line
        for line in asked.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                asked += self.rfile.read(int(line.partition(b":")[2]))
        web.asked.append(asked)
        path = asked.split(b" ")[1].decode().partition("?")[0]
        self.wfile.write(web.answers.get(path, answer("404 Not Found")))
        if path in web.silent:
            self.wfile.flush()
            web.closing.wait()


class Web(socketserver.ThreadingTCPServer):
    """Answers by path; after those of `silent` paths it keeps the connection open."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.answers: dict[str, bytes] = {}
        self.silent: set[str] = set()
        self.asked: list[bytes] = []
        self.closing = threading.Event()
        self.port: int = self.server_address[1]
        self.url = f"http://{host}:{self.port}"


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Web]:
    """A server that is up within the block."""
    with Web(host) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            web.closing.set()
            web.shutdown()
            thread.join()
