"""The room that runs steps: the registry of executors, their pools, the built-in kinds.

Modules that need a slow library are loaded on first use, through `__getattr__`.
"""

from importlib import import_module
from types import ModuleType

_LAZY = {
    "installed_pools": "pools.installed",  # importlib.metadata
    "awaitables": "awaitables",  # asyncio
    "tasks": "pools.tasks",  # asyncio
    "processes": "pools.process.pool",  # multiprocessing
    "shell": "kinds.shell",  # multiprocessing
    "subrun": "kinds.subrun",
    "wait": "kinds.wait",
    "http": "kinds.http",
    "http_session": "kinds.http_session",  # aiohttp
}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        module = globals()[name] = import_module(f"{__name__}.{_LAZY[name]}")
        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
