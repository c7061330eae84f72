"""The client over HTTP: the same calls and the same errors as in process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self, Unpack
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from engine.types import Direction, Modality
from jobs.accounts.client import AccountsClient, HttpAccounts
from jobs.board.client import BoardClient, HttpBoard
from jobs.capsule.model import Capsule
from jobs.errors import ChecksumMismatch, NotFound
from jobs.keeping.client import HttpKeeping, KeepingClient
from jobs.keeping.views import ReceiptView
from jobs.mending import MendOptions
from jobs.notify.client import HttpNotify, NotifyClient
from jobs.queue.order import Priority
from jobs.resources.views import ResourcesView
from jobs.results.binned import BinnedView
from jobs.results.exploring import ExploringClient, HttpExploring
from jobs.spec import AnySpec, PairedSpec
from jobs.views import (
    ArtifactView,
    DatasetView,
    EventView,
    FeatureHit,
    GenomeView,
    GlanceView,
    Health,
    InboxView,
    JobView,
    ModelView,
    PageOf,
    PredictabilityView,
    PreflightView,
    RecipeView,
    TableView,
    TrainingView,
    UploadView,
    Values,
)
from jobs.wire import Wire

PATIENCE = httpx.Timeout(120.0, connect=5.0)  # a decode of many cells takes seconds  # ours


class HttpClient(Wire):
    """Talks to /api/v1 of a running CrossView. base_url: such as http://127.0.0.1:8501."""

    def __init__(
        self, base_url: str, token: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._base = base_url.rstrip("/")
        # trust_env=False: a proxy variable of the shell must not come between us and our own server
        self._http = httpx.Client(
            base_url=f"{self._base}/api/v1/", headers=headers, timeout=PATIENCE, transport=transport, trust_env=False
        )
        self._downloads: Path | None = None

    def close(self) -> None:
        self._http.close()
        if self._downloads is not None:
            shutil.rmtree(self._downloads, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def accounts(self) -> AccountsClient:
        return HttpAccounts(get=self._get, send=self._document)

    @property
    def keeping(self) -> KeepingClient:
        return HttpKeeping(
            get=self._get,
            everything=self._everything,
            put=lambda path, document: self._send("PUT", path, json=document).json(),
            blocks=self._blocks,
        )

    @property
    def board(self) -> BoardClient:
        return HttpBoard(
            get=self._get,
            post=self._post,
            create=self._create,
            fetch=lambda path: self._send("GET", path).content,
        )

    @property
    def notify(self) -> NotifyClient:
        return HttpNotify(get=self._get, send=self._document)

    @property
    def exploring(self) -> ExploringClient:
        return HttpExploring(get=self._get, post=self._post)

    def health(self) -> Health:
        return Health.model_validate(self._get("health"))

    def models(self) -> list[ModelView]:
        return TypeAdapter(list[ModelView]).validate_python(self._everything("models"))

    def model(self, id: str) -> ModelView:
        return ModelView.model_validate(self._get(f"models/{_part(id)}"))

    def predictability(
        self,
        id: str,
        direction: Direction,
        *,
        query: str = "",
        sort: str = "gain_low",
        limit: int = 100,
        offset: int = 0,
    ) -> PredictabilityView:
        asked = {"direction": direction.value, "query": query, "sort": sort, "limit": limit, "offset": offset}
        return PredictabilityView.model_validate(self._get(f"models/{_part(id)}/predictability", **asked))

    def recipes(self) -> list[RecipeView]:
        return TypeAdapter(list[RecipeView]).validate_python(self._everything("recipes"))

    def delete_model(self, id: str) -> ReceiptView:
        return ReceiptView.model_validate(self._send("DELETE", f"models/{_part(id)}").json())

    def create_upload(self, *, name: str, size: int | None = None) -> UploadView:
        return UploadView.model_validate(self._create("uploads", {"name": name, "size": size}))

    def upload(self, id: str) -> UploadView:
        return UploadView.model_validate(self._get(f"uploads/{_part(id)}"))

    def append_upload(self, id: str, *, offset: int, chunks: Iterable[bytes], sha256: str | None = None) -> UploadView:
        headers = {"content-type": "application/octet-stream", **({"x-slice-sha256": sha256} if sha256 else {})}
        answer = self._send(
            "PUT", f"uploads/{_part(id)}", params={"offset": offset}, headers=headers, content=iter(chunks)
        )
        return UploadView.model_validate(answer.json())

    def finish_upload(self, id: str, *, sha256: str | None = None) -> UploadView:
        return UploadView.model_validate(self._post(f"uploads/{_part(id)}/finish", {"sha256": sha256}))

    def import_dataset(
        self, source: str, *, modality: Modality | None = None, name: str = "", mends: MendOptions | None = None
    ) -> DatasetView:
        asked = {"source": source, "modality": modality, "name": name, **_mends(mends)}
        return DatasetView.model_validate(self._create("datasets", asked))

    def import_pair(
        self, source: str, *, name: str = "", mends: MendOptions | None = None
    ) -> tuple[DatasetView, DatasetView]:
        asked = {"source": source, "name": name, **_mends(mends)}
        rna, atac = (DatasetView.model_validate(each) for each in self._create("datasets/pair", asked))
        return rna, atac

    def dataset(self, id: str) -> DatasetView:
        return DatasetView.model_validate(self._get(f"datasets/{_part(id)}"))

    def datasets(self) -> list[DatasetView]:
        return TypeAdapter(list[DatasetView]).validate_python(self._everything("datasets"))

    def cancel_dataset(self, id: str) -> DatasetView:
        return DatasetView.model_validate(self._post(f"datasets/{_part(id)}/cancel", {}))

    def delete_dataset(self, id: str, *, cascade: bool = False) -> ReceiptView:
        asked = {"cascade": str(cascade).lower()}
        return ReceiptView.model_validate(self._send("DELETE", f"datasets/{_part(id)}", params=asked).json())

    def glance(self, source: str, *, model: str | None = None, modality: Modality | None = None) -> GlanceView:
        asked = {"source": source, "model": model, "modality": modality.value if modality else None}
        return GlanceView.model_validate(self._post("datasets/glance", asked))

    def preflight(
        self, *, model: str, rna: str | None = None, atac: str | None = None, directions: Sequence[Direction] = ()
    ) -> PreflightView:
        asked = {"model": model, "rna": rna, "atac": atac, "directions": list(directions)}
        return PreflightView.model_validate(self._post("preflight", asked))

    def pair_preflight(self, spec: PairedSpec) -> PreflightView:
        return PreflightView.model_validate(self._post("preflight/pair", {"spec": spec.model_dump(mode="json")}))

    def submit(
        self,
        spec: AnySpec,
        *,
        title: str = "",
        fresh: bool = False,
        priority: Priority = Priority.NORMAL,
        time_limit_s: float | None = None,
    ) -> JobView:
        asked = {"spec": spec.model_dump(mode="json"), "title": title, "fresh": fresh}
        queue = {"priority": priority, "time_limit_s": time_limit_s}
        return JobView.model_validate(self._create("jobs", {**asked, **queue}))

    def prioritise(self, id: str, priority: Priority) -> JobView:
        return JobView.model_validate(self._post(f"jobs/{_part(id)}/priority", {"priority": priority}))

    def submit_example(self, model: str | None = None) -> JobView:
        return JobView.model_validate(self._create("jobs/example", {"model": model}))

    def jobs(self, *, limit: int = 200, after: str = "") -> list[JobView]:
        return TypeAdapter(list[JobView]).validate_python(self._get("jobs", limit=limit, after=after))

    def job(self, id: str) -> JobView:
        return JobView.model_validate(self._get(f"jobs/{_part(id)}"))

    def events(self, id: str, *, after: int = 0) -> list[EventView]:
        return TypeAdapter(list[EventView]).validate_python(self._everything(f"jobs/{_part(id)}/events", after=after))

    def logs(self, id: str, *, tail: int = 200) -> str:
        return self._send("GET", f"jobs/{_part(id)}/logs", params={"tail": tail}).text

    def cancel(self, id: str) -> JobView:
        return JobView.model_validate(self._post(f"jobs/{_part(id)}/cancel", {}))

    def retry(self, id: str) -> JobView:
        return JobView.model_validate(self._post(f"jobs/{_part(id)}/retry", {}))

    def delete_job(self, id: str) -> ReceiptView:
        return ReceiptView.model_validate(self._send("DELETE", f"jobs/{_part(id)}").json())

    def list_notifications(self, *, limit: int = 50, unread_only: bool = False, after: str = "") -> InboxView:
        asked = {"limit": limit, "unread": str(unread_only).lower(), "after": after}
        return InboxView.model_validate(self._get("notifications", **asked))

    def mark_read(self, *, ids: Sequence[str] = (), through: str = "", subject: str = "") -> int:
        asked = {"ids": list(ids), "through": through, "subject": subject}
        return int(self._post("notifications/read", asked)["unread"])

    def resources(self, id: str, *, attempt: int = 0) -> ResourcesView:
        return ResourcesView.model_validate(self._get(f"jobs/{_part(id)}/resources", attempt=attempt))

    def binned(self, id: str, direction: Direction, feature: str, *, map: str = "prediction") -> BinnedView:
        asked = {"feature": feature, "map": map}
        return BinnedView.model_validate(self._get(f"jobs/{_part(id)}/binned/{direction.value}", **asked))

    def provenance(self, id: str) -> Capsule:
        return Capsule.model_validate(self._get(f"jobs/{_part(id)}/provenance"))

    def capsule(self, id: str) -> bytes:
        return self._send("GET", f"jobs/{_part(id)}/capsule").content

    def training(self, id: str) -> TrainingView:
        return TrainingView.model_validate(self._get(f"jobs/{_part(id)}/training"))

    def benchmark(self, id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._get(f"jobs/{_part(id)}/benchmark")
        return answer

    def report(self, id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._get(f"jobs/{_part(id)}/report")
        return answer

    def table(self, id: str, direction: Direction, name: str) -> dict[str, list[Any]]:
        answer: dict[str, list[Any]] = self._get(f"jobs/{_part(id)}/tables/{direction.value}/{_part(name)}")
        return answer

    def search(self, id: str, direction: Direction, query: str, *, limit: int = 20) -> list[FeatureHit]:
        found = self._get(f"jobs/{_part(id)}/search/{direction.value}", query=query, limit=limit)
        return TypeAdapter(list[FeatureHit]).validate_python(found)

    def values(
        self,
        id: str,
        direction: Direction,
        *,
        features: Sequence[str],
        modality: Modality | None = None,
        cells: Sequence[str] | None = None,
    ) -> Values:
        asked = {
            "direction": direction,
            "features": list(features),
            "modality": modality,
            "cells": None if cells is None else list(cells),
        }
        return Values.model_validate(self._post(f"jobs/{_part(id)}/values", asked))

    def joint_table(self, id: str, name: str) -> dict[str, list[Any]]:
        answer: dict[str, list[Any]] = self._get(f"jobs/{_part(id)}/joint/tables/{_part(name)}")
        return answer

    def joint_search(self, id: str, modality: Modality, query: str, *, limit: int = 20) -> list[FeatureHit]:
        found = self._get(f"jobs/{_part(id)}/joint/search/{modality.value}", query=query, limit=limit)
        return TypeAdapter(list[FeatureHit]).validate_python(found)

    def joint_values(
        self, id: str, modality: Modality, *, features: Sequence[str], cells: Sequence[str] | None = None
    ) -> Values:
        asked = {"modality": modality, "features": list(features), "cells": None if cells is None else list(cells)}
        return Values.model_validate(self._post(f"jobs/{_part(id)}/joint/values", asked))

    def analysis_table(self, id: str, name: str, **page: Unpack[PageOf]) -> TableView:
        asked: dict[str, Any] = dict(page)
        if "where" in page:
            asked["where"] = json.dumps(dict(page["where"]), ensure_ascii=False)
        if "descending" in page:
            asked["descending"] = str(page["descending"]).lower()
        return TableView.model_validate(self._get(f"jobs/{_part(id)}/analysis/tables/{_part(name)}", **asked))

    def analysis_genome(self, id: str, place: str) -> GenomeView:
        return GenomeView.model_validate(self._get(f"jobs/{_part(id)}/analysis/genome", place=place))

    def artifacts(self, id: str) -> list[ArtifactView]:
        return TypeAdapter(list[ArtifactView]).validate_python(self._everything(f"jobs/{_part(id)}/artifacts"))

    def artifact_link(self, id: str, name: str) -> str | None:
        return None  # the server decides, when the file itself is asked for

    def open_artifact(self, id: str, name: str) -> Path:
        expected = {artifact.name: artifact.sha256 for artifact in self.artifacts(id)}
        if name not in expected:  # nor would a name with `..` mean the same here and there
            raise NotFound(f"The job {id[:80]} has no file {name[:80]!r}.", hint="List what it has.")
        target = self._folder() / id / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = self._download(f"jobs/{_part(id)}/artifacts/{quote(name)}?direct=false", target)
        if digest != expected[name]:
            target.unlink()
            raise ChecksumMismatch(
                f"{name} arrived damaged: its SHA-256 is {digest[:12]}…, not {expected[name][:12]}….",
                hint="Download it again.",
            )
        return target


def _part(name: str) -> str:
    return quote(name, safe="")


def _mends(mends: MendOptions | None) -> dict[str, Any]:
    return {"mends": mends.asked()} if mends is not None else {}
