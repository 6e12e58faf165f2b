"""The room that decides: model, graph, packages, scheduling. It imports no other room.

Modules that are slow to load, mostly for a library's sake, are loaded when first used, through this
seam.
"""

from importlib import import_module
from types import ModuleType

_LAZY = {
    "waits": "tenacity",
    "cycles": "networkx",
    "beside": "concurrent.futures",
    "durable_async": "asyncio",
    "described_waits": "many classes",
    "payload_equality": "pydantic's root models",
}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
