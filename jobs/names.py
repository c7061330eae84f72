"""The engine's nouns and errors that pages may speak of, so that app imports jobs only."""

from __future__ import annotations

from engine.errors import CrossViewError
from engine.types import Direction, Modality, Scale

__all__ = ["CrossViewError", "Direction", "Modality", "Scale"]
