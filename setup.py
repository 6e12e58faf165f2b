"""Adds what pyproject.toml cannot say: every sub-package of every room is part of the product."""

import tomllib
from pathlib import Path

from setuptools import find_packages, setup

PYPROJECT = Path(__file__).with_name("pyproject.toml")


def packages() -> list[str]:
    """Name each room of `package-dir` and every package below it."""
    rooms = tomllib.loads(PYPROJECT.read_text())["tool"]["setuptools"]["package-dir"]
    below = [f"{room}.{name}" for room, folder in rooms.items() for name in find_packages(folder)]
    return [*rooms, *below]


setup(packages=packages())
