"""`stepwell packages`: a table of all, one in full, and everything as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

SOURCE = '''
from pydantic import BaseModel, Field
from stepwell import Package, Queue, Retry, RunBuilder, StepContext

class Order(BaseModel):
    id: str = Field(description="Its number.")
    items: list[str] = []

shop = Package(
    "shop", title="Web shop", description="Sells pens.", tags=["web"], queues=[Queue("slow")]
)

@shop.executor("shop.price", queue="slow", retry=Retry(2), timeout=90, priority=-1)
async def price(step: StepContext, order: Order) -> None: ...

@shop.entrypoint(title="New order", tags=["order"])
def order(run: RunBuilder, order: Order) -> None:
    """Take an order."""

@shop.workflow(trigger=False, max_recoveries=2)
def close(step: StepContext) -> None: ...
'''


@pytest.fixture
def app(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    # Each test has a file of its own.
    monkeypatch.delitem(sys.modules, "listshop", raising=False)
    (tmp_path / "listshop.py").write_text(SOURCE)
    return "listshop.py:shop"


def test_all_in_a_table(cli: CommandLine, app: str) -> None:
    assert cli("--app", app, "packages").stdout.splitlines() == [
        "PACKAGE  ENTRYPOINT  TYPE        INPUT      DESCRIPTION",
        "shop     order       entrypoint  id, items  Take an order.",
        "shop     close       workflow               Sells pens.",
    ]


def test_one_in_full(cli: CommandLine, app: str) -> None:
    assert cli("--app", app, "packages", "shop").stdout == (
        "package      shop\n"
        "title        Web shop\n"
        "description  Sells pens.\n"
        "tags         web\n"
        "queues       slow\n"
        "\n"
        "entrypoint   order\n"
        "title        New order\n"
        "description  Take an order.\n"
        "tags         web, order\n"
        "input        id=TEXT     Its number.  [required]\n"
        "             items=TEXT  Repeatable.  [default: []]\n"
        "\n"
        "workflow    close\n"
        "tags        web\n"
        "trigger     no, only start_run and the command line\n"
        "recoveries  2\n"
        "\n"
        "KIND        QUEUE    POOL     ATTEMPTS  TIMEOUT     PRIORITY  INPUT\n"
        "shop.price  slow     asyncio  2         1 min 30 s  -1        id, items\n"
        "shop.close  default  thread                         0\n"
    )


def test_everything_as_json(cli: CommandLine, app: str) -> None:
    told = json.loads(cli("--app", app, "packages", "shop", "--json").stdout)

    assert told == json.loads(cli("--app", app, "packages", "--json").stdout)[0]
    assert (told["title"], told["description"], told["tags"]) == (
        "Web shop",
        "Sells pens.",
        ["web"],
    )
    order, close = told["entrypoints"]
    assert order.pop("input_schema")["required"] == ["id"]
    assert order == {
        "name": "order",
        "type": "entrypoint",
        "title": "New order",
        "description": "Take an order.",
        "tags": ["web", "order"],
        "trigger": True,
        "takes_input": True,
        "max_recoveries": None,
    }
    assert (close["type"], close["trigger"], close["max_recoveries"]) == ("workflow", False, 2)
    price, _ = told["executors"]
    assert price.pop("input_schema")["title"] == "Order"
    assert price.pop("retry")["max_attempts"] == 2
    assert price == {
        "kind": "shop.price",
        "description": "",
        "queue": "slow",
        "pool": "asyncio",
        "timeout": 90.0,
        "priority": -1,
        "takes_input": True,
    }


def test_one_that_is_not_there(cli: CommandLine, app: str) -> None:
    result = cli("--app", app, "packages", "shpo")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "error: there is no package 'shpo'; did you mean 'shop'?\n"
