"""The command line: click commands, and the only reader of flags and environment.

Modules that need a slow library are loaded on first use, through `__getattr__`.
"""

from importlib import import_module
from types import ModuleType

_LAZY = {
    "apps": "pydantic",
    "live": "rich",
}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        module = globals()[name] = import_module(f"{__name__}.{name}")
        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
