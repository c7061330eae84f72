"""Cells measured both ways: an RNA and an ATAC file of the same cells, one file of both, or the example's."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app import present
from app.asked import Inputs, genome_of, labels_of, title_of
from app.components import example, failure
from app.components.cells import ADDRESS, UPLOAD, slot
from app.components.upload import BOTH, upload
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.views import DatasetView


@dataclass(frozen=True)
class Pair:
    """Two ready sets of cells, one of each kind."""

    rna: DatasetView
    atac: DatasetView

    @property
    def inputs(self) -> Inputs:
        return {Modality.RNA: self.rna, Modality.ATAC: self.atac}

    @property
    def genome(self) -> str | None:
        return genome_of(self.inputs)

    @property
    def title(self) -> str:
        return title_of(self.inputs)

    @property
    def labels(self) -> dict[str, dict[str, int]]:
        """Label columns with the cells of each value."""
        return labels_of(self.inputs)


def by_modality(*given: DatasetView | None) -> dict[Modality, DatasetView] | None:
    """The cells by what was measured; None, with a word about it, where two files hold the same kind."""
    found = {Modality(d.modality): d for d in given if d is not None and d.modality is not None}
    if len(found) < sum(d is not None for d in given):
        kind = present.modality(next(iter(found)))
        st.markdown(
            f":material/block: **Both files hold {kind}.** The second must hold the other measurement: "
            "change one of them above."
        )
        return None
    return found


def pair() -> Pair | None:
    """Both sides, each named in the address; None until both are ready and of two kinds."""
    if "rna" not in st.query_params and "atac" not in st.query_params:
        _example()
        with st.expander("RNA and ATAC are in one file (10x multiome .h5, .h5mu)", icon=":material/merge:", key="both"):
            _one_file()
        st.markdown("Or one file each:")
    left, right = st.columns(2)
    with left:
        st.markdown("**RNA:** genes, raw counts")
        first = slot("rna", "the RNA cells")
    with right:
        st.markdown("**ATAC:** peaks, raw counts")
        second = slot("atac", "the ATAC cells")
    found = by_modality(first, second)
    if not found or len(found) < 2:
        return None
    return Pair(found[Modality.RNA], found[Modality.ATAC])


def _one_file() -> None:
    """One upload or address that becomes both sides."""
    way = st.segmented_control(
        "Where the file is", [UPLOAD, ADDRESS], default=UPLOAD, required=True, key="both-way",
        label_visibility="collapsed",
    )  # fmt: skip
    if way == ADDRESS:
        with st.form("both-address", border=False):
            given = st.text_input(
                "Link, S3 address, or path on the server, of the file",
                placeholder="https://… or s3://bucket/folder/multiome.h5",
            )
            if st.form_submit_button("Bring it in", icon=":material/cloud_download:") and (given or "").strip():
                _both((given or "").strip())
        return
    done = upload("Upload a file of both", key="both-upload", kind=BOTH)
    if done:
        _both(f"upload:{done.id}", name=done.name)


def _both(source: str, *, name: str = "") -> None:
    with failure.shown("This file cannot be brought in"):
        rna, atac = current_client().import_pair(source, name=name)
        st.query_params["rna"], st.query_params["atac"] = rna.id, atac.id
        st.rerun()


def _example() -> None:
    model = example.offered()
    if model is None:
        return
    with (
        st.container(border=True),
        st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"),
    ):
        st.markdown(
            f"**No files at hand?** Try it with the example: {example.cells(model)} measured both ways. Too few "
            "for a good model, enough to see how it goes."
        )
        if st.button("Use the example's cells", icon=":material/science:", key="example-cells"):
            with failure.shown("The example could not be brought in"):
                for which in Modality:
                    st.query_params[which.value] = _brought(f"example:{model.id}/{which.value}")
                st.rerun()


def _brought(source: str) -> str:
    """The id of cells from there: those brought in before, where they still are."""
    client = current_client()
    known = next((d for d in client.datasets() if d.origin == source and d.state in ("ready", "importing")), None)
    return known.id if known else client.import_dataset(source).id
