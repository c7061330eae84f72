"""What a joint view leaves behind, by job or by command: joint.h5ad, the table of cells, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.types import Direction, Modality, Names

if TYPE_CHECKING:
    from engine.bundle import Bundle
    from engine.joint.encode import Embedded
    from engine.joint.structure import Structure
    from engine.pairs import Matching
    from engine.translators.base import Doubt

SCHEMA = 1
CLUSTERS = {"cluster": "leiden", "cluster_kmeans": "kmeans"}  # column → method
LATENT = "X_crossview"
NAMES = {"joint": "X_umap", "rna": "X_umap_rna", "atac": "X_umap_atac"}
ALONE = {"rna": "X_rna_svd", "atac": "X_atac_lsi"}


@dataclass(frozen=True, eq=False)
class View:
    """Everything known of the cells. maps: coordinates by view, shape (n, 2), or none.

    scores: by modality, "rows" (cells that were scored) and a column of their own scores.
    """

    embedded: Embedded
    structure: Structure
    labels: Mapping[str, Names]
    maps: Mapping[str, NDArray[Any]]
    scores: Mapping[Modality, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    doubt: Doubt | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Iterable[Any]]:
        """The table of cells: names, clusters, labels, depths, own scores, doubt and maps."""
        out: dict[str, Iterable[Any]] = {"barcode": self.embedded.barcodes, **self.texts(), **self.numbers()}
        for name, xy_n2 in self.maps.items():
            out[f"{name}_umap_1"], out[f"{name}_umap_2"] = xy_n2[:, 0], xy_n2[:, 1]
        return out

    def texts(self) -> dict[str, Names]:
        """Clusters, then the labels that came with the cells; one of a cluster's name is told apart."""
        own = {column: self.structure.names(method) for column, method in CLUSTERS.items()}
        taken = {*own, *self.numbers(), "barcode"}
        return {**own, **{f"{n} (given)" if n in taken else n: column for n, column in self.labels.items()}}

    def numbers(self) -> dict[str, NDArray[Any]]:
        from engine.doubt import doubt_columns

        out: dict[str, NDArray[Any]] = {f"{m.value}_depth": self.embedded.depth[m] for m in Modality}
        for modality, scores in self.scores.items():
            for name, values in scores.items():
                if name != "rows":
                    column = np.full(len(self.embedded), np.nan)
                    column[scores["rows"]] = values
                    out[f"{modality.value}_imputed_{name}"] = column
        return {**out, **doubt_columns(self.doubt)}


def write_joint(path: Path, view: View) -> None:
    """An AnnData of cells without features: obsm["X_crossview"] is the joint embedding, shape (n, k).

    What a modality is decoded from where that is not the joint latent stands beside it as X_crossview_for_RNA or _ATAC.
    """
    import anndata as ad
    import pandas as pd

    columns: dict[str, Any] = {name: pd.Categorical([str(v) for v in texts]) for name, texts in view.texts().items()}
    columns |= {name: np.asarray(v, dtype=v.dtype if v.dtype.kind == "b" else np.float32)
                for name, v in view.numbers().items()}  # fmt: skip
    obs = pd.DataFrame(columns, index=pd.Index([str(name) for name in view.embedded.barcodes], dtype=object))
    whole = view.embedded.whole
    said = {**view.provenance, "latent_source": ",".join(sorted(m.value for m in whole.joint.source))}
    adata = ad.AnnData(obs=obs, uns={"crossview": said})
    adata.obsm[LATENT] = np.asarray(whole.joint.values, dtype=np.float32)
    for modality, latent in whole.apart.items():
        adata.obsm[apart_name(modality)] = np.asarray(latent.values, dtype=np.float32)
    for name, key in ALONE.items():
        adata.obsm[key] = np.asarray(view.structure.views[name], dtype=np.float32)
    for name, xy_n2 in view.maps.items():
        adata.obsm[NAMES[name]] = np.asarray(xy_n2, dtype=np.float32)
    adata.write_h5ad(path)


def apart_name(modality: Modality) -> str:
    return f"{LATENT}_for_{modality.value.upper()}"


def write_imputed(path: Path, bundle: Bundle, view: View, modality: Modality) -> None:
    """All imputed values of one modality as a dense matrix, written by rows."""
    from jobs.export import write_dense

    said = {**view.provenance, "modality": modality.value, "scale": bundle.translator.scale(modality).value}
    write_dense(
        path, bundle, view.embedded.encoded(modality), Direction.to(modality), labels=view.texts(), provenance=said
    )


def document(
    view: View,
    *,
    bundle: Bundle,
    matching: Matching,
    coverage: Mapping[str, Any],
    grouped: Mapping[str, Any],
    judged: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """report.json but for what was asked. grouped: `structure.agreement`; judged: imputation, by modality."""
    from engine.evaluate import versions

    latent = view.embedded.whole
    return {
        "schema": SCHEMA,
        "kind": "joint",
        "model": view.provenance.get("model", ""),
        "bundle": bundle.digest,
        "code_version": view.provenance.get("code_version", ""),
        "cells": len(view.embedded),
        "embedding": {
            "dimensions": int(view.structure.views["joint"].shape[1]),
            "source": sorted(m.value for m in latent.joint.source),
            "decoded_apart": {m.value: sorted(s.value for s in z.source) for m, z in latent.apart.items()},
        },
        "scales": {m.value: bundle.translator.scale(m).value for m in Modality},
        "coverage": dict(coverage),
        "structure": dict(grouped),
        "imputation": {name: dict(report) for name, report in judged.items()},
        "versions": versions(),
        "notes": [*_notes(view, bundle, matching), *notes],
    }


def _notes(view: View, bundle: Bundle, matching: Matching) -> list[str]:
    from engine.evaluate import trained_on

    notes = [matching.note] if matching.told else []
    source = view.embedded.whole.joint.source
    if len(source) < 2:
        notes.append(_one_modality(bundle.manifest.id, view))
    if trained := trained_on(bundle, view.embedded.barcodes):
        notes.append(
            f"{trained:,} of the {len(view.embedded):,} cells trained this model: what it imputes of them flatters it. "
            "The embedding of one's own training cells is the usual way of a joint view."
        )
    return notes


def _one_modality(model: str, view: View) -> str:
    """What a view is worth whose model takes one modality at a time."""
    whole = view.embedded.whole
    sources = {m: next(iter(whole.of(m).source)) for m in Modality}
    (only,) = whole.joint.source
    said = " and ".join(f"its {m.value.upper()} is predicted from {s.value.upper()} alone" for m, s in sources.items())
    return f"{model} takes one modality at a time: its view is made of {only.value.upper()} alone, {said}."


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of jobs shows of a finished one."""
    views = found["structure"].get("views", {})
    joint = views.get("joint", {})
    return {
        "cells": found["cells"],
        "clusters": {method: entry.get("clusters") for method, entry in joint.items()},
        "ari": {
            view: {method: (entry.get("ari") or {}).get("value") for method, entry in methods.items()}
            for view, methods in views.items()
        },
        "source": found["embedding"]["source"],
    }
