"""The conformance suite of artifact stores. It needs pytest.

Subclass it in a test module, and provide the store to be tested::

    class TestMyArtifactStore(ArtifactStoreSuite):
        @pytest.fixture
        def store(self):
            return MyArtifactStore(...)

Each test gets its own store, which may already contain other bytes.
"""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from stepwell.engine.errors import InvalidInput, NotFound
from stepwell.engine.model import Blob
from stepwell.engine.ports import ArtifactStore

PIECE = 64 * 1024
THREADS = 8

NOT_DIGESTS = {
    "nothing": "",
    "dots": "..",
    "a way out": "../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "64 characters of path": "../" * 21 + "a",
    "too short": "a" * 63,
    "too long": "a" * 65,
    "upper case": "A" * 64,
    "a line end": "a" * 64 + "\n",
    "a NUL": "a" * 63 + "\0",
    "not hexadecimal": "g" * 64,
    "wide digits": "\uff11" * 64,
    "bytes": b"a" * 64,
    "None": None,
}


class Trickle(io.RawIOBase):
    """A binary stream of `size` bytes that never exist all at once; returns one piece at a time."""

    def __init__(self, size: int, fails: bool = False) -> None:
        self._left = size
        self._fails = fails
        self.largest = 0

    def read(self, size: int = -1, /) -> bytes:
        """At most `PIECE` bytes; a store must not ask for all at once."""
        if size < 0:
            raise AssertionError("the store asked for the whole stream at once")
        self.largest = max(self.largest, size)
        if self._left == 0 and self._fails:
            raise ConnectionError("the other side hung up")
        given = b"s" * min(size, PIECE, self._left)
        self._left -= len(given)
        return given


class ArtifactStoreSuite:
    """What every `ArtifactStore` must do; the contract has the rules."""

    @pytest.mark.parametrize(
        "data", [b"", b"x", b"\0\r\n\xff", bytes(range(256)) * 10_000], ids=len
    )
    def test_put_then_open_gives_the_same_bytes(self, store: ArtifactStore, data: bytes) -> None:
        blob = store.put(data)

        with store.open(blob.sha256) as stream:
            assert stream.read() == data

    def test_put_says_digest_size_and_place(self, store: ArtifactStore) -> None:
        blob = store.put(b"hello")

        assert blob.sha256 == hashlib.sha256(b"hello").hexdigest()
        assert blob.size == 5
        assert "://" in blob.uri

    def test_stat_says_what_put_said(self, store: ArtifactStore) -> None:
        blob = store.put(b"hello")

        assert store.stat(blob.sha256) == blob

    def test_a_stream_is_stored_from_where_it_stands(self, store: ArtifactStore) -> None:
        stream = io.BytesIO(b"header and body")
        stream.seek(7)

        blob = store.put(stream)

        assert blob.sha256 == hashlib.sha256(b"and body").hexdigest()

    def test_an_empty_stream_is_no_bytes(self, store: ArtifactStore) -> None:
        assert store.put(io.BytesIO()) == store.put(b"")

    def test_a_large_stream_is_read_in_pieces(self, store: ArtifactStore) -> None:
        size = 40 * PIECE + 1
        stream = Trickle(size)

        blob = store.put(stream)  # type: ignore[arg-type]  # has all of BinaryIO that counts

        assert blob.size == size
        assert blob.sha256 == hashlib.sha256(b"s" * size).hexdigest()
        assert stream.largest < size

    def test_the_same_bytes_have_one_place(self, store: ArtifactStore) -> None:
        first = store.put(b"twice")

        assert store.put(io.BytesIO(b"twice")) == first
        assert store.delete(first.sha256)
        assert not store.delete(first.sha256)

    def test_every_open_starts_at_the_start(self, store: ArtifactStore) -> None:
        sha256 = store.put(b"abc").sha256

        with store.open(sha256) as one, store.open(sha256) as other:
            assert one.read(2) == b"ab"
            assert other.read() == b"abc"
            assert one.read() == b"c"

    def test_unknown_bytes_are_not_found(self, store: ArtifactStore) -> None:
        unknown = hashlib.sha256(b"never stored").hexdigest()

        with pytest.raises(NotFound, match=unknown):
            store.open(unknown)
        with pytest.raises(NotFound, match=unknown):
            store.stat(unknown)
        assert not store.delete(unknown)

    def test_delete_removes_only_these_bytes(self, store: ArtifactStore) -> None:
        gone, kept = store.put(b"gone").sha256, store.put(b"kept").sha256

        assert store.delete(gone)

        with pytest.raises(NotFound):
            store.open(gone)
        assert store.stat(kept).size == 4

    def test_deleted_bytes_can_be_stored_again(self, store: ArtifactStore) -> None:
        first = store.put(b"again")
        store.delete(first.sha256)

        assert store.put(b"again") == first
        with store.open(first.sha256) as stream:
            assert stream.read() == b"again"

    @pytest.mark.parametrize("act", ["open", "stat", "delete"])
    @pytest.mark.parametrize("sha256", NOT_DIGESTS.values(), ids=NOT_DIGESTS)
    def test_what_is_no_digest_is_refused(
        self, store: ArtifactStore, act: str, sha256: object
    ) -> None:
        with pytest.raises(InvalidInput, match="sha256"):
            getattr(store, act)(sha256)

    @pytest.mark.parametrize(
        "data", ["text", 7, None, io.StringIO("text")], ids=lambda data: type(data).__name__
    )
    def test_what_is_not_bytes_is_refused(self, store: ArtifactStore, data: object) -> None:
        with pytest.raises(InvalidInput, match="artifact"):
            store.put(data)  # type: ignore[arg-type]  # what is wrong is the point

    def test_an_error_of_the_stream_is_passed_on_and_nothing_stored(
        self, store: ArtifactStore
    ) -> None:
        size = 3 * PIECE

        with pytest.raises(ConnectionError, match="hung up"):
            store.put(Trickle(size, fails=True))  # type: ignore[arg-type]  # as above

        with pytest.raises(NotFound):
            store.stat(hashlib.sha256(b"s" * size).hexdigest())

    def test_many_threads_store_the_same_and_their_own(self, store: ArtifactStore) -> None:
        start = Barrier(THREADS)

        def put(number: int) -> tuple[Blob, Blob]:
            start.wait()
            return store.put(b"shared" * PIECE), store.put(str(number).encode())

        with ThreadPoolExecutor(THREADS) as threads:
            blobs = list(threads.map(put, range(THREADS)))

        assert len({shared for shared, _ in blobs}) == 1
        assert len({own for _, own in blobs}) == THREADS
        for shared, own in blobs:
            with store.open(shared.sha256) as stream:
                assert stream.read() == b"shared" * PIECE
            assert store.stat(own.sha256) == own
