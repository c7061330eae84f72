"""The list of jobs as people keep it: searched, marked, acted on in bulk, asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError
from starlette.responses import Response

from app.api.jobs import CREATES, Spec, created
from app.api.kit import Call, Document, Operation
from jobs.board.views import MOST_JOBS, PAGE_JOBS, Act, BatchView, BulkView, JobsAsked, JobsPage
from jobs.errors import BadRequest
from jobs.views import JobView

Ids = Annotated[tuple[str, ...], Field(max_length=MOST_JOBS)]
TEXTS = ("states", "kind", "model", "label", "since", "before", "words")


class MarksRequest(Document):
    """starred: left as it is when null. add, remove: labels."""

    starred: bool | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class BulkRequest(Document):
    """act: bin can be undone by restore for ten minutes, delete cannot. label: of the acts label and unlabel."""

    act: Act
    ids: Ids
    label: str = ""


class AgainRequest(Document):
    """changes: fields of the job's spec, such as {"model": "…"} or {"seed": 1}; settings and filters are merged.

    fresh: run again even where the same job finished or is under way.
    """

    changes: dict[str, Any] = Field(default_factory=dict)
    title: str = ""
    fresh: bool = False


class BatchRequest(Document):
    """specs: without a kind they are translations. titles: one a spec, or none. label: one is made when left out."""

    specs: Annotated[tuple[Spec, ...], Field(min_length=1, max_length=MOST_JOBS)]
    label: str = ""
    titles: Ids = ()


def search(call: Call) -> JobsPage:
    """states: separated by commas."""
    asked: dict[str, Any] = {name: call.query[name] for name in TEXTS if call.query.get(name)}
    if "states" in asked:
        asked["states"] = asked["states"].split(",")
    asked |= {
        "starred": call.flag("starred"),
        "binned": call.flag("binned"),
        "limit": call.number("limit", PAGE_JOBS, least=1, most=MOST_JOBS),
        "offset": call.number("offset", 0),
    }
    try:
        return call.client.board.find(JobsAsked.model_validate(asked))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequest(f"{first['loc'][0]} is {str(first['input'])[:40]!r}.", hint=f"{first['msg']}.") from None


def mark(call: Call) -> JobView:
    asked = call.document(MarksRequest)
    return call.client.board.mark(call.path["id"], starred=asked.starred, add=asked.add, remove=asked.remove)


def bulk(call: Call) -> BulkView:
    asked = call.document(BulkRequest)
    return call.client.board.bulk(asked.act, asked.ids, label=asked.label)


def again(call: Call) -> Response:
    asked = call.document(AgainRequest)
    job = call.client.board.again(call.path["id"], changes=asked.changes, title=asked.title, fresh=asked.fresh)
    return created(job)


def batch(call: Call) -> BatchView:
    asked = call.document(BatchRequest)
    return call.client.board.batch(asked.specs, label=asked.label, titles=asked.titles)


def _made(call: Call, ids: Sequence[str]) -> None:
    """A batch that was cut short is done again, by who knows what was made; one with a deleted job is no answer."""
    for id in ids:
        call.client.job(id)


OPERATIONS = (
    Operation(
        "GET",
        "/jobs/search",
        "Jobs by states, kind, model, label, star, time and words, a page at a time; how many there are of each state",
        search,
        returns=JobsPage,
        query=(*TEXTS, "starred", "binned", "limit", "offset"),
    ),
    Operation("POST", "/jobs/bulk", "One act on many jobs, each by itself", bulk, body=BulkRequest, returns=BulkView),
    Operation(
        "POST",
        "/jobs/batch",
        "Many jobs under one label; what is refused costs the others nothing",
        batch,
        body=BatchRequest,
        returns=BatchView,
        status=201,
        keyed=_made,
    ),
    Operation("POST", "/jobs/{id}/marks", "Its star and its labels", mark, body=MarksRequest, returns=JobView),
    Operation(
        "POST",
        "/jobs/{id}/again",
        "A new job of what this one was asked, with some fields changed",
        again,
        body=AgainRequest,
        returns=JobView,
        status=201,
        **CREATES,
    ),
)
