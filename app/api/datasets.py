"""Cells brought in: from an upload, S3, an example, or a folder the operator opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from app.api.kit import Call, Document, Nothing, Operation
from app.api.paging import Page, paged
from app.api.parameters import PAGE, flag
from jobs.accounts.principal import Scope
from jobs.keeping.views import ReceiptView
from jobs.mending import MendOptions
from jobs.names import Direction, Modality
from jobs.paging import newest_first
from jobs.spec import PairedSpec
from jobs.views import DatasetView, GlanceView, PreflightView


class ImportRequest(Document):
    """source: `upload:ID`, `s3://bucket/key`, an `https://` address or a Google Drive share link, `example:MODEL/rna`,
    or a path under the import roots.

    mends: which counts, gene names, genome build or peaks are wanted; `fragments.tsv.gz` needs a `model`.
    """

    source: str
    modality: Modality | None = None
    name: str = ""
    mends: MendOptions | None = None


class PairRequest(Document):
    """source: one file of both modalities, as `upload:ID`, `s3://…`, `https://…`, or a path under the import roots."""

    source: str
    name: str = ""
    mends: MendOptions | None = None


class GlanceRequest(Document):
    """source: as of an import, `s3://…` or `https://…`. model: also say what it makes of the file."""

    source: str
    model: str | None = None
    modality: Modality | None = None


class PreflightRequest(Document):
    """rna, atac: ids of datasets. directions: all that are possible when empty."""

    model: str
    rna: str | None = None
    atac: str | None = None
    directions: tuple[Direction, ...] = ()


class PairPreflightRequest(Document):
    """spec: as it would be submitted, of a training, a benchmark, a joint view or an analysis."""

    spec: Annotated[PairedSpec, Field(discriminator="kind")]


def bring_in(call: Call) -> DatasetView:
    asked = call.document(ImportRequest)
    return call.client.import_dataset(asked.source, modality=asked.modality, name=asked.name, mends=asked.mends)


def bring_in_pair(call: Call) -> list[DatasetView]:
    asked = call.document(PairRequest)
    return list(call.client.import_pair(asked.source, name=asked.name, mends=asked.mends))


def listing(call: Call) -> Page:
    return paged(call, call.client.datasets(), lambda each: newest_first(each.created_at, each.id), int, str)


def one(call: Call) -> DatasetView:
    return call.client.dataset(call.path["id"])


def cancel(call: Call) -> DatasetView:
    return call.client.cancel_dataset(call.path["id"])


def remove(call: Call) -> ReceiptView:
    return call.client.delete_dataset(call.path["id"], cascade=call.flag("cascade"))


def glance(call: Call) -> GlanceView:
    asked = call.document(GlanceRequest)
    return call.client.glance(asked.source, model=asked.model, modality=asked.modality)


def preflight(call: Call) -> PreflightView:
    asked = call.document(PreflightRequest)
    return call.client.preflight(model=asked.model, rna=asked.rna, atac=asked.atac, directions=asked.directions)


def pair_preflight(call: Call) -> PreflightView:
    return call.client.pair_preflight(call.document(PairPreflightRequest).spec)


def _made(call: Call, ids: Sequence[str]) -> DatasetView | None:
    return call.client.dataset(ids[0]) if ids else None


def _made_pair(call: Call, ids: Sequence[str]) -> list[DatasetView] | None:
    return [call.client.dataset(id) for id in ids] or None


OPERATIONS = (
    Operation(
        "GET",
        "/datasets",
        "Datasets, the newest first",
        listing,
        returns=list[DatasetView],
        query=PAGE,
    ),
    Operation(
        "POST",
        "/datasets",
        "Bring cells in; poll the dataset until it is ready, failed or cancelled",
        bring_in,
        body=ImportRequest,
        returns=DatasetView,
        status=202,
        keyed=_made,
        located="/datasets/{id}",
    ),
    Operation(
        "POST",
        "/datasets/pair",
        "Bring in one file of both modalities (10x multiome .h5, .h5mu) as two datasets, RNA and ATAC",
        bring_in_pair,
        body=PairRequest,
        returns=list[DatasetView],
        status=202,
        keyed=_made_pair,
    ),
    Operation(
        "POST",
        "/datasets/glance",
        "What a file in S3 or on the web is, by its header: little is read, nothing is brought in",
        glance,
        body=GlanceRequest,
        returns=GlanceView,
    ),
    Operation("GET", "/datasets/{id}", "One dataset", one, returns=DatasetView),
    Operation(
        "POST",
        "/datasets/{id}/cancel",
        "Stop its import: nothing of it is left",
        cancel,
        body=Nothing,
        returns=DatasetView,
    ),
    Operation(
        "DELETE",
        "/datasets/{id}",
        "Delete a dataset that no running job needs; cascade: with the models and jobs that carry its cells",
        remove,
        returns=ReceiptView,
        query=(flag("cascade", "with the models and jobs that carry its cells"),),
    ),
    Operation(
        "POST",
        "/preflight",
        "What would happen if these cells were submitted",
        preflight,
        body=PreflightRequest,
        returns=PreflightView,
        scope=Scope.READ,
    ),
    Operation(
        "POST",
        "/preflight/pair",
        "What a training, a benchmark, a joint view or an analysis would do: pairing, split, leaks, filters, cost",
        pair_preflight,
        body=PairPreflightRequest,
        returns=PreflightView,
        scope=Scope.READ,
    ),
)
