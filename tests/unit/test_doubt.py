"""What a model says of its own limits, from the translator to every file a person gets; and models that say nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.bundle import Bundle, load_bundle, make_manifest, save_bundle
from engine.doubt import EXPECTED, NOVELTY, OUT_OF_DOMAIN, doubt_columns, doubt_of, outside_note
from engine.metrics.abstention import abstention
from engine.nulls import Nulls
from engine.translate import Encoded
from engine.translators import registry
from engine.translators.base import OUTSIDE, Doubt, Doubting, Hooks
from engine.types import Direction, Latent, Modality
from jobs.cli import main
from jobs.driver import run_attempt
from jobs.export import doubt_in
from jobs.runners.local import SerialExecutor
from tests import doubting
from tests.builders import split_of, write_h5ad
from tests.running import BOTH, Ordered, built_cells, order

COLUMNS = {NOVELTY, EXPECTED, OUT_OF_DOMAIN}


@pytest.fixture(scope="module")
def doubting_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle whose translator knows its limits, for as long as the registry knows the translator."""
    pair = built_cells()
    split = split_of(pair)
    train = pair.named(split.train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.MODELS, doubting.KEY, doubting.LINE)  # type: ignore[arg-type]
        translator = registry.recipe(doubting.KEY, {"components": "8"}).fit(pair, split, Hooks(seed=0))
        manifest = make_manifest(
            translator, id="tiny", train=train, split=split, seed=0, code_version="test", settings={}, filters={}
        )
        folder = tmp_path_factory.mktemp("doubting") / "tiny"
        save_bundle(folder, translator, Nulls.fit(train), manifest)
        yield folder


@pytest.fixture(scope="module")
def finished(doubting_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Ordered:
    ordered = order(tmp_path_factory.mktemp("finished"), doubting_model, umap=False, export=True, cells=slice(100, 160))
    assert run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri)) == 0, ordered.events()[-1]
    return ordered


def read(ordered: Ordered, name: str) -> Any:
    return json.loads(ordered.output(name))


def obs_of(ordered: Ordered, name: str) -> Any:
    import anndata as ad

    return ad.read_h5ad(io.BytesIO(ordered.output(name))).obs


def test_the_test_model_knows_its_limits_and_others_do_not(doubting_model: Path, tiny_model: Path) -> None:
    assert isinstance(load_bundle(doubting_model).translator, Doubting)
    assert not isinstance(load_bundle(tiny_model).translator, Doubting)


@pytest.mark.parametrize("direction", BOTH)
def test_every_cell_is_judged_as_the_translator_judges_its_latent(
    finished: Ordered, doubting_model: Path, direction: Direction
) -> None:
    import anndata as ad

    cells = read(finished, f"{direction.value}/cells.json")
    file = ad.read_h5ad(io.BytesIO(finished.output(f"{direction.value}/latent.h5ad")))
    latent = Latent(np.asarray(file.obsm["X_crossview"]), frozenset({direction.source}))
    wanted = load_bundle(doubting_model).translator.doubt(latent)  # type: ignore[attr-defined]
    np.testing.assert_allclose(cells[NOVELTY], wanted.novelty_n, rtol=1e-5)
    np.testing.assert_allclose(cells[EXPECTED], wanted.expected_n, rtol=1e-5)
    assert cells[OUT_OF_DOMAIN] == wanted.outside_n.tolist()
    assert {type(flag) for flag in cells[OUT_OF_DOMAIN]} == {bool}
    assert len(cells[NOVELTY]) == 60


@pytest.mark.parametrize("name", ["latent", "prediction"])
def test_the_files_carry_the_same_columns(finished: Ordered, name: str) -> None:
    for direction in BOTH:
        cells, obs = read(finished, f"{direction.value}/cells.json"), obs_of(finished, f"{direction.value}/{name}.h5ad")
        np.testing.assert_allclose(obs[NOVELTY], cells[NOVELTY], rtol=1e-5)
        np.testing.assert_allclose(obs[EXPECTED], cells[EXPECTED], rtol=1e-5)
        assert obs[OUT_OF_DOMAIN].tolist() == cells[OUT_OF_DOMAIN]
        assert obs[OUT_OF_DOMAIN].dtype == bool


def test_the_report_and_the_list_tell_how_many_are_outside(finished: Ordered) -> None:
    ending = finished.events()[-1]["summary"]
    total = 0
    for direction in BOTH:
        cells, report = read(finished, f"{direction.value}/cells.json"), read(finished, "report.json")
        said = report["directions"][direction.value]
        outside = sum(cells[OUT_OF_DOMAIN])
        assert (said["doubt"]["outside"], said["doubt"]["cells"]) == (outside, 60)
        assert said["doubt"]["above"] == OUTSIDE
        assert said["doubt"]["expected"] == pytest.approx(np.mean(cells[EXPECTED]), rel=1e-5)
        assert any("unlike the training cells" in note for note in said["notes"]) == (outside > 0)
        assert ending[direction.value]["outside"] == outside
        total += outside
    assert total > 0, "the built cells should hold some that are unlike the training cells"


def test_the_report_says_what_leaving_out_would_bring(finished: Ordered) -> None:
    for direction, score in ((Direction.RNA_TO_ATAC, "auroc"), (Direction.ATAC_TO_RNA, "pearson")):
        cells = read(finished, f"{direction.value}/cells.json")
        values = np.array(cells[score], dtype=float)
        found = read(finished, "report.json")["directions"][direction.value]["doubt"]["abstention"]
        assert found["area"] == pytest.approx(abstention(values, cells[EXPECTED]).area, rel=1e-4)
        assert found["area_by_depth"] == pytest.approx(abstention(values, cells["source_depth"]).area, rel=1e-4)
        assert found["area_at_random"] == pytest.approx(np.nanmean(values), rel=1e-4)


def test_without_truth_the_report_still_tells(doubting_model: Path, tmp_path: Path) -> None:
    ordered = order(
        tmp_path, doubting_model, directions=(Direction.RNA_TO_ATAC,), given=(Modality.RNA,), umap=False,
        cells=slice(100, 160),
    )  # fmt: skip
    assert run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri)) == 0
    said = read(ordered, "report.json")["directions"]["rna-to-atac"]["doubt"]
    assert said["outside"] == sum(read(ordered, "rna-to-atac/cells.json")[OUT_OF_DOMAIN])
    assert "abstention" not in said


def test_a_model_that_does_not_know_its_limits_says_nothing(tiny_model: Path, tmp_path: Path) -> None:
    ordered = order(tmp_path, tiny_model, directions=(Direction.RNA_TO_ATAC,), umap=False)
    assert run_attempt(ordered.store, ordered.job, 1, SerialExecutor(ordered.uri)) == 0
    assert not COLUMNS & set(read(ordered, "rna-to-atac/cells.json"))
    assert not COLUMNS & set(obs_of(ordered, "rna-to-atac/latent.h5ad"))
    assert read(ordered, "report.json")["directions"]["rna-to-atac"]["doubt"] == {}
    assert "outside" not in ordered.events()[-1]["summary"]["rna-to-atac"]


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Modality, Path]:
    folder, last = tmp_path_factory.mktemp("files"), built_cells().barcodes[100:]
    return {m: write_h5ad(built_cells().of(m).named(last), folder / f"{m.value}.h5ad") for m in Modality}


@pytest.mark.parametrize("latent", [False, True])
def test_translate_writes_the_columns_and_says_how_many(
    doubting_model: Path, files: dict[Modality, Path], latent: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import anndata as ad

    out = tmp_path / "out.h5ad"
    command = ["translate", "--model", str(doubting_model), "--input", str(files[Modality.ATAC]), "--json"]
    command += [
        "--direction",
        "atac-to-rna",
        "--out",
        str(out),
        "--chunk-cells",
        "7",
        *(["--latent"] if latent else []),
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    obs = ad.read_h5ad(out).obs
    assert set(obs.columns) >= COLUMNS
    assert json.loads(said.out)["outside"] == obs[OUT_OF_DOMAIN].sum() > 0
    assert f"{obs[OUT_OF_DOMAIN].sum()} of 60 cells" in said.err


def test_evaluate_reads_them_back_and_gives_what_a_job_gives(
    doubting_model: Path,
    files: dict[Modality, Path],
    finished: Ordered,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, model = tmp_path / "out.h5ad", ["--model", str(doubting_model)]
    given = ["--input", str(files[Modality.ATAC]), "--direction", "atac-to-rna", "--out", str(out)]
    assert main(["translate", *model, *given]) == 0
    capsys.readouterr()
    judge = ["evaluate", *model, "--prediction", str(out), "--truth", str(files[Modality.RNA])]
    assert main([*judge, "--json"]) == 0
    mine = json.loads(capsys.readouterr().out)["directions"]["atac-to-rna"]["doubt"]
    jobs = read(finished, "report.json")["directions"]["atac-to-rna"]["doubt"]
    assert mine["abstention"] == pytest.approx(jobs["abstention"], rel=1e-4)
    assert (mine["outside"], mine["cells"]) == (jobs["outside"], jobs["cells"])
    assert main(judge) == 0
    assert "unlike the training cells" in capsys.readouterr().out


def test_a_file_of_a_model_without_limits_is_evaluated_as_before(
    tiny_model: Path, files: dict[Modality, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "out.h5ad", ["--model", str(tiny_model)]
    given = ["--input", str(files[Modality.ATAC]), "--direction", "atac-to-rna", "--out", str(out), "--json"]
    assert main(["translate", *model, *given]) == 0
    assert json.loads(capsys.readouterr().out)["outside"] is None
    assert doubt_in(out) is None
    assert main(["evaluate", *model, "--prediction", str(out), "--truth", str(files[Modality.RNA]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["directions"]["atac-to-rna"]["doubt"] == {}


def test_a_label_of_that_name_is_not_taken_for_the_models_word(tiny_model: Path, tmp_path: Path) -> None:
    from jobs.export import write_latent

    encoded = Encoded(
        Latent(np.zeros((2, 3), dtype=np.float32), frozenset({Modality.RNA})),
        np.ones(2, dtype=np.float32),
        np.array(["a", "b"], dtype=object),
    )
    labels = {name: np.array(["x", "y"], dtype=object) for name in COLUMNS}
    write_latent(tmp_path / "x.h5ad", encoded, labels=labels, maps={}, provenance={})
    assert doubt_in(tmp_path / "x.h5ad") is None


# -- the words and the parts -----------------------------------------------------------------------------------------


def doubt(novelty: list[float], expected: list[float]) -> Doubt:
    return Doubt(np.array(novelty, dtype=np.float32), np.array(expected, dtype=np.float32))


def test_a_note_is_made_only_where_there_is_something_to_say() -> None:
    assert outside_note(None) == outside_note(doubt([0.2, 0.5], [0.3, 0.3])) == ""
    assert outside_note(doubt([1.0, 0.5], [0.3, 0.3])).startswith("1 of 2 cells is unlike the training cells")
    assert "1 in 100" in outside_note(doubt([1.0, 1.0], [0.3, 0.3]))


def test_without_doubt_there_are_no_columns() -> None:
    assert doubt_columns(None) == {}


def test_cells_are_judged_alike_in_parts_and_as_a_whole(doubting_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(doubting_model)
    rng = np.random.default_rng(0)
    width = bundle.manifest.latent
    latent = Latent(rng.normal(size=(23, width)).astype(np.float32), frozenset({Modality.RNA}))
    encoded = Encoded(latent, np.ones(23, dtype=np.float32), np.arange(23).astype(str).astype(object))
    whole = doubt_of(bundle, encoded)
    monkeypatch.setattr("engine.doubt.BLOCK", 5)
    parts = doubt_of(bundle, encoded)
    assert whole is not None
    assert parts is not None
    np.testing.assert_array_equal(whole.novelty_n, parts.novelty_n)
    np.testing.assert_array_equal(whole.expected_n, parts.expected_n)


def test_a_model_that_answers_nothing_but_gaps_is_taken_to_say_nothing(doubting_model: Path) -> None:
    class Uncalibrated(doubting.DoubtingRidgeTranslator):
        def doubt(self, latent: Latent) -> Doubt:
            gaps = np.full(len(latent), np.nan, dtype=np.float32)
            return Doubt(gaps, gaps)

    bundle = load_bundle(doubting_model)
    bare = Bundle(bundle.manifest, Uncalibrated.__new__(Uncalibrated), bundle.nulls)
    latent = Latent(np.zeros((4, 3), dtype=np.float32), frozenset({Modality.RNA}))
    encoded = Encoded(latent, np.ones(4, dtype=np.float32), np.array(list("abcd"), dtype=object))
    assert doubt_of(bare, encoded) is None
