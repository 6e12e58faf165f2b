"""The room that remembers: run store, checkpointers, artifact stores, projections.

Modules that need a slow library, or that few programs need, are loaded on first use, through
`__getattr__`.
"""

from importlib import import_module
from types import ModuleType

_LAZY = {
    "opening": "opening",  # sqlalchemy
    "postgres": "sql.connection.postgres",  # psycopg
    "postgres_url": "postgres_url",  # psycopg
    "sqlite_projections": "projections.sqlite",
    "postgres_projections": "projections.postgres",  # psycopg
    "artifact_files": "artifacts.file",
}


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        module = globals()[name] = import_module(f"{__name__}.{_LAZY[name]}")
        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
