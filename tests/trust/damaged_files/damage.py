"""Ways to damage the bytes of a file: chosen by a seed, and always the same for it."""

from __future__ import annotations

import random
from collections.abc import Callable

# From here on, where it begins and how it ends is told with the seed.
Damaged = tuple[str, bytes]


def _flip(data: bytearray, chance: random.Random) -> str:
    places = [chance.randrange(len(data)) for _ in range(chance.choice((1, 1, 2, 8)))]
    for place in places:
        data[place] ^= 1 << chance.randrange(8)
    return f"bits flipped at {places}"


def _overwrite(data: bytearray, chance: random.Random) -> str:
    start, length = _span(data, chance)
    data[start : start + length] = chance.randbytes(length)
    return f"{length} bytes at {start} by chance"


def _zero(data: bytearray, chance: random.Random) -> str:
    start, length = _span(data, chance)
    data[start : start + length] = bytes(length)
    return f"{length} zeroes at {start}"


def _cut(data: bytearray, chance: random.Random) -> str:
    end = chance.randrange(len(data))
    del data[end:]
    return f"cut after {end} bytes"


def _cut_out(data: bytearray, chance: random.Random) -> str:
    start, length = _span(data, chance)
    del data[start : start + length]
    return f"{length} bytes cut out at {start}"


def _double(data: bytearray, chance: random.Random) -> str:
    start, length = _span(data, chance)
    data[start:start] = data[start : start + length]
    return f"{length} bytes at {start} doubled"


_WAYS: tuple[Callable[[bytearray, random.Random], str], ...] = (
    *(_flip, _flip, _flip, _overwrite, _zero, _zero),
    *(_cut, _cut_out, _double),
)


def _span(data: bytearray, chance: random.Random) -> tuple[int, int]:
    length = min(len(data), chance.choice((1, 4, 16, 100, 512, 4096)))
    return chance.randrange(len(data) - length + 1), length


def damaged(data: bytes, seed: int) -> Damaged:
    """What was done, and the bytes after it; they differ from those before."""
    chance = random.Random(seed)
    changed = bytearray(data)
    said = ""
    while changed == data:
        said = chance.choice(_WAYS)(changed, chance)
    return said, bytes(changed)
