"""The tasks that Huey runs, in the file that the environment names."""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import os
from typing import Any

from huey import SqliteHuey

FILE = "STEPWELL_BENCH_HUEY"

huey: Any = SqliteHuey("bench", filename=os.environ[FILE])


@huey.task()
def noop(number: int) -> int:
    return number
