"""Wishes of an import mean the same in this process and over HTTP."""

from __future__ import annotations

import pytest

from engine.types import Modality
from jobs.client import Client
from jobs.mending import MendOptions
from tests.labs import MODEL, until


def test_wishes_arrive_and_are_recorded(client: Client) -> None:
    begun = client.import_dataset(f"example:{MODEL}/atac", modality=Modality.ATAC, mends=MendOptions(layer="X"))
    view = until(lambda: client.dataset(begun.id), lambda seen: seen.state != "importing")
    assert (view.state, view.summary["mends"]) == ("ready", [{"what": "layer", "layer": "X"}])


def test_wishes_that_are_none_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="gene_ids"):
        MendOptions(gene_ids="entrez")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="genome"):
        MendOptions.model_validate({"genome": "hg38"})
