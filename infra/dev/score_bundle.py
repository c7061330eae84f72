"""Give a bundle made before it its predictability.npz: score_bundle.py BUNDLE RNA.h5ad ATAC.h5ad

The cells that judged it are scored again; nothing is written unless the scores of its report.json are found again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engine.bundle import load_bundle
from engine.evaluate import evaluate
from engine.intake.canonical import CanonicalCells
from engine.predictability import FILE, Predictability, write_predictability
from engine.preprocess.align import align
from engine.translate import encode_cells
from engine.types import Cells, Modality
from jobs.commands.offline import taken

TOLERANCE = 1e-4  # of a score


def main(folder: Path, rna: str, atac: str) -> None:
    bundle = load_bundle(folder)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    names = json.loads((folder / "split.json").read_text(encoding="utf-8"))[report["part"]]
    cells = {Modality.RNA: held_out(rna, Modality.RNA, names), Modality.ATAC: held_out(atac, Modality.ATAC, names)}
    tables = {}
    for direction in sorted(bundle.manifest.directions_):
        source = cells[direction.source]
        encoded = encode_cells(bundle, source, align(source.space.names, bundle.space(direction.source)))
        found = evaluate(bundle=bundle, direction=direction, predicted=encoded, truth=cells[direction.target])
        compare(found.report.as_dict(), report["directions"][direction.value])
        tables[direction] = Predictability.of(found)
    write_predictability(folder, tables, bundle=bundle.digest)
    rows = ", ".join(f"{direction.value} {len(table):,}" for direction, table in tables.items())
    print(f"{folder / FILE}: {rows} rows, {(folder / FILE).stat().st_size / 1e3:,.0f} kB")


def held_out(path: str, modality: Modality, names: list[str]) -> Cells:
    with taken(path, modality=modality) as clean, CanonicalCells.open(clean.path) as opened:
        return opened.all().named(names)


def compare(found: dict[str, Any], told: dict[str, Any]) -> None:
    for name, score in told["scores"].items():
        again = found["scores"][name]["value"]
        if abs(again - score["value"]) > TOLERANCE:
            raise SystemExit(f"{name} is {again:.5f}, and {score['value']:.5f} in report.json: these are other cells.")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
