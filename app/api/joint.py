"""What finished joint views say: tables, and imputed beside measured values."""

from __future__ import annotations

from typing import Any

from app.api.kit import Call, Document, Operation, modality_of
from app.api.parameters import QUERY, limit
from jobs.accounts.principal import Scope
from jobs.names import Modality
from jobs.views import FeatureHit, Values


class JointValuesRequest(Document):
    """features: names of genes (rna) or peaks (atac). cells: barcodes, all when left out."""

    modality: Modality
    features: tuple[str, ...]
    cells: tuple[str, ...] | None = None


def joint_table(call: Call) -> dict[str, list[Any]]:
    return call.client.joint_table(call.path["id"], call.path["name"])


def joint_search(call: Call) -> list[FeatureHit]:
    limit = call.number("limit", 20, least=1, most=1_000)
    which = modality_of(call.path["modality"])
    return call.client.joint_search(call.path["id"], which, call.query.get("query", ""), limit=limit)


def joint_values(call: Call) -> Values:
    asked = call.document(JointValuesRequest)
    return call.client.joint_values(call.path["id"], asked.modality, features=asked.features, cells=asked.cells)


OPERATIONS = (
    Operation(
        "GET",
        "/jobs/{id}/joint/tables/{name}",
        "Of a joint view, columns by name: cells, rna-features or atac-features",
        joint_table,
        returns=dict[str, list[Any]],
    ),
    Operation(
        "GET",
        "/jobs/{id}/joint/search/{modality}",
        "Genes (rna) or peaks (atac) that a joint view can impute",
        joint_search,
        returns=list[FeatureHit],
        query=(QUERY, limit(20, 1_000)),
    ),
    Operation(
        "POST",
        "/jobs/{id}/joint/values",
        "Imputed (predicted) and measured (truth) values of a joint view",
        joint_values,
        body=JointValuesRequest,
        returns=Values,
        scope=Scope.READ,
    ),
)
