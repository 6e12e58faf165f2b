"""Random graphs under many seeds: whatever goes wrong on the way, each ends as the model says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepwell.testing.simulator.simulate import report
from stepwell.testing.simulator.world import Shop
from tests.trust.simulator.seeds import play

SEEDS = 2_000
SHARDS = 40


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.hands.dismiss()


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_seed_ends_as_the_model_says(
    shard: int, shop: Shop, scale: float, request: pytest.FixtureRequest
) -> None:
    start = int(request.config.getoption("--sim-start") or 0)
    count = int(request.config.getoption("--sim-seeds") or 0) or round(SEEDS * scale)

    for seed in range(start + shard, start + count, SHARDS):
        played = play(seed, shop)
        assert not played.broken, report(played, f"make sim START={seed} SEEDS=1")
