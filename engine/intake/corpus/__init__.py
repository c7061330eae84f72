"""Files that lie, point elsewhere, or are simply wrong: one named writer each, and what must become of it."""

from engine.intake.corpus import (  # noqa: F401
    archives,
    folders,
    formats,
    links,
    matrices,
    names,
    others,
    packing,
    references,
    sizes,
)
from engine.intake.corpus.kit import CLEANED, CORPUS, SOUND, Attack
from engine.intake.corpus.packs import FORMATS

__all__ = ["CLEANED", "CORPUS", "FORMATS", "SOUND", "Attack"]
