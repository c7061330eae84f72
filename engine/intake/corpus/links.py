"""Files whose parts lie in other files: links, external storage, virtual data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from engine.intake.corpus.kit import CLEANED, attack, canary, counts_of, good, skeleton, write_csr, write_frame

PLACES = ("obs/_index", "obs/cell_type", "obsm/X_pca", "obsp/distances", "raw", "raw/X", "uns/secret", "var/_index")
INNER = {"obs/_index": "texts", "obs/cell_type": "texts", "var/_index": "texts", "raw": "/", "raw/X": "X"}


def _external_at(place: str) -> None:
    @attack("unsafe-file", name=f"external_link_at_{place.replace('/', '_').lower()}")
    def write(path: Path) -> None:
        other = canary(path)
        with skeleton(path) as file:
            write_csr(file, "X", counts_of())
            if place in file:
                del file[place]
            file[place] = h5py.ExternalLink(str(other), INNER.get(place, "dense"))


for _place in PLACES:
    _external_at(_place)


@attack("unsafe-file")
def soft_link_leaving_the_file(path: Path) -> None:
    with skeleton(path) as file:
        file["X"] = h5py.SoftLink("/../../etc/passwd")


@attack("unsafe-file")
def soft_link_to_nothing_in_obs(path: Path) -> None:
    good(path)
    with h5py.File(path, "r+") as file:
        file["obs/cell_type"] = h5py.SoftLink("/uns/gone")


@attack("unsafe-file")
def soft_link_through_an_external_link(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        file["elsewhere"] = h5py.ExternalLink(str(other), "/")
        file["X"] = h5py.SoftLink("/elsewhere/X")


@attack("unsafe-file")
def soft_links_in_a_long_chain_to_an_external_link(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        file["step0"] = h5py.ExternalLink(str(other), "/X")
        for i in range(30):
            file[f"step{i + 1}"] = h5py.SoftLink(f"/step{i}")
        file["X"] = h5py.SoftLink("/step30")


@attack("unsafe-file")
def soft_links_in_a_circle(path: Path) -> None:
    with skeleton(path) as file:
        file["X"] = h5py.SoftLink("/Y")
        file["Y"] = h5py.SoftLink("/X")


@attack("unsafe-file")
def soft_link_to_itself(path: Path) -> None:
    with skeleton(path) as file:
        file["X"] = h5py.SoftLink("X")


@attack("unsafe-file")
def external_link_as_x(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        file["X"] = h5py.ExternalLink(str(other), "/dense")


@attack("unsafe-file")
def external_link_by_a_relative_path(path: Path) -> None:
    canary(path)
    with skeleton(path) as file:
        file["X"] = h5py.ExternalLink("outside/canary.h5", "/dense")


@attack("unsafe-file")
def external_link_back_into_the_same_file(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "kept", counts_of())
        file["X"] = h5py.ExternalLink(path.name, "/kept")


@attack("unsafe-file")
def external_link_to_a_pipe(path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(path.with_name("pipe"))
    with skeleton(path) as file:
        file["X"] = h5py.ExternalLink(str(path.with_name("pipe")), "/X")


@attack("unsafe-file")
def external_link_to_a_device(path: Path) -> None:
    with skeleton(path) as file:
        file["X"] = h5py.ExternalLink("/dev/zero", "/X")


@attack("unsafe-file")
def external_link_in_a_middle_component(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file["layers"] = h5py.ExternalLink(str(other), "/")


@attack("unsafe-file")
def external_link_hidden_behind_a_long_name(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        file["uns/" + "n" * 60_000] = h5py.ExternalLink(str(other), "/")


@attack("unsafe-file")
def link_of_a_kind_of_its_own(path: Path) -> None:
    """A user-defined link class: what following it does is decided by a plug-in."""
    good(path)
    with h5py.File(path, "r+") as file:
        file["uns"] = h5py.ExternalLink("zzzzzz", "/")
    raw = path.read_bytes()
    # The link message: version 1, flags with link type present, type 64 (external), … becomes type 200.
    at = raw.index(b"uns", raw.index(b"zzzzzz") - 64 if b"zzzzzz" in raw else 0)
    start = raw.rfind(b"\x40", at - 24, at)
    path.write_bytes(raw[:start] + b"\xc8" + raw[start + 1 :])


@attack("unsafe-file")
def external_raw_storage(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        file.create_dataset("X", (6, 5), np.uint8, external=[(str(other), 0, 30)])


@attack("unsafe-file")
def external_raw_storage_of_labels(path: Path) -> None:
    other = canary(path)
    good(path)
    with h5py.File(path, "r+") as file:
        file.create_dataset("obs/cell_type", (6,), "S100", external=[(str(other), 0, 600)])


@attack("unsafe-file")
def external_raw_storage_in_several_files(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        pieces = [(str(path.with_name("own.bin")), 0, 15), (str(other), 0, 15)]
        file.create_dataset("X", (6, 5), np.uint8, external=pieces)


def _virtual(file: Any, name: str, source: str, dataset: str = "dense") -> None:
    layout = h5py.VirtualLayout((6, 5), np.float32)
    layout[:] = h5py.VirtualSource(source, dataset, (6, 5))
    file.create_virtual_dataset(name, layout)


@attack("unsafe-file")
def virtual_dataset(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        _virtual(file, "X", str(other))


@attack("unsafe-file")
def virtual_dataset_in_a_layer(path: Path) -> None:
    other = canary(path)
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        _virtual(file, "layers/counts", str(other))


@attack("unsafe-file")
def virtual_dataset_of_the_same_file(path: Path) -> None:
    with skeleton(path) as file:
        file["dense"] = counts_of().toarray()
        _virtual(file, "X", ".")


@attack("unsafe-file")
def virtual_dataset_named_by_a_pattern(path: Path) -> None:
    canary(path)
    with skeleton(path) as file:
        space = h5py.h5s.create_simple((6, 5), (h5py.h5s.UNLIMITED, 5))
        space.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), (6, 5), (6, 5))
        source = h5py.h5s.create_simple((6, 5))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_virtual(space, str(path.parent / "outside" / "%b.h5").encode(), b"dense", source)
        h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F32LE, space, plist)


@attack("unsafe-file")
def mudata_with_an_external_modality(path: Path) -> None:
    other = canary(path)
    with h5py.File(path, "w") as file:
        file.create_group("mod")["rna"] = h5py.ExternalLink(str(other), "/")


@attack(CLEANED)
def groups_that_hold_each_other(path: Path) -> None:
    """Accepted: links inside the file are followed once."""
    with skeleton(path) as file:
        write_csr(file, "kept", counts_of())
        file["X"] = h5py.SoftLink("/kept")
        file["uns/a/b"] = file["/"]
        file["kept/loop"] = file["uns"]


@attack("not-anndata")
def tables_that_are_the_file_itself(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["obs"] = file["/"]
        file["var"] = file["/"]
        file["X"] = file["/"]


@attack("unsafe-file")
def name_that_is_not_utf8(path: Path) -> None:
    with skeleton(path) as file:
        write_csr(file, "X", counts_of())
        h5py.h5g.create(file["obs"].id, b"\xff\xfe-type")


@attack("not-anndata")
def mudata_with_a_modality_that_is_the_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        write_frame(file, "obs", ["CELL0"])
        file.create_group("mod")["rna"] = file["/"]
