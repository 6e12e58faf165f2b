"""The samples survive a crash at every point."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stepwell.testing import CrashEverywhere

SAMPLES = Path(__file__).parents[2] / "samples"


def sample(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SAMPLES / name))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


def test_shop(crash_everywhere: CrashEverywhere, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = sample("shop", monkeypatch)

    survived = crash_everywhere(shop.shop, shop.Order(id="o1", items=["pen", "ink"]))

    assert survived.end["run"]["steps"]["total"]["value"] == 600


@pytest.mark.parametrize("send", [[("confirmed", True)], []], ids=["confirmed", "lapsed"])
def test_onboarding(
    crash_everywhere: CrashEverywhere, monkeypatch: pytest.MonkeyPatch, send: list[Any]
) -> None:
    onboarding = sample("onboarding", monkeypatch)
    member = onboarding.Member(name="Ann", email="ann@example.com")

    survived = crash_everywhere(onboarding.onboarding, member, entrypoint="welcome", send=send)

    value = survived.end["run"]["steps"]["welcome"]["value"]
    assert value == {"confirmed": bool(send), "reminders": 0 if send else 1}


@pytest.mark.parametrize("entrypoint", ["order", "graph"])
def test_approval(
    crash_everywhere: CrashEverywhere, monkeypatch: pytest.MonkeyPatch, entrypoint: str
) -> None:
    approval = sample("approval", monkeypatch)

    survived = crash_everywhere(
        approval.approval,
        approval.Order(id="o1", cents=250_000),
        entrypoint=entrypoint,
        during=lambda runtime, run: runtime.approve(run.id, by="ann"),
        ignore=["run.steps.approval.value.at"],
    )

    placed = survived.end["run"]["steps"]["order" if entrypoint == "order" else "place"]
    assert placed["value"] == {"order": "o1", "status": "placed", "why": "receipt-o1"}
