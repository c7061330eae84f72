"""How the board is reached: one protocol, in process or over HTTP, as jobs.client for everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from engine.types import Modality
from jobs.board.views import Act, BatchView, BulkView, JobsAsked, JobsPage, VerifyView
from jobs.errors import NotFound
from jobs.failures import typed_errors
from jobs.spec import AnySpec
from jobs.views import JobView, ModelView

if TYPE_CHECKING:
    from jobs.board.service import Board


class BoardClient(Protocol):
    """Every method may raise engine.errors.CrossViewError or one of its kin."""

    def find(self, asked: JobsAsked) -> JobsPage:
        """Jobs by state, kind, model, label, star, time and words, a page at a time, the newest first."""
        ...

    def mark(
        self, id: str, *, starred: bool | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> JobView:
        """A job's star and labels."""
        ...

    def bulk(self, act: Act, ids: Sequence[str], *, label: str = "") -> BulkView:
        """One act on many jobs, each by itself. label: of LABEL and UNLABEL."""
        ...

    def again(
        self, id: str, *, changes: Mapping[str, Any] | None = None, title: str = "", fresh: bool = False
    ) -> JobView:
        """A new job of what this one was asked, with some fields of its spec changed."""
        ...

    def batch(self, specs: Sequence[AnySpec], *, label: str = "", titles: Sequence[str] = ()) -> BatchView:
        """Many jobs under one label; what is refused costs the others nothing."""
        ...

    def retire(self, id: str, *, retired: bool = True) -> ModelView:
        """Take a model off the offer, or put it back."""
        ...

    def verify(self, id: str) -> VerifyView:
        """Whether a model's files are whole and predict what they did when it was made."""
        ...

    def example(self, model: str, modality: Modality) -> bytes:
        """The file of a model's example: an .h5ad of the shape that is expected. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class LocalBoard:
    """In process; raises what HttpBoard raises."""

    board: Board

    def find(self, asked: JobsAsked) -> JobsPage:
        with typed_errors():
            return self.board.find(asked)

    def mark(
        self, id: str, *, starred: bool | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> JobView:
        with typed_errors():
            return self.board.mark(id, starred=starred, add=add, remove=remove)

    def bulk(self, act: Act, ids: Sequence[str], *, label: str = "") -> BulkView:
        with typed_errors():
            return self.board.bulk(act, ids, label=label)

    def again(
        self, id: str, *, changes: Mapping[str, Any] | None = None, title: str = "", fresh: bool = False
    ) -> JobView:
        with typed_errors():
            return self.board.again(id, changes=changes, title=title, fresh=fresh)

    def batch(self, specs: Sequence[AnySpec], *, label: str = "", titles: Sequence[str] = ()) -> BatchView:
        with typed_errors():
            return self.board.batch(specs, label=label, titles=titles)

    def retire(self, id: str, *, retired: bool = True) -> ModelView:
        with typed_errors():
            return self.board.retire(id, retired=retired)

    def verify(self, id: str) -> VerifyView:
        with typed_errors():
            return self.board.verify(id)

    def example(self, model: str, modality: Modality) -> bytes:
        with typed_errors():
            return example_file(self.board.service.models.example(model, modality), model)


@dataclass(frozen=True, slots=True)
class HttpBoard:
    """Over the routes of /api/v1. get, post, create: a JSON answer, of create once; fetch: the bytes of one."""

    get: Callable[..., Any]
    post: Callable[[str, dict[str, Any]], Any]
    create: Callable[[str, dict[str, Any]], Any]
    fetch: Callable[[str], bytes]

    def find(self, asked: JobsAsked) -> JobsPage:
        given = asked.model_dump(mode="json", exclude_defaults=True)
        if "states" in given:
            given["states"] = ",".join(given["states"])
        for name in ("starred", "binned"):
            if name in given:
                given[name] = str(given[name]).lower()
        return JobsPage.model_validate(self.get("jobs/search", **given))

    def mark(
        self, id: str, *, starred: bool | None = None, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> JobView:
        asked = {"starred": starred, "add": list(add), "remove": list(remove)}
        return JobView.model_validate(self.post(f"jobs/{_part(id)}/marks", asked))

    def bulk(self, act: Act, ids: Sequence[str], *, label: str = "") -> BulkView:
        return BulkView.model_validate(self.post("jobs/bulk", {"act": act, "ids": list(ids), "label": label}))

    def again(
        self, id: str, *, changes: Mapping[str, Any] | None = None, title: str = "", fresh: bool = False
    ) -> JobView:
        asked = {"changes": dict(changes or {}), "title": title, "fresh": fresh}
        return JobView.model_validate(self.create(f"jobs/{_part(id)}/again", asked))

    def batch(self, specs: Sequence[AnySpec], *, label: str = "", titles: Sequence[str] = ()) -> BatchView:
        documents = [spec.model_dump(mode="json") for spec in specs]
        return BatchView.model_validate(
            self.create("jobs/batch", {"specs": documents, "label": label, "titles": list(titles)})
        )

    def retire(self, id: str, *, retired: bool = True) -> ModelView:
        return ModelView.model_validate(self.post(f"models/{_part(id)}/retired", {"retired": retired}))

    def verify(self, id: str) -> VerifyView:
        return VerifyView.model_validate(self.post(f"models/{_part(id)}/verify", {}))

    def example(self, model: str, modality: Modality) -> bytes:
        return self.fetch(f"models/{_part(model)}/example/{Modality(modality).value}")


def example_file(path: Path | None, model: str) -> bytes:
    """Raises NotFound where the model has none."""
    if path is None:
        raise NotFound(f"The model {model} has no example.", hint="`crossview models show` says what it has.")
    return path.read_bytes()


def _part(name: str) -> str:
    return quote(name, safe="")
