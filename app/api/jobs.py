"""Jobs: asked for, watched, cancelled, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from app.api.kit import PREFIX, Call, Document, Nothing, Operation, direction_of, json_response
from app.api.paging import MOST, Page, behind, standing
from app.api.parameters import AFTER, LOGS, PAGE, QUERY, TABLE, Parameter, limit, number
from jobs.accounts.principal import Scope
from jobs.keeping.views import ReceiptView
from jobs.layout import download_name
from jobs.names import Direction, Modality
from jobs.paging import newest_first
from jobs.queue.order import Priority
from jobs.results.tables import MOST_ROWS, PAGE_ROWS
from jobs.spec import AnalysisSpec, BenchmarkSpec, EvaluateSpec, JointSpec, TrainSpec, TranslateSpec
from jobs.views import ArtifactView, EventView, FeatureHit, GenomeView, JobView, TableView, TrainingView, Values


def kind_of(value: Any) -> str:
    """The kind a spec says, or that of the oldest."""
    kind = value.get("kind", "translate") if isinstance(value, dict) else getattr(value, "kind", "translate")
    return str(kind)


Spec = Annotated[
    Annotated[TranslateSpec, Tag("translate")]
    | Annotated[TrainSpec, Tag("train")]
    | Annotated[BenchmarkSpec, Tag("benchmark")]
    | Annotated[JointSpec, Tag("joint")]
    | Annotated[AnalysisSpec, Tag("analysis")]
    | Annotated[EvaluateSpec, Tag("evaluate")],
    Discriminator(kind_of),
]


class SubmitRequest(Document):
    """spec: without a kind it is a translation. fresh: run again even where the same job finished or is under way.

    priority: among this user's own jobs. time_limit_s: after which an attempt is stopped.
    """

    spec: Spec
    title: str = ""
    fresh: bool = False
    priority: Priority = Priority.NORMAL
    time_limit_s: float | None = Field(default=None, gt=0)


class PriorityRequest(Document):
    priority: Priority


class ExampleRequest(Document):
    model: str | None = None


class ValuesRequest(Document):
    """features: names. modality: of the target when left out. cells: barcodes, all when left out."""

    direction: Direction
    features: tuple[str, ...]
    modality: Modality | None = None
    cells: tuple[str, ...] | None = None


def submit(call: Call) -> Response:
    asked = call.document(SubmitRequest)
    return created(
        call.client.submit(
            asked.spec,
            title=asked.title,
            fresh=asked.fresh,
            priority=asked.priority,
            time_limit_s=asked.time_limit_s,
        )
    )


def prioritise(call: Call) -> JobView:
    return call.client.prioritise(call.path["id"], call.document(PriorityRequest).priority)


def submit_example(call: Call) -> Response:
    return created(call.client.submit_example(call.document(ExampleRequest).model))


def listing(call: Call) -> Page:
    return behind(call, call.client.jobs, lambda job: newest_first(job.submitted_at, job.id), most=MOST)


def one(call: Call) -> JobView:
    return call.client.job(call.path["id"])


def events(call: Call) -> Page:
    limit = call.number("limit", MOST, least=1, most=MOST)
    found = call.client.events(call.path["id"], after=call.number("after", 0))
    return Page(found[:limit], str(found[limit - 1].seq) if len(found) > limit else "")


def logs(call: Call) -> Response:
    """download: as a file of its own name."""
    id = call.path["id"]
    headers = {"x-content-type-options": "nosniff"}
    if call.flag("download"):
        headers["content-disposition"] = f'attachment; filename="{id}-log.txt"'
    text = call.client.logs(id, tail=call.number("tail", 200, least=1, most=100_000))
    return PlainTextResponse(text, headers=headers)


def cancel(call: Call) -> JobView:
    return call.client.cancel(call.path["id"])


def retry(call: Call) -> JobView:
    return call.client.retry(call.path["id"])


def remove(call: Call) -> ReceiptView:
    return call.client.delete_job(call.path["id"])


def report(call: Call) -> dict[str, Any]:
    return call.client.report(call.path["id"])


def training(call: Call) -> TrainingView:
    return call.client.training(call.path["id"])


def benchmark(call: Call) -> dict[str, Any]:
    return call.client.benchmark(call.path["id"])


def table(call: Call) -> dict[str, list[Any]]:
    return call.client.table(call.path["id"], direction_of(call.path["direction"]), call.path["name"])


def search(call: Call) -> list[FeatureHit]:
    limit = call.number("limit", 20, least=1, most=1_000)
    which = direction_of(call.path["direction"])
    return call.client.search(call.path["id"], which, call.query.get("query", ""), limit=limit)


def values(call: Call) -> Values:
    asked = call.document(ValuesRequest)
    return call.client.values(
        call.path["id"], asked.direction, features=asked.features, modality=asked.modality, cells=asked.cells
    )


def analysis_table(call: Call) -> TableView:
    """where: a JSON object of columns and their values, as text."""
    return call.client.analysis_table(
        call.path["id"],
        call.path["name"],
        where=call.texts("where"),
        query=call.query.get("query", ""),
        sort=call.query.get("sort", ""),
        descending=call.flag("descending"),
        limit=call.number("limit", PAGE_ROWS, least=1, most=MOST_ROWS),
        offset=call.number("offset", 0),
    )


def analysis_genome(call: Call) -> GenomeView:
    return call.client.analysis_genome(call.path["id"], call.query.get("place", ""))


def artifacts(call: Call) -> Page:
    return standing(call, call.client.artifacts(call.path["id"]), lambda file: file.name, default=MOST)


def artifact(call: Call) -> Response:
    """The file itself, streamed from the disk, always as a download; or, unless direct=false, a link to it in S3."""
    id, name = call.path["id"], call.path["name"]
    if call.query.get("direct") != "false" and (link := call.client.artifact_link(id, name)) is not None:
        return RedirectResponse(link, status_code=303, headers={"cache-control": "no-store"})
    file = next((each for each in call.client.artifacts(id) if each.name == name), None)
    if file is not None and (tag := f'"{file.sha256}"') in call.known:
        return Response(status_code=304, headers={"etag": tag})
    path = call.client.open_artifact(id, name)
    assert file is not None  # else there would be nothing to open
    return FileResponse(
        path,
        media_type=file.media_type,
        filename=download_name(id, name),
        headers={"x-content-type-options": "nosniff", "etag": f'"{file.sha256}"'},
    )


def created(job: JobView) -> Response:
    where = {"location": f"{PREFIX}/jobs/{job.id}"}
    return json_response(job, status=200 if job.from_cache else 201, headers=where)


def _made(call: Call, ids: Sequence[str]) -> Response | None:
    jobs = [id for id in ids if id.startswith("job-")]
    return created(call.client.job(jobs[-1])) if jobs else None


CREATES: Any = {"keyed": _made, "located": "/jobs/{id}", "also": {200: "The job that asked the same before"}}
EVENTS = (number("after", "the seq of the last event you have", default=0), limit(MOST, MOST))
OPERATIONS = (
    Operation("GET", "/jobs", "Jobs, the newest first", listing, returns=list[JobView], query=PAGE),
    Operation(
        "POST",
        "/jobs",
        "Ask for a translation, a training, a benchmark, a joint view or an analysis",
        submit,
        body=SubmitRequest,
        returns=JobView,
        status=201,
        **CREATES,
    ),
    Operation(
        "POST",
        "/jobs/example",
        "Run a model's example",
        submit_example,
        body=ExampleRequest,
        returns=JobView,
        status=201,
        **CREATES,
    ),
    Operation("GET", "/jobs/{id}", "One job", one, returns=JobView),
    Operation("DELETE", "/jobs/{id}", "Delete a finished job and its files", remove, returns=ReceiptView),
    Operation("GET", "/jobs/{id}/events", "What happened to it", events, returns=list[EventView], query=EVENTS),
    Operation(
        "GET",
        "/jobs/{id}/logs",
        "Its last log lines; download: as a file",
        logs,
        returns=str,
        query=LOGS,
        media_type="text/plain",
    ),
    Operation(
        "POST",
        "/jobs/{id}/priority",
        "Move it among your waiting jobs",
        prioritise,
        body=PriorityRequest,
        returns=JobView,
    ),
    Operation("POST", "/jobs/{id}/cancel", "Stop it", cancel, body=Nothing, returns=JobView),
    Operation("POST", "/jobs/{id}/retry", "Run it again", retry, body=Nothing, returns=JobView),
    Operation("GET", "/jobs/{id}/report", "The report of a finished job", report, returns=dict[str, Any]),
    Operation(
        "GET", "/jobs/{id}/training", "The curve of a training, while it runs and after", training, returns=TrainingView
    ),
    Operation("GET", "/jobs/{id}/benchmark", "The table of a finished benchmark", benchmark, returns=dict[str, Any]),
    Operation(
        "GET",
        "/jobs/{id}/tables/{direction}/{name}",
        "Columns by name: features, cells or roc",
        table,
        returns=dict[str, list[Any]],
    ),
    Operation(
        "GET",
        "/jobs/{id}/search/{direction}",
        "Genes by name; peaks by region, name or nearness to a gene",
        search,
        returns=list[FeatureHit],
        query=(QUERY, limit(20, 1_000)),
    ),
    Operation(
        "POST",
        "/jobs/{id}/values",
        "Predicted and true values",
        values,
        body=ValuesRequest,
        returns=Values,
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/jobs/{id}/analysis/tables/{name}",
        "Of an analysis, a page of a table of its report by WHAT.TABLE; where: a JSON object of columns and values",
        analysis_table,
        returns=TableView,
        query=(*TABLE, limit(PAGE_ROWS, MOST_ROWS)),
    ),
    Operation(
        "GET",
        "/jobs/{id}/analysis/genome",
        "Of an analysis that links peaks: genes, peaks, coverage and links around a place, chr1:100-200 or a gene",
        analysis_genome,
        returns=GenomeView,
        query=(Parameter(name="place", what="chr1:100-200, or a gene", required=True),),
    ),
    Operation(
        "GET",
        "/jobs/{id}/artifacts",
        "The files of a finished job",
        artifacts,
        returns=list[ArtifactView],
        query=(limit(MOST, MOST), AFTER),
    ),
    Operation(
        "GET",
        "/jobs/{id}/artifacts/{name:path}",
        "Download one file",
        artifact,
        returns=bytes,
        query=(Parameter(name="direct", what="false: through the server in any case", choices=("true", "false")),),
        also={303: "It lies in S3, there", 304: "As you have it"},
        media_type="*/*",  # each file's own
    ),
)
