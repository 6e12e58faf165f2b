"""The room that decides: model, graph, packages, scheduling. It imports no other room.

Modules that are slow to load, mostly because of a library, are loaded on first use, through
`__getattr__`.
"""

from importlib import import_module
from types import ModuleType

_LAZY = {
    "aio_bridge": "runtime.aio_bridge",  # asyncio
    "aio_handle": "runtime.aio_handle",  # asyncio
    "backoff": "backoff",  # tenacity
    "cycle_search": "graph.cycle_search",  # networkx
    "background": "durable.background",  # concurrent.futures
    "coroutines": "durable.coroutines",  # asyncio
    "described_waits": "durable.described_waits",  # many classes
    "equality": "payloads.equality",  # pydantic's root models
}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        module = globals()[name] = import_module(f"{__name__}.{_LAZY[name]}")
        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
