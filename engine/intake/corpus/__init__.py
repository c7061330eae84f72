"""Files that lie, point elsewhere, or are simply wrong: one named writer each, and what must become of it."""

from engine.intake.corpus import formats, links, matrices, names, others, packing, references, sizes  # noqa: F401
from engine.intake.corpus.kit import CLEANED, CORPUS, SOUND, Attack

__all__ = ["CLEANED", "CORPUS", "SOUND", "Attack"]
