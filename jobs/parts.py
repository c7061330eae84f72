"""What tasks keep: a part as bytes in the store; on this machine, a model's folder and room to work in."""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np

from engine.types import Latent, Modality, as_names

if TYPE_CHECKING:
    from engine.translate import Encoded
    from storage.artifacts import ArtifactStore


def part_bytes(encoded: Encoded) -> bytes:
    """The same cells give the same bytes: numpy's archives carry no time."""
    stream = io.BytesIO()
    np.savez(
        stream,
        latent=encoded.latent.values,
        source_depth=encoded.source_depth_n,
        barcodes=np.asarray(encoded.barcodes, dtype=np.str_),
        source=np.array(sorted(m.value for m in encoded.latent.source), dtype=np.str_),
    )
    return stream.getvalue()


def read_part(data: bytes) -> Encoded:
    """Raises ValueError, KeyError, OSError or BadZipFile when it is not a whole part."""
    from engine.translate import Encoded

    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        latent = Latent(file["latent"], frozenset(Modality(m) for m in file["source"]))
        encoded = Encoded(latent, file["source_depth"], as_names(file["barcodes"]))
    if not len(latent) == len(encoded.source_depth_n) == len(encoded.barcodes):
        raise ValueError("the arrays of this part differ in length")
    return encoded


def bundle_folder(store: ArtifactStore, prefix: str) -> Path:
    """The model's folder itself in a local store; a copy kept on this machine otherwise."""
    place = urlsplit(store.uri(prefix + "bundle.json"))
    if place.scheme == "file":
        return Path(unquote(place.path)).parent
    final = _cache() / "bundles" / prefix.strip("/").replace("/", "-")
    if final.is_dir():
        return final
    partial = final.with_name(f"{final.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        for key in store.list(prefix):
            with store.open_local(key) as path:
                shutil.copyfile(path, partial / key.rpartition("/")[2])
        partial.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another worker of this machine was first
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _cache() -> Path:
    from jobs.settings import Settings

    return Settings.from_env().cache


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of this task alone; what killed workers left beside it is removed."""
    from storage.scratch import own_folder

    with own_folder(_cache() / "scratch") as folder:
        yield folder


@contextmanager
def at_most_threads(count: int) -> Iterator[None]:
    """As many threads as the task was given: one more a core only makes all tasks slower."""
    import torch
    from threadpoolctl import threadpool_limits

    count = max(1, min(count, os.cpu_count() or 1))
    torch.set_num_threads(count)
    with threadpool_limits(limits=count):
        yield
