"""Peak names, intervals and their overlaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BadInput, WrongModality
from engine.genome.intervals import overlaps
from engine.genome.peaks import Peaks, format_peak, looks_like_peaks, parse_known, parse_peaks

CONTIGS = st.sampled_from(["chr1", "chr22", "chrX", "chrM", "chrUn_KI270742v1", "GL000194.1", "chr6_GL000250v2_alt"])
SPOTS = st.tuples(CONTIGS, st.integers(0, 10**9), st.integers(1, 10**6))


@pytest.mark.parametrize(
    ("name", "chrom", "start", "end"),
    [
        ("chr1:1-2", "chr1", 1, 2),
        ("chr1-1-2", "chr1", 1, 2),
        ("chr1_1_2", "chr1", 1, 2),
        ("1:1-2", "chr1", 1, 2),
        ("X:10-20", "chrX", 10, 20),
        ("MT:10-20", "chrM", 10, 20),
        ("chrUn_KI270742v1:1-2", "chrUn_KI270742v1", 1, 2),
        ("chrUn_KI270742v1_1_2", "chrUn_KI270742v1", 1, 2),
        ("GL000194.1:1-100", "GL000194.1", 1, 100),
        ("GL000194.1-1-100", "GL000194.1", 1, 100),
    ],
)
def test_every_usual_spelling_is_read(name, chrom, start, end):
    peaks = parse_peaks([name])
    assert list(peaks.names) == [format_peak(chrom, start, end)]


@settings(deadline=None)
@given(st.lists(SPOTS, max_size=30), st.sampled_from([":-", "--", "__"]))
def test_parsing_undoes_formatting(spots, marks):
    names = [f"{chrom}{marks[0]}{start}{marks[1]}{start + width}" for chrom, start, width in spots]
    peaks = parse_peaks(names)
    assert list(peaks.names) == [format_peak(chrom, start, start + width) for chrom, start, width in spots]
    assert list(parse_peaks(peaks.names).names) == list(peaks.names)


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=20), SPOTS.map(lambda s: format_peak(s[0], s[1], s[1] + s[2]))), max_size=20)
)
def test_any_text_is_either_read_or_reported(names):
    peaks, good = parse_known(names)
    assert good.shape == (len(names),)
    assert len(peaks) == good.sum()
    for name, ok in zip(names, good, strict=True):
        assert len(parse_known([name])[0]) == int(ok)


def test_names_that_are_no_peaks_are_counted_and_one_is_shown():
    with pytest.raises(BadInput, match=r"1 of 3 names cannot be read as peaks, such as 'chr1:9-5'"):
        parse_peaks(["chr1:1-2", "chr1:9-5", "chr2:4-8"])


def test_genes_given_as_peaks_are_the_wrong_modality():
    with pytest.raises(WrongModality, match="3 of 3 names cannot be read as peaks, such as 'GAPDH'"):
        parse_peaks(["GAPDH", "HLA-DRB1", "RP11-34P13.7"])


def test_a_name_with_a_line_break_does_not_shift_the_others():
    _, good = parse_known(["chr1:1-2\nchr1:3-4", "GAPDH", "chr2:1-2"])
    assert list(good) == [False, False, True]


def test_peaks_are_told_from_genes_on_a_sample():
    assert looks_like_peaks([f"chr1:{i}-{i + 5}" for i in range(5_000)])
    assert not looks_like_peaks(["GAPDH", "NKX2-1", "AL627309.1", "HLA-A"])
    assert not looks_like_peaks([])


def test_two_spellings_of_a_chromosome_are_one():
    peaks = parse_peaks(["1:1-2", "chr1:1-2", "MT:5-9", "chrM:5-9"])
    assert peaks.chroms == ("chr1", "chrM")
    assert list(peaks.chrom) == [0, 0, 1, 1]


def test_an_empty_interval_is_refused_where_it_is_born():
    with pytest.raises(BadInput, match="empty or negative, such as chr1:5-5"):
        Peaks(("chr1",), np.array([0], np.int32), np.array([5]), np.array([5]))


def test_no_names_give_no_peaks():
    assert len(parse_peaks([])) == 0


def by_hand(a: Peaks, b: Peaks) -> np.ndarray:
    return np.array(
        [
            [
                float(a.chroms[ca] == b.chroms[cb] and sa < eb and sb < ea)
                for cb, sb, eb in zip(b.chrom, b.start, b.end, strict=True)
            ]
            for ca, sa, ea in zip(a.chrom, a.start, a.end, strict=True)
        ],
        dtype=np.float32,
    ).reshape(len(a), len(b))


SMALL = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chrX"]), st.integers(0, 60), st.integers(1, 40)).map(
        lambda s: format_peak(s[0], s[1], s[1] + s[2])
    ),
    max_size=25,
)


@settings(deadline=None)
@given(SMALL, SMALL)
def test_overlaps_equal_every_pair_compared(left, right):
    a, b = parse_peaks(left), parse_peaks(right)
    assert np.array_equal(overlaps(a, b).toarray(), by_hand(a, b))
    assert np.array_equal(overlaps(b, a).toarray(), overlaps(a, b).toarray().T)


def test_touching_intervals_do_not_overlap():
    a, b = parse_peaks(["chr1:10-20"]), parse_peaks(["chr1:20-30", "chr1:19-21", "chr2:10-20"])
    assert overlaps(a, b).toarray().tolist() == [[0.0, 1.0, 0.0]]


def test_huge_intervals_among_small_ones_are_met_in_blocks(monkeypatch):
    monkeypatch.setattr("engine.genome.intervals._BLOCK", 7)
    rng = np.random.default_rng(0)
    spots = [(int(s), int(s + w)) for s, w in zip(rng.integers(0, 400, 50), rng.integers(1, 300, 50), strict=True)]
    peaks = parse_peaks([format_peak("chr1", s, e) for s, e in spots])
    assert np.array_equal(overlaps(peaks, peaks).toarray(), by_hand(peaks, peaks))


def test_sets_as_large_as_real_ones_take_about_a_second():
    rng = np.random.default_rng(0)
    start = np.sort(rng.integers(0, 2 * 10**8, 200_000))
    peaks = Peaks(("chr1",), np.zeros(200_000, np.int32), start, start + 500)
    hits = overlaps(peaks, peaks)
    assert hits.diagonal().all()
    assert abs(hits - hits.T).nnz == 0
