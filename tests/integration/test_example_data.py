"""The bundled example is what its PROVENANCE says, and equals the published counts where those are at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "pretrained" / "human-cell-lines-snareseq"
SHARED = Path(os.environ.get("CROSSVIEW_SHARED", ROOT.parent / "shared"))
KINDS = (("rna", 18_666), ("atac", 136_771))


def read(path: Path):
    ad = pytest.importorskip("anndata")
    return ad.read_h5ad(path)


@pytest.fixture(scope="module")
def test_cells() -> list[str]:
    return json.loads((BUNDLE / "split.json").read_text())["test"]


@pytest.mark.parametrize(("kind", "features"), KINDS)
def test_the_example_holds_the_test_cells_of_the_split_and_every_feature(kind, features, test_cells):
    adata = read(BUNDLE / "example" / f"{kind}.h5ad")
    assert list(adata.obs_names) == test_cells
    assert adata.shape == (148, features)
    assert adata.var_names.is_unique
    assert set(adata.obs["cell_type"]) == {"BJ", "H1", "K562", "GM12878"}


@pytest.mark.parametrize("kind", ["rna", "atac"])
def test_the_example_holds_raw_counts(kind):
    counts = read(BUNDLE / "example" / f"{kind}.h5ad").X
    assert counts.dtype == np.float32
    assert counts.has_sorted_indices
    assert (counts.data > 0).all()
    assert np.array_equal(counts.data, np.rint(counts.data))


def test_the_example_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in (BUNDLE / "example").glob("*.h5ad")) < 4 << 20


@pytest.mark.parametrize("kind", ["rna", "atac"])
def test_the_example_equals_the_published_counts(kind):
    whole = SHARED / "data" / "snareseq_cellline_mix" / f"{kind}.h5ad"
    if not whole.exists():
        pytest.skip(f"{whole.name} of snareseq_cellline_mix is not on this machine (CROSSVIEW_SHARED)")
    ours, theirs = read(BUNDLE / "example" / f"{kind}.h5ad"), read(whole)
    theirs = theirs[ours.obs_names].copy()
    assert list(ours.var_names) == list(theirs.var_names)
    assert list(ours.obs["cell_type"].astype(str)) == list(theirs.obs["cell_type"].astype(str))
    assert abs(ours.X - theirs.X).nnz == 0


def test_another_package_than_the_pinned_one_is_refused(tmp_path):
    wheel = tmp_path / "scPECA-2.0-py3-none-any.whl"
    wheel.write_bytes(b"not the package")
    script = ROOT / "infra" / "dev" / "build_example.py"
    done = subprocess.run(
        [sys.executable, str(script), "--wheel", str(wheel), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "sha256" in done.stderr
    assert not (tmp_path / "out").exists()
