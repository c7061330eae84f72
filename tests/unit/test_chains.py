"""Lifting peaks over: both strands, gaps, split and resized peaks; equal to pyliftover place by place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyliftover import LiftOver

from engine.errors import BadSetting
from engine.genome.chains import Chain
from engine.genome.peaks import parse_peaks
from engine.intake.limits import Limits
from tests.chains import TEXT, write_chain


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain.read(write_chain(tmp_path / "hg19ToHg38.over.chain.gz"), limits=Limits())


@pytest.mark.parametrize(
    ("peak", "arrives"),
    [
        ("chr1:1000-1500", "chr1:11000-11500"),
        ("1:1000-1500", "chr1:11000-11500"),
        ("chr1:3100-3200", "chr1:13040-13140"),  # after the gap: 100 bases fewer here, 40 more there
        ("chr1:6000-6200", "chr2:39800-40000"),  # turned: counted from the far end
        ("chr1:9000-9400", "chr3:100-500"),  # two chains: the better
        ("chr1:2500-4500", "chr1:12500-14440"),  # over the gap, 3 % shorter
    ],
)
def test_a_peak_arrives_where_the_chain_says(chain: Chain, peak: str, arrives: str) -> None:
    lifted = chain.lift(parse_peaks([peak]))
    assert list(lifted.peaks.names) == [arrives]


@pytest.mark.parametrize(
    ("peak", "why"),
    [
        ("chr1:100-300", "unmapped"),
        ("chr1:3050-3200", "unmapped"),  # begins within the gap
        ("chr2:1000-1200", "unmapped"),
        ("chr1:4900-6100", "split"),
        ("chr1:2900-3150", "resized"),
    ],
)
def test_a_peak_that_does_not_arrive_whole_is_left_out_and_counted(chain: Chain, peak: str, why: str) -> None:
    lifted = chain.lift(parse_peaks([peak, "chr1:1000-1500"]))
    assert list(lifted.kept) == [1]
    assert lifted.dropped == {**dict.fromkeys(("unmapped", "split", "resized"), 0), why: 1}


def test_every_place_equals_pyliftover(tmp_path: Path, chain: Chain) -> None:
    reference = LiftOver(str(write_chain(tmp_path / "plain.chain")))
    at = np.arange(900, 12_500, 7, dtype=np.int64)
    block, place = chain.points(np.zeros(len(at), dtype=np.int32), ("chr1",), at)
    for i, position in enumerate(at.tolist()):
        wanted = reference.convert_coordinate("chr1", position)
        if not wanted:
            assert block[i] == -1
            continue
        name, where, strand, _ = wanted[0]
        b = int(block[i])
        assert (chain.chroms[chain.chrom[b]], int(place[i]), bool(chain.forward[b])) == (name, where, strand == "+")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("2000 100 40", "2000 100", 2),
        ("2000 100 40", "0 100 40", 2),
        ("chain 9000 chr1 20000 +", "chain 9000 chr1 20000 -", 1),
        ("1900\n", "x\n", 3),
        ("chain 9000", "cha 9000", 1),
    ],
)
def test_a_broken_chain_file_is_named_by_its_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in TEXT
    path = write_chain(tmp_path / "a.chain", TEXT.replace(old, new, 1))
    with pytest.raises(BadSetting, match=f"Line {line} of a.chain"):
        Chain.read(path, limits=Limits())


def test_a_file_without_chains_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="holds no chains"):
        Chain.read(write_chain(tmp_path / "a.chain", "# nothing\n"), limits=Limits())
