"""Programs that measure other engines, each in its own process and virtual environment."""
