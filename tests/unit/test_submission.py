"""What `crossview jobs submit` asks for, as the client gets it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobs.client import Client
from jobs.commands import submission
from jobs.spec import TranslateSpec


@pytest.mark.parametrize("seed", [0, 7])
def test_a_translation_is_asked_for_with_everything_that_was_said(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    brought: list[str] = []

    def bring_in(_: Any, source: str, **__: Any) -> SimpleNamespace:
        brought.append(source)
        return SimpleNamespace(id=f"ds-{len(brought)}")

    monkeypatch.setattr(submission, "bring_in", bring_in)
    asked: list[tuple[TranslateSpec, str, dict[str, Any]]] = []
    client = cast(Client, SimpleNamespace(submit=lambda spec, *, title, **how: asked.append((spec, title, how))))
    submission.submit_files(
        client, model="tiny", rna="r.h5ad", atac="a.h5ad", directions=["rna-to-atac"], export=True, seed=seed,
        title="Mine", how={"fresh": True},
    )  # fmt: skip
    ((spec, title, how),) = asked
    assert (spec.seed, spec.export, [d.value for d in spec.directions]) == (seed, True, ["rna-to-atac"])
    assert (spec.rna, spec.atac, brought) == ("ds-1", "ds-2", ["r.h5ad", "a.h5ad"])
    assert (title, how) == ("Mine", {"fresh": True})
