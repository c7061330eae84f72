"""From files to a job through a client: upload in slices, wait for intake, submit."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from engine.errors import BadInput
from engine.types import Direction, Modality
from jobs.client import Client
from jobs.errors import NotReady
from jobs.spec import TranslateSpec
from jobs.views import DatasetView, JobView

SLICE = 8 * 2**20
POLL_S = 0.3


def submit_files(
    client: Client,
    *,
    model: str,
    rna: str | None = None,
    atac: str | None = None,
    directions: Sequence[str] = (),
    export: bool = False,
    title: str = "",
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
    return client.submit(TranslateSpec(model=model, directions=tuple(wanted), export=export, **ids), title=title)


def bring_in(client: Client, source: str, *, modality: Modality, say: Callable[[str], None]) -> DatasetView:
    """A ready dataset from a path or an address the server can read itself."""
    if "://" not in source and not source.startswith(("upload:", "example:")):
        source = f"upload:{_upload(client, Path(source).expanduser(), say)}"
    dataset = client.import_dataset(source, modality=modality)
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
