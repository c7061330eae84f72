"""Names as text: cleaned, told apart as genes or peaks, made unique."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.errors import WrongModality
from engine.genome.peaks import parse_known
from engine.types import Modality, Names, as_names

LONGEST = 200  # characters; the longest real feature names are peaks on scaffolds, under 60
ENSEMBL = re.compile(r"^ENS[A-Z]{0,6}G\d{11}")
PLAIN = re.compile(r"^[\x20-\x7e]*$")
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # control, direction marks, surrogates, line breaks


def clean(text: str, *, longest: int = LONGEST) -> str:
    """Visible text on one line: control and direction characters removed, cut at `longest`."""
    text = text[: longest * 8]
    if not PLAIN.match(text):
        spaced = (" " if ch in "\t\n\r" else ch for ch in text)
        text = "".join(ch for ch in spaced if unicodedata.category(ch) not in UNSEEN)
    return text.strip()[:longest]


def clean_all(names: Iterable[str]) -> Names:
    return as_names(clean(name) for name in names)


def is_peak(names: Names) -> NDArray[np.bool_]:
    """Which names are intervals such as chr1:100-600, chr1-100-600 or chr1_100_600; shape (f,)."""
    return parse_known(names)[1]


def tidy_peaks(names: Names) -> Names:
    """Peaks written as `chr1:100-600` whatever the spelling was; other names unchanged."""
    peaks, mask_f = parse_known(names)
    tidy = names.copy()
    tidy[mask_f] = peaks.names
    return tidy


def choose_columns(names: Names, wanted: Modality | None) -> tuple[Modality, NDArray[np.int64] | None, str]:
    """Modality of the features, the columns to keep (None: all), and what to tell the user.

    A file of one kind is that kind. A file of both kinds needs `wanted`, and only those columns are kept.
    Raises WrongModality.
    """
    peaks_f = is_peak(names)
    peaks, genes = int(peaks_f.sum()), int((~peaks_f).sum())
    total = len(names)
    fewer = min(peaks, genes)
    # A handful of odd names does not make a file mixed; 10x Multiome has 36,000 genes beside 100,000 peaks.
    clear = fewer <= 0.01 * total or (fewer <= 3 and 5 * fewer < total)
    guess = (Modality.ATAC if peaks > genes else Modality.RNA) if clear else None
    if guess is not None and wanted in (None, guess):
        return guess, None, ""
    if guess is None and wanted is None:
        raise WrongModality(
            f"The file holds both genes and peaks: {genes:,} gene-like names (such as {names[~peaks_f][0]}) and "
            f"{peaks:,} peaks (such as {names[peaks_f][0]}).",
            hint="Say which to use (RNA or ATAC), or write the two into separate files.",
        )
    assert wanted is not None
    mask_f = peaks_f if wanted is Modality.ATAC else ~peaks_f
    if not mask_f.any() or guess is not None:
        seen, asked = ("peaks", "genes") if wanted is Modality.RNA else ("genes", "peaks")
        raise WrongModality(
            f"{asked.capitalize()} were expected, but the {total:,} names look like {seen}, such as {names[0]}.",
            hint="Peaks are named chr1:100-600, genes by symbol or Ensembl id; check which file goes where.",
        )
    kept = np.flatnonzero(mask_f)
    return wanted, kept, f"{len(kept):,} of {total:,} columns are {wanted.value.upper()} and were kept."


def make_unique(names: Names) -> tuple[Names, list[str]]:
    """Repeated names numbered as AnnData does (GENE, GENE-1, GENE-2), and those that were repeated."""
    taken = set(names)
    count: dict[str, int] = {}
    repeated: dict[str, None] = {}
    fresh: list[str] = []
    for name in names:
        if name not in count:
            count[name] = 0
            fresh.append(name)
            continue
        repeated[name] = None
        while (candidate := f"{name}-{count[name] + 1}") in taken:
            count[name] += 1
        count[name] += 1
        taken.add(candidate)
        fresh.append(candidate)
    return as_names(fresh), list(repeated)
