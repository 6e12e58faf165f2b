"""Code census: counts what is in a folder of Python files, one durable step per file."""

from code_census.steps import census

__all__ = ["census"]
