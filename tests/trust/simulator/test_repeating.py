"""The same seed does the same, byte for byte, in this process and in any other."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.testing.simulator.world import Shop
from tests.trust.simulator.seeds import play

ROOT = Path(__file__).parents[3]
SEEDS = (3, 9, 17, 27, 50)
ELSEWHERE = """
import hashlib, sys
from stepwell.testing.simulator.world import Shop
from tests.trust.simulator.seeds import play

shop = Shop()
for seed in map(int, sys.argv[1:]):
    print(hashlib.sha256(play(seed, shop).trace.encode()).hexdigest())
shop.hands.dismiss()
"""


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.hands.dismiss()


def test_a_seed_played_twice_gives_the_same_trace(shop: Shop) -> None:
    for seed in SEEDS:
        first, second = play(seed, shop), play(seed, shop)

        assert first.trace == second.trace
        assert len(first.trace) > 1_000


def test_other_seeds_give_other_traces(shop: Shop) -> None:
    traces = {play(seed, shop).trace for seed in SEEDS}

    assert len(traces) == len(SEEDS)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_gives_the_same_trace(shop: Shop, hash_seed: str) -> None:
    here = [hashlib.sha256(play(seed, shop).trace.encode()).hexdigest() for seed in SEEDS]

    there = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, SEEDS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )

    assert there.stdout.split() == here
