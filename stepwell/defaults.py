"""What stands where nothing else was said. Loads nothing."""

from __future__ import annotations

VERSION = "0.1.0"
DEFAULT_HOME = ".stepwell"
DEFAULT_STORE = "engine.db"
MEMORY = "memory://"
