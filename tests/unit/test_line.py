"""Places crossing to another build: equal to pyliftover one by one, on both strands and where chains overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyliftover import LiftOver

from engine.genome.chains import Chain
from engine.genome.line import Crossing, Line
from engine.genome.peaks import parse_peaks
from engine.intake.limits import Limits
from tests.chains import write_chain


def test_places_arrive_where_pyliftover_puts_them(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "hg19ToHg38.over.chain")
    # chr4, where only the worse chain leads, has no peak; chr9 has one, and no chain.
    line = Line(parse_peaks(["chr1:11000-12000", "chr2:1-2", "chr3:1-2", "chr9:1-2"]))
    crossing = Crossing(Chain.read(path, limits=Limits()), line)
    places = np.arange(0, 13_000, 7)
    there, arrived = crossing.across(crossing.base["chr1"] + places)
    plain = LiftOver(str(path))
    for place, new, came in zip(places, there, arrived, strict=True):
        found = sorted(plain.convert_coordinate("chr1", int(place)), key=lambda hit: -hit[3])
        assert came == bool(found), place
        if found:
            chrom, at, *_ = found[0]
            assert new == line.base[chrom] + at, place
    assert 0 < arrived.sum() < len(places)


def test_places_of_no_chromosome_stay_nowhere(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "hg19ToHg38.over.chain")
    crossing = Crossing(Chain.read(path, limits=Limits()), Line(parse_peaks(["chr1:11000-12000"])))
    there, arrived = crossing.across(np.array([-1, crossing.base["chr1"] + 7_000]))
    assert there.tolist() == [-1, -1]  # the second arrives on chr2, which has no peak
    assert arrived.tolist() == [False, True]
