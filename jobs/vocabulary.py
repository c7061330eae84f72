"""The engine's words that pages and routes may use; they import jobs and nothing below it."""

from __future__ import annotations

from engine.errors import CrossViewError
from engine.types import Direction, Modality, Scale

__all__ = ["CrossViewError", "Direction", "Modality", "Scale"]
