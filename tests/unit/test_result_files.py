"""Every .h5ad a result holds opens in anndata 0.8 and in R: asserted on what lies on disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from engine.translators.base import Doubt
from engine.types import Direction
from jobs.cli import main
from jobs.driver import run_attempt
from jobs.export import write_latent
from jobs.runners.local import SerialExecutor
from jobs.work import attempt_of, encoded_of
from tests.h5files import unlike_cellxgene, wrong
from tests.running import Ordered, order


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Mapping[str, Path]:
    """One of each kind that translating makes: by a job, with maps, and by the command.

    Those of joint views and analyses are looked at where they are made, in their own tests.
    """
    folder = tmp_path_factory.mktemp("files")
    of = order(folder / "of", tiny_model, export=True, umap=False, directions=(Direction.RNA_TO_ATAC,))
    assert run_attempt(of.store, of.job, 1, SerialExecutor(of.uri)) == 0, of.events()[-1]
    found = {}
    for name in ("latent", "prediction"):
        found[name] = folder / f"{name}.h5ad"
        found[name].write_bytes(of.output(f"rna-to-atac/{name}.h5ad"))
    found["with maps"] = _with_maps(of, folder / "maps.h5ad")
    base = ["translate", "--model", str(tiny_model), "--input", str(folder / "of" / "rna.h5ad")]
    with h5py.File(found["prediction"]) as file:
        names = ",".join(file["var/_index"].asstr()[:3])
    for name, options in {"command": [], "chosen": ["--features", names], "alone": ["--latent"]}.items():
        found[name] = folder / f"{name}.h5ad"
        assert main([*base, "--direction", "rna-to-atac", "--out", str(found[name]), *options]) == 0
    return found


def _with_maps(of: Ordered, path: Path) -> Path:
    encoded = encoded_of(attempt_of(of.uri, of.job, 1), Direction.RNA_TO_ATAC)
    n = len(encoded)
    truth = np.full((n, 2), np.nan, dtype=np.float32)
    truth[: n // 2] = 1.0  # some cells were not measured both ways
    labels = {"cell type: é": np.array(["B", ""] * (n // 2), dtype=object)}
    doubt = Doubt(np.zeros(n, dtype=np.float32), np.full(n, np.nan, dtype=np.float32))
    maps = {"prediction": np.zeros((n, 2), dtype=np.float32), "truth": truth}
    write_latent(path, encoded, labels=labels, maps=maps, provenance={"seed": 0, "model": ""}, doubt=doubt)
    return path


def test_only_encodings_that_old_readers_and_r_know_are_written(files: Mapping[str, Path]) -> None:
    assert {name: wrong(path) for name, path in files.items()} == {key: [] for key in files}


def test_they_pass_what_cellxgene_asks_of_any_file(files: Mapping[str, Path]) -> None:
    found = {name: unlike_cellxgene(path) for name, path in files.items()}
    assert found == {key: [] for key in files}


def nullable(file: h5py.File) -> None:
    file["obs/source_depth"].attrs["encoding-type"] = "nullable-string-array"


def none(file: h5py.File) -> None:
    file["uns"].create_dataset("nothing", data=h5py.Empty("f"))


def half(file: h5py.File) -> None:
    x = file["X"][()].astype(np.float16)
    del file["X"]
    file["X"] = x
    file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def link(file: h5py.File) -> None:
    file["uns/away"] = h5py.ExternalLink("other.h5ad", "/X")


def stray(file: h5py.File) -> None:
    file["obs/more"] = np.zeros(3)


@pytest.mark.parametrize("harm", [nullable, none, half, link, stray])
def test_a_file_that_breaks_the_rule_is_seen(files: Mapping[str, Path], tmp_path: Path, harm: Any) -> None:
    path = tmp_path / "harmed.h5ad"
    shutil.copyfile(files["prediction"], path)
    with h5py.File(path, "a") as file:
        harm(file)
    assert wrong(path)
