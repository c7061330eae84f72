"""The process of one benchmark entry: an order in, an entry's two files out, so that memory is this entry's alone.

`python -m jobs.commands.entries ORDER.json`; exit code 0: the entry is there; 3: KEY.failed.json says why not.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import NoCells
from engine.types import Cells, Modality, PairedCells, Split

if TYPE_CHECKING:
    from engine.benchmark.entry import EntryResult

FAILED = 3


@dataclass(frozen=True)
class Cohort:
    """Where the cells of a benchmark are and how they are parted and filtered. rna, atac, split: paths.

    filters: None keeps every feature as given; otherwise settings of FilterSettings, fitted on the training cells.
    """

    rna: str
    atac: str
    split: str
    genome: str | None = None
    filters: Mapping[str, Any] | None = None

    def prepared(self) -> tuple[PairedCells, Split, dict[str, Any]]:
        """The pair all contenders meet, the split, and what the filters kept. Raises what pairing raises."""
        from engine.preprocess.filters import FilterSettings, filter_pair
        from jobs.commands.offline import read_split

        pair = self.paired()
        split = read_split(Path(self.split))
        if not split.train:
            raise NoCells("The split names no training cells.", hint='Give {"train": […], "valid": […], "test": […]}.')
        pair.named((*split.train, *split.valid, *split.test))  # every name is known, or this says which is not
        if self.filters is None:
            return pair, split, {}
        found = filter_pair(pair, split, FilterSettings(**self.filters))
        return found.pair, found.split, found.kept

    def paired(self) -> PairedCells:
        """The cells in both files, in RNA order."""
        from engine.pairs import pair as pair_up

        return pair_up(self._cells(self.rna), self._cells(self.atac))[0]

    def _cells(self, path: str) -> Cells:
        from engine.fitting import with_genome
        from engine.intake.canonical import CanonicalCells

        with CanonicalCells.open(path) as opened:
            return with_genome(opened.all(layers=opened.modality is Modality.RNA), self.genome)


@dataclass(frozen=True)
class Order:
    """One entry to be made. folder: where entries are kept. checkpoints: goes on after a kill where True."""

    key: str
    folder: str
    cohort: Cohort
    model: str
    label: str
    seed: int
    settings: Mapping[str, str] = field(default_factory=dict)
    part: str = "test"
    batch_column: str = ""
    label_column: str = ""
    device: str = "cpu"
    threads: int = 1
    checkpoints: bool = True

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Order:
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**document, "cohort": Cohort(**document["cohort"])})

    @property
    def unfinished(self) -> Path:
        """Checkpoints of a training that has not ended."""
        return Path(self.folder) / f"{self.key}.unfinished"


def make(order: Order) -> EntryResult:
    """Fit and score as ordered, in this process. Raises what models and scores raise."""
    from engine.benchmark.entry import Contender, run_entry
    from engine.benchmark.meter import Meter, warm_imports
    from engine.translators.base import Checkpoints, Epoch, Hooks
    from engine.translators.registry import recipe
    from jobs.version import code_version

    recipe(order.model, order.settings)  # imports its module, and refuses bad settings before any data are read
    warm_imports()
    meter = Meter()
    with meter.part("data"):
        pair, split, _ = order.cohort.prepared()

    def on_epoch(epoch: Epoch) -> None:
        stage = f"{epoch.stage} " if epoch.stage else ""
        print(f"{stage}epoch {epoch.number}: {epoch.train['total']:.5f} {epoch.valid['total']:.5f}", flush=True)

    device = order.device
    checkpoints: Checkpoints | None = None
    if "engine.training" in sys.modules:  # of a model that trains a network: the others never load torch
        from engine.checkpoint import FolderCheckpoints
        from engine.training import pick_device

        device = str(pick_device(order.device))
        checkpoints = FolderCheckpoints(order.unfinished) if order.checkpoints else None
    hooks = Hooks(
        on_epoch=on_epoch,
        device="cpu" if device == "auto" else device,
        threads=order.threads,
        checkpoints=checkpoints,
        checkpoint_s=60.0,
    )
    return run_entry(
        pair,
        split,
        contender=Contender(order.model, order.settings, order.label),
        seed=order.seed,
        part="valid" if order.part == "valid" else "test",
        batch_column=order.batch_column,
        label_column=order.label_column,
        hooks=hooks,
        meter=meter,
        code_version=code_version(),
    )


def main(argv: list[str] | None = None) -> int:
    """Make the entry of an order file; returns the exit code."""
    order = Order.read(Path((argv or sys.argv[1:])[0]))
    folder = Path(order.folder)
    try:
        result = make(order)
    except Exception as error:
        write_failure(folder, order.key, error)
        return FAILED
    result.save(folder, order.key)
    (folder / f"{order.key}.failed.json").unlink(missing_ok=True)
    shutil.rmtree(order.unfinished, ignore_errors=True)
    return 0


def write_failure(folder: Path, key: str, error: BaseException) -> None:
    from jobs.failures import failure_of

    text = failure_of(error).model_dump_json()
    (folder / f"{key}.failed.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
