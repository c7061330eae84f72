"""The models that can be trained, as a page offers them: title, source, and every setting with its default."""

from __future__ import annotations

import dataclasses
import re
from importlib.util import find_spec
from typing import Any

from engine.translators.registry import HOLDS_CELLS, MODELS, READS_EVERY_FEATURE, recipe_class
from jobs.views import RecipeView, SettingView

# key: (title, what it does in a sentence, the paper)
_WORDS = {
    "mean": ("Average cell", "Predicts the average training cell for every cell: what any model must beat.", ""),
    "depth": ("Average cell × depth", "The average training cell, scaled by the depth of the source cell.", ""),
    "celltype-mean": ("Average of the cell type", "Predicts the average of the most likely cell type.", ""),
    "knn": ("Nearest neighbours", "The average of the training cells most like the source cell.", ""),
    "ridge": ("Ridge regression", "A linear map between the two modalities' main components.", ""),
    "svd-mlp": ("Small network on components", "A small network between the two modalities' main components.", ""),
    "kernel-ridge": (
        "Kernel ridge regression",
        "A smooth map between the two modalities' main components.",
        "Fischer et al. 2022",
    ),
    "crossmp": (
        "CrossMP",
        "A variational autoencoder over genes, significant genes, peaks by chromosome and gene activity.",
        "Lyu et al. 2024",
    ),
    "babel": ("BABEL", "Two encoders and two decoders that meet in one latent space.", "Wu et al. 2021, PNAS 118"),
    "scbutterfly": (
        "scButterfly",
        "Autoencoders trained first, then translators between them.",
        "Cao et al. 2024, Nature Communications 15",
    ),
    "crossview": (
        "CrossView",
        "Our own: every feature through heavily thinned first layers, low-rank heads, predicted depth × composition.",
        "No paper yet: its notebook is in the source, engine/translators/crossview.",
    ),
    "scmvp": (
        "scMVP",
        "A joint view of both modalities under a mixture of Gaussians, with attention in both branches.",
        "Li et al. 2022, Genome Biology 23:20",
    ),
    "multivi": ("MultiVI", "The library's joint variational model.", "Ashuach et al. 2023, Nature Methods 20:1222"),
}
_EXTRAS = {"multivi": ("scvi", "peers")}  # module it needs, and the extra that brings it


def recipes() -> list[RecipeView]:
    """Simplest first."""
    return [_view(key) for key in MODELS]


def _view(key: str) -> RecipeView:
    title, what, source = _WORDS.get(key, (key, "", ""))
    module, extra = _EXTRAS.get(key, ("", ""))
    if module and find_spec(module) is None:
        missing = extra
        settings: tuple[SettingView, ...] = ()
    else:
        kind = recipe_class(key)
        missing, settings = "", _settings(kind)
        what = what or _first_sentence(kind)
    return RecipeView(
        key=key,
        title=title,
        what=what,
        source=source,
        settings=settings,
        missing=missing,
        holds_cells=key in HOLDS_CELLS,
        reads_every_feature=key in READS_EVERY_FEATURE,
    )


def _settings(kind: Any) -> tuple[SettingView, ...]:
    said = _said(kind.__doc__ or "")
    return tuple(
        SettingView(
            name=field.name,
            kind=type(field.default).__name__,
            default=str(field.default),
            what=said.get(field.name, ""),
        )
        for field in dataclasses.fields(kind)
        if isinstance(field.default, bool | int | float | str)
    )


def _said(doc: str) -> dict[str, str]:
    """What a docstring says of each field: `name: words.` or `one, other: words.`"""
    text = " ".join(doc.split())
    parts = re.split(r"(?:(?<=[.;] )|^)((?:[a-z_]+, )*[a-z_]+): ", text)
    found: dict[str, str] = {}
    for names, words in zip(parts[1::2], parts[2::2], strict=True):
        for name in names.split(", "):
            found[name] = words.strip().rstrip(";.") + "."
    return found


def _first_sentence(kind: Any) -> str:
    return " ".join((kind.__doc__ or "").split()).partition(". ")[0].rstrip(".") + "."
