"""The corpus of `engine.intake.corpus` as tests use it: what must be refused, and what the others would be."""

from __future__ import annotations

from engine.intake.corpus import CLEANED, CORPUS
from engine.intake.corpus.kit import counts_of, good, skeleton, write_csr, write_frame
from engine.intake.corpus.names import MARKUP, markup_in_labels

HOSTILE = {name: made for name, made in CORPUS.items() if made.expected != CLEANED}

__all__ = ["HOSTILE", "MARKUP", "counts_of", "good", "markup_in_labels", "skeleton", "write_csr", "write_frame"]
