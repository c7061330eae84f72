"""The one door to scvi-tools: imported when a model is built, with an error that says what to install."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from typing import Any

from engine.errors import MissingExtra


@cache
def scvi(name: str = "scvi") -> Any:
    """The library or one of its modules. Raises MissingExtra where scvi-tools is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's dependencies warn of each other as they are imported
            return import_module(name)
    except ModuleNotFoundError as problem:
        raise MissingExtra(
            f"multivi runs on scvi-tools, and the module {problem.name} is not installed here.",
            hint="Install the extra: `pip install 'crossview[peers]'`.",
        ) from problem
