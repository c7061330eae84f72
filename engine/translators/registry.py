"""Every model by its key: one line a model, imported when asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from engine.errors import BadSetting, UnknownModel
from engine.translators.base import Recipe, Translator

# key: (module, recipe, translator)
MODELS: Mapping[str, tuple[str, str, str]] = {
    "mean": ("engine.translators.baselines.null", "MeanRecipe", "MeanTranslator"),
    "depth": ("engine.translators.baselines.null", "DepthRecipe", "DepthTranslator"),
    "celltype-mean": (
        "engine.translators.baselines.celltype",
        "CelltypeMeanRecipe",
        "CelltypeMeanTranslator",
    ),
    "knn": ("engine.translators.baselines.knn", "KnnRecipe", "KnnTranslator"),
    "ridge": ("engine.translators.baselines.ridge", "RidgeRecipe", "RidgeTranslator"),
    "svd-mlp": ("engine.translators.baselines.svd_mlp", "SvdMlpRecipe", "SvdMlpTranslator"),
    "kernel-ridge": ("engine.translators.baselines.kernel_ridge", "KernelRidgeRecipe", "KernelRidgeTranslator"),
    "scbutterfly": ("engine.translators.scbutterfly.recipe", "ScButterflyRecipe", "ScButterflyTranslator"),
    "babel": ("engine.translators.babel.recipe", "BabelRecipe", "BabelTranslator"),
    "crossmp": ("engine.translators.crossmp.recipe", "CrossMPRecipe", "CrossMPTranslator"),
    "multivi": ("engine.translators.multivi.recipe", "MultiVIRecipe", "MultiVITranslator"),
    "scmvp": ("engine.translators.scmvp.recipe", "ScMVPRecipe", "ScMVPTranslator"),
    "crossview": ("engine.translators.crossview.recipe", "CrossViewRecipe", "CrossViewTranslator"),
}
HOLDS_CELLS = frozenset({"knn", "kernel-ridge"})  # bundles that carry training cells
# Models whose latent is made of both modalities where both are given; the others then take one of them.
JOINT = frozenset({"scbutterfly", "babel", "crossmp", "multivi", "scmvp"})
DEPTH_ALONE = frozenset({"mean", "depth"})  # keep nothing of a cell but its depths: there is no view of it
READS_EVERY_FEATURE = frozenset({"crossview"})  # they weigh features themselves: no filter but those that are asked for


def translator_class(key: str) -> type[Translator]:
    module, _, name = _line(key)
    found: type[Translator] = getattr(import_module(module), name)
    return found


def recipe_class(key: str) -> type[Recipe]:
    """The dataclass whose fields are the model's settings."""
    module, name, _ = _line(key)
    found: type[Recipe] = getattr(import_module(module), name)
    return found


def recipe(key: str, settings: Mapping[str, str] | None = None) -> Recipe:
    """The recipe with some settings changed; values are text, read by the type of the default."""
    module, name, _ = _line(key)
    kind = getattr(import_module(module), name)
    built: Recipe = kind(**_typed(kind, key, dict(settings or {})))
    return built


def _line(key: str) -> tuple[str, str, str]:
    if key not in MODELS:
        raise UnknownModel(f"There is no model called {key!r}.", hint=f"Known: {', '.join(sorted(MODELS))}.")
    return MODELS[key]


def _typed(kind: Any, key: str, settings: dict[str, str]) -> dict[str, Any]:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    out: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise BadSetting(f"{key} has no setting {name!r}.", hint=f"Its settings: {known}.")
        default: Any = fields[name].default
        try:
            out[name] = text.lower() in {"1", "true", "yes"} if isinstance(default, bool) else type(default)(text)
        except ValueError as problem:
            raise BadSetting(
                f"{name}={text!r} is not a {type(default).__name__}.", hint=f"The default is {default!r}."
            ) from problem
    return out
