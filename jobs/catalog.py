"""The models on offer: those that come with CrossView and those a lab added."""

from __future__ import annotations

import os
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from engine.bundle import read_manifest, verify_bundle
from engine.errors import BadBundle, BadSetting, UnknownModel
from jobs.settings import REPOSITORY, Settings

CATALOG = "catalog.toml"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model. tissue, recommended_for, not_for: sentences for people."""

    id: str
    title: str
    folder: Path
    tissue: str = ""
    recommended_for: str = ""
    not_for: str = ""
    licence: str = ""
    words: Path | None = None  # folder of card and report, where that is not the bundle's
    job: str = ""  # that trained it here
    datasets: tuple[str, ...] = ()
    owner: str = ""  # of a model trained here; those of the catalog are everybody's


def load_catalog(pretrained: Path | None = None, added: Path | None = None) -> dict[str, CatalogEntry]:
    """Models by id, bundled ones first. Raises BadBundle when a line of the catalog leads nowhere.

    pretrained: folder of the bundled models (default: CROSSVIEW_PRETRAINED). added: of the lab's own.
    """
    pretrained = pretrained or Path(os.environ.get("CROSSVIEW_PRETRAINED") or REPOSITORY / "pretrained")
    added = added or Settings.from_env().home / "models"
    entries = {entry.id: entry for entry in _bundled(pretrained)}
    for folder in sorted(added.glob("*/bundle.json")) if added.is_dir() else []:
        manifest = read_manifest(folder.parent)
        entries.setdefault(
            folder.parent.name,
            CatalogEntry(
                folder.parent.name,
                manifest.id.replace("-", " ").capitalize(),
                folder.parent,
                tissue="your own cells",
                licence=manifest.licence,
            ),
        )
    return entries


def _bundled(pretrained: Path) -> list[CatalogEntry]:
    path = pretrained / CATALOG
    if not path.is_file():
        return []
    with path.open("rb") as file:
        lines = tomllib.load(file).get("bundle", [])
    entries = [CatalogEntry(**{**line, "folder": pretrained / line.get("folder", line["id"])}) for line in lines]
    for entry in entries:
        if not entry.folder.is_dir():
            raise BadBundle(f"The catalog names {entry.id}, but its folder is missing.", hint=f"Mend {path.name}.")
    return entries


def resolve(model: str) -> Path:
    """The folder of a model given by id or by path. Raises UnknownModel listing what there is."""
    as_path = Path(model).expanduser()
    if (as_path / "bundle.json").is_file():
        return as_path
    catalog = load_catalog()
    if model in catalog:
        return catalog[model].folder
    if as_path.exists():
        raise BadBundle(f"{model} is no model: it has no bundle.json.", hint="`crossview train` makes one.")
    known = ", ".join(catalog) or "none"
    raise UnknownModel(f"There is no model {model!r}, by id or by path.", hint=f"By id there are: {known}.")


def add(folder: Path, *, id: str | None = None) -> CatalogEntry:
    """Copy a bundle beside the bundled ones, once it verifies. Raises BadBundle, BadSetting."""
    manifest = read_manifest(folder)
    verify_bundle(folder)
    id = id or manifest.id
    if not id.replace("-", "").replace("_", "").isalnum():
        raise BadSetting(f"{id!r} cannot be a model's id.", hint="Use letters, digits and hyphens: `--id my-model`.")
    if id in load_catalog():
        raise BadSetting(f"There is a model called {id} already.", hint="Give another: `--id my-model`.")
    into = Settings.from_env().home / "models" / id
    partial = into.with_name(f".{id}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder, partial)
    partial.rename(into)
    return load_catalog()[id]
