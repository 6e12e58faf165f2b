"""What is opened by a URL: each kind of store has one table, of what opens which scheme."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from stepwell.engine.errors import InvalidInput, nearest

T = TypeVar("T")


def choose(url: object, field: str, schemes: Mapping[str, T], example: str) -> T:
    """What the table has for a URL's scheme.

    Raises InvalidInput, naming `field`; what may be a password is not quoted.
    """
    if not isinstance(url, str):
        raise InvalidInput(f"{field}: must be a URL, got {type(url).__name__}")
    scheme, separator, _ = url.partition("://")
    if not separator:
        got = "" if "password" in url else f", got {url!a:.200}"
        raise InvalidInput(f"{field}: must be a URL, as {example}{got}")
    if scheme not in schemes:
        raise InvalidInput(f"{field}: unknown kind of URL {scheme!a:.40}{nearest(scheme, schemes)}")
    return schemes[scheme]


def check_nothing(url: str, field: str) -> None:
    """Raises InvalidInput where something stands behind the scheme."""
    scheme, _, rest = url.partition("://")
    if rest:
        raise InvalidInput(f"{field}: {scheme}:// takes nothing behind it, got {_shown(url)}")


def folder_of(url: str, field: str) -> Path:
    """The folder that a URL names. Raises InvalidInput."""
    scheme, _, rest = url.partition("://")
    if not rest.startswith("/") or rest == "/" or "\0" in rest:
        raise InvalidInput(
            f"{field}: {_shown(url)} names no folder; write {scheme}:///folder, with three "
            "slashes and an absolute path"
        )
    return Path(rest)


def _shown(url: str) -> str:
    """The URL for a message, without what may be a password."""
    scheme, _, rest = url.partition("://")
    return f"'{scheme}://…'" if "@" in rest or "password" in rest else f"{url!a:.200}"
