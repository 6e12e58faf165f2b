"""Programs that measure other engines. They run in an environment of their own: `.venv-bench`."""
