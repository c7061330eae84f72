"""The version of the code, as attempts and reports name it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def code_version() -> str:
    try:
        return version("crossview")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+source"
