"""The room that remembers: run store, checkpointers, artifact stores, projections.

What needs a slow library, or not every program, is loaded when first used, through this seam.
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
