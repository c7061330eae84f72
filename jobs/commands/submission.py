"""From files to a job through a client: upload in slices, wait for intake, submit."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.errors import BadInput, BadSetting
from engine.types import Direction, Modality
from jobs.client import Client
from jobs.commands.packing import packed
from jobs.errors import NotReady
from jobs.mending import MendOptions
from jobs.spec import AnalysisSpec, EvaluateSpec, HoldOut, JointSpec, TrainSpec, TranslateSpec
from jobs.views import DatasetView, JobView

SLICE = 8 * 2**20
POLL_S = 0.3
NO_MORE: Mapping[str, Any] = MappingProxyType(
    {}
)  # how: priority, time_limit_s and fresh, as `Client.submit` takes them


def submit_files(
    client: Client,
    *,
    model: str,
    rna: str | None = None,
    atac: str | None = None,
    directions: Sequence[str] = (),
    export: bool = False,
    seed: int = 0,
    title: str = "",
    how: Mapping[str, Any] = NO_MORE,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> JobView:
    """Bring the files in and submit. directions: default, every one whose source is given.

    Raises BadInput and kin; what intake refused is told with its reason.
    """
    given = {m: source for m, source in ((Modality.RNA, rna), (Modality.ATAC, atac)) if source}
    if not given:
        raise BadInput("There is nothing to translate.", hint="Give --rna FILE, --atac FILE or both.")
    datasets = {m: bring_in(client, source, modality=m, say=say) for m, source in given.items()}
    wanted = [Direction(d) for d in directions] or [d for d in Direction if d.source in given]
    ids = {m.value: dataset.id for m, dataset in datasets.items()}
    spec = TranslateSpec(model=model, directions=tuple(wanted), export=export, seed=seed, **ids)
    return client.submit(spec, title=title, **how)


def submit_joint(
    client: Client,
    *,
    model: str,
    rna: str | None = None,
    atac: str | None = None,
    pair: str | None = None,
    label: str = "",
    clusters: int = 0,
    seed: int = 0,
    export: bool = False,
    title: str = "",
    how: Mapping[str, Any] = NO_MORE,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> JobView:
    """Bring both files, or the one that holds both, in and submit a joint view. Raises BadInput and kin."""
    ids = _both(client, rna, atac, pair, say, what="A joint view")
    spec = JointSpec(model=model, label=label, clusters=clusters, seed=seed, export=export, **ids)
    return client.submit(spec, title=title, **how)


def submit_evaluation(
    client: Client,
    prediction: str,
    *,
    rna: str | None = None,
    atac: str | None = None,
    training: str | None = None,
    method: str = "",
    scale: str = "",
    genome: str | None = None,
    seed: int = 0,
    title: str = "",
    how: Mapping[str, Any] = NO_MORE,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> JobView:
    """Bring a prediction and the measured cells in and have it scored. rna or atac: of its kind the truth, the other
    what it was predicted from. Raises BadInput and kin.
    """
    if not (rna or atac):
        raise BadInput("There is nothing to score it against.", hint="Give measured cells: --rna FILE or --atac FILE.")
    mine = bring_in(client, prediction, modality=None, say=say, mends=MendOptions(values=True))
    target = mine.modality
    if target is None or not {Modality.RNA: rna, Modality.ATAC: atac}[target]:
        kind = target.value if target is not None else "known"
        raise BadInput(
            f"The prediction holds {kind.upper()}, and no {kind} cells were given.", hint=f"Add --{kind} FILE."
        )
    given = {m: source for m, source in ((Modality.RNA, rna), (Modality.ATAC, atac)) if source}
    ids = {m.value: bring_in(client, source, modality=m, say=say).id for m, source in given.items()}
    learned = bring_in(client, training, modality=target, say=say).id if training else None
    asked = {
        "target": target,
        "prediction": mine.id,
        "training": learned,
        "genome": genome,
        "method": method,
        "scale": scale,
        "seed": seed,
    }
    return client.submit(EvaluateSpec.model_validate({**asked, **ids}), title=title, **how)


def submit_analysis(
    client: Client,
    what: str,
    *,
    rna: str | None = None,
    atac: str | None = None,
    pair: str | None = None,
    settings: Mapping[str, str],
    title: str = "",
    how: Mapping[str, Any] = NO_MORE,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    **given: Any,
) -> JobView:
    """Bring both files, or the one that holds both, in and submit an analysis. settings, given: fields of its spec.

    Raises BadInput, BadSetting and kin, before anything is sent where the fields themselves are wrong.
    """
    asked = {"what": what, **given, **analysis_fields(settings)}
    AnalysisSpec.model_validate({**asked, "rna": "", "atac": ""})
    ids = _both(client, rna, atac, pair, say, what="An analysis")
    return client.submit(AnalysisSpec.model_validate({**asked, **ids}), title=title, **how)


def analysis_fields(settings: Mapping[str, str]) -> dict[str, Any]:
    """NAME=VALUE as fields of AnalysisSpec: lists by commas or @FILE, one a line. Raises BadSetting, BadInput."""
    known = {name: field.default for name, field in AnalysisSpec.model_fields.items()}
    own = sorted(set(known) - {"kind", "what", "bundle", "rna", "atac"})
    if unknown := [name for name in settings if name not in own]:
        raise BadSetting(f"An analysis has no setting {unknown[0]!r}.", hint=f"It has {', '.join(own)}.")
    return {name: _many(text) if isinstance(known[name], tuple) else text for name, text in settings.items()}


def _many(text: str) -> list[str]:
    if not text.startswith("@"):
        return [word.strip() for word in text.split(",") if word.strip()]
    path = Path(text[1:])
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", hint="Check the path after @.")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def submit_training(
    client: Client,
    *,
    model: str,
    rna: str | None = None,
    atac: str | None = None,
    pair: str | None = None,
    settings: Mapping[str, str],
    split: Path | None = None,
    hold_out: str | None = None,
    split_by: str = "",
    genome: str | None = None,
    device: str = "auto",
    seed: int = 0,
    name: str = "",
    title: str = "",
    how: Mapping[str, Any] = NO_MORE,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> JobView:
    """Bring both files, or the one that holds both, in and submit a training. Raises BadInput, BadSetting and kin."""
    held = hold_out_of(split, hold_out, split_by)
    filters, own = parted_settings(settings)
    ids = _both(client, rna, atac, pair, say, what="A training")
    spec = TrainSpec.model_validate(
        {
            **ids, "model": model, "settings": own, "filters": filters, "split": held, "genome": genome,
            "device": device, "seed": seed, "name": name,
        }
    )  # fmt: skip
    return client.submit(spec, title=title, **how)


def hold_out_of(split: Path | None, hold_out: str | None, split_by: str) -> HoldOut:
    """The options of the command line as a spec. Raises BadInput, BadSetting."""
    from engine.splits import parse_held, read_split, split_document

    if split is not None:
        names = {side: tuple(cells) for side, cells in split_document(read_split(split)).items()}
        return HoldOut.model_validate({"names": names, "by": split_by})
    held = parse_held(hold_out or "")
    columns = {column for column, _ in held}
    if len(columns) > 1:
        raise BadSetting("A job holds out by one column.", hint="Give values of one column, or --split FILE.")
    return HoldOut(column="".join(columns), test=tuple(value for _, value in held), by=split_by)


def parted_settings(settings: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those of the filters, and those of the recipe."""
    from engine.fitting import read_filters

    own = read_filters(settings)[1]
    return {name: value for name, value in settings.items() if name not in own}, own


def _both(
    client: Client, rna: str | None, atac: str | None, pair: str | None, say: Callable[[str], None], *, what: str
) -> dict[str, str]:
    """Ids of both datasets, by modality. Raises BadInput unless two files are given, or one of both."""
    if bool(pair) == bool(rna or atac) or (not pair and not (rna and atac)):
        raise BadInput(
            f"{what} needs RNA and ATAC of the same cells.",
            hint="Give --rna FILE and --atac FILE, or one multiome file with --pair FILE.",
        )
    if pair:
        found = [_ready(client, each) for each in client.import_pair(_source(client, pair, say))]
    else:
        found = [
            bring_in(client, str(given), modality=m, say=say) for m, given in zip(Modality, (rna, atac), strict=True)
        ]
    return {m.value: dataset.id for m, dataset in zip(Modality, found, strict=True)}


def bring_in(
    client: Client,
    source: str,
    *,
    modality: Modality | None,
    say: Callable[[str], None],
    mends: MendOptions | None = None,
) -> DatasetView:
    """A ready dataset from a path or an address the server can read itself; dataset:ID names one that is there."""
    if source.startswith("dataset:"):
        return _ready(client, client.dataset(source.removeprefix("dataset:")))
    return _ready(client, client.import_dataset(_source(client, source, say), modality=modality, mends=mends))


def _source(client: Client, source: str, say: Callable[[str], None]) -> str:
    """What the server can read: the address itself, or an upload of the file."""
    if "://" in source or source.startswith(("upload:", "example:")):
        return source
    return f"upload:{_upload(client, Path(source).expanduser(), say)}"


def _ready(client: Client, dataset: DatasetView) -> DatasetView:
    """The dataset once it is ready. Raises what intake refused."""
    while dataset.state == "importing":
        time.sleep(POLL_S)
        dataset = client.dataset(dataset.id)
    if dataset.failure is not None:
        problem = BadInput(dataset.failure.message, hint=dataset.failure.hint)
        problem.__dict__["code"] = dataset.failure.code
        raise problem
    if dataset.state != "ready":
        raise NotReady(f"{dataset.name} is {dataset.state}.", hint="Try again.")
    return dataset


def _upload(client: Client, path: Path, say: Callable[[str], None]) -> str:
    if path.is_dir():
        with packed(path) as archive:
            return _upload(client, archive, say)
    if not path.is_file():
        raise BadInput(f"There is no file {path}.", hint="Check the path.")
    size = path.stat().st_size
    upload = client.create_upload(name=path.name, size=size)
    seen = hashlib.sha256()
    with path.open("rb") as file:
        offset = 0
        while block := file.read(SLICE):
            seen.update(block)
            upload = client.append_upload(upload.id, offset=offset, chunks=_once(block))
            offset = upload.received
            say(f"Sent {offset / 1e6:,.1f} of {size / 1e6:,.1f} MB of {path.name}")
    return client.finish_upload(upload.id, sha256=seen.hexdigest()).id


def _once(block: bytes) -> Iterator[bytes]:
    yield block
