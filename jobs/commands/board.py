"""`crossview jobs list|label|star|bin|restore|batch` and `submit --from`: the list of jobs on a running CrossView."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import BadSetting, CrossViewError
from jobs.commands.moments import moment
from jobs.state import JobState

DONE, BAD_INPUT = 0, 2
Arguments = argparse.Namespace
Command = Callable[..., Any]
MOST = 500  # jobs of one page of the service


def add_board(jobs: Any, command: Command, client: Callable[[], Any]) -> None:
    """Hang the commands on `crossview jobs`. client: makes one that is closed after use."""
    listing = command(jobs, "list", _with(client, _list), "newest first")
    listing.add_argument("--state", default="", metavar="A,B", help="queued, running, succeeded, failed …")
    listing.add_argument("--kind", default="", help="translate, joint, analysis, train or benchmark")
    listing.add_argument("--model", default="", metavar="ID")
    listing.add_argument("--label", default="", help="a label of jobs, as `jobs label` puts it")
    listing.add_argument("--since", type=moment, metavar="MOMENT", help="submitted then or later: 2026-11-01 …")
    listing.add_argument("--before", type=moment, metavar="MOMENT", help="submitted earlier: 2026-11-01T08:00:00Z …")
    listing.add_argument("--starred", action="store_true")
    listing.add_argument("--bin", action="store_true", help="what lies in the bin instead")
    listing.add_argument("--search", default="", metavar="WORDS", help="each in the title, id, model or a label")
    listing.add_argument("--limit", type=int, default=200)
    label = command(jobs, "label", _with(client, _label), "put labels on jobs, or take them off")
    label.add_argument("ids", nargs="+", metavar="ID")
    label.add_argument("--add", action="append", default=[], metavar="LABEL")
    label.add_argument("--remove", action="append", default=[], metavar="LABEL")
    star = command(jobs, "star", _with(client, _star), "star jobs")
    star.add_argument("ids", nargs="+", metavar="ID")
    star.add_argument("--off", action="store_true", help="take the star off")
    for act, help in (
        ("bin", "into the bin: deleted after ten minutes"),
        ("restore", "out of the bin, as if nothing had been"),
    ):
        command(jobs, act, _with(client, _many(act)), help).add_argument("ids", nargs="+", metavar="ID")
    batch = command(jobs, "batch", _with(client, _batch), "translate many files, each a job, under one label")
    batch.add_argument("files", nargs="+", metavar="INPUT", help="a path, s3://…, https://… or dataset:ID")
    batch.add_argument("--model", required=True, metavar="ID")
    batch.add_argument("--label", default="", help="put on all these jobs (default: one of the day)")
    batch.add_argument("--seed", type=int, default=0)


def again(client: Any, a: Arguments, settings: dict[str, str], *, fresh: bool) -> Any:
    """`submit --from JOB`: the same with what was said on the command line changed. Raises BadSetting."""
    old = client.job(a.source)
    changes: dict[str, Any] = {"model": a.model} if a.model else {}
    if a.seed:
        changes["seed"] = a.seed
    if a.label:
        changes["label"] = a.label
    if a.name:
        changes["name"] = a.name
    if settings and old.kind == "train":
        changes["settings"] = settings
    elif settings:
        changes |= {name: _value(text) for name, text in settings.items()}
    if given := [name for name in ("rna", "atac", "pair", "split", "hold_out", "analyse") if getattr(a, name, None)]:
        raise BadSetting(
            f"--{given[0].replace('_', '-')} does not go with --from.",
            hint="The cells are those of that job. Submit without --from to bring others.",
        )
    return client.board.again(a.source, changes=changes, title=a.title, fresh=fresh)


def _value(text: str) -> Any:
    """A number, true, false or a JSON list where it reads as one; else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _with(client: Callable[[], Any], do: Callable[[Any, Arguments], int]) -> Callable[[Arguments], int]:
    def run(a: Arguments) -> int:
        with client() as opened:
            return do(opened, a)

    return run


def _list(client: Any, a: Arguments) -> int:
    from jobs.board.views import JobsAsked

    found: list[Any] = []
    while len(found) < a.limit:
        page = client.board.find(
            JobsAsked(
                states=_states(a.state), kind=a.kind, model=a.model, label=a.label, starred=a.starred,
                since=a.since, before=a.before, binned=a.bin, words=a.search,
                limit=min(MOST, a.limit - len(found)), offset=len(found),
            )
        )  # fmt: skip
        found += page.jobs
        if not page.jobs or len(found) >= page.total:
            break
    if a.json:
        _print({"jobs": [job.model_dump(mode="json") for job in found]})
    else:
        print("\n".join([_line(job) for job in found] or ["No jobs yet." if not _narrowed(a) else "No job matches."]))
    return DONE


def _line(job: Any) -> str:
    star = " *" if job.starred else ""
    labels = f"  [{', '.join(job.labels)}]" if job.labels else ""
    return f"{job.id}  {job.state:<10}  {job.title}{star}{labels}"


def _narrowed(a: Arguments) -> bool:
    return bool(a.state or a.kind or a.model or a.label or a.since or a.before or a.starred or a.bin or a.search)


def _states(text: str) -> tuple[JobState, ...]:
    """Raises BadSetting."""
    try:
        return tuple(JobState(word.strip().upper()) for word in text.split(",") if word.strip())
    except ValueError:
        known = ", ".join(state.value.lower() for state in JobState)
        raise BadSetting(f"--state {text!r} is no state of a job.", hint=f"There are {known}.") from None


def _label(client: Any, a: Arguments) -> int:
    if not a.add and not a.remove:
        raise BadSetting("No label was given.", hint="Give --add LABEL or --remove LABEL.")
    return _show([client.board.mark(id, add=a.add, remove=a.remove) for id in a.ids], a)


def _star(client: Any, a: Arguments) -> int:
    return _show([client.board.mark(id, starred=not a.off) for id in a.ids], a)


def _show(jobs: list[Any], a: Arguments) -> int:
    if a.json:
        _print({"jobs": [job.model_dump(mode="json") for job in jobs]})
    else:
        print("\n".join(_line(job) for job in jobs))
    return DONE


def _many(act: str) -> Callable[[Any, Arguments], int]:
    def run(client: Any, a: Arguments) -> int:
        from jobs.board.views import Act

        done = client.board.bulk(Act(act), a.ids)
        if a.json:
            _print(done.model_dump(mode="json"))
        else:
            print("\n".join(f"{id}  {'in the bin' if act == 'bin' else 'back'}" for id in done.done))
        for problem in done.problems:
            print(f"{problem.of}: {problem.failure.message} {problem.failure.hint}".strip(), file=sys.stderr)
        return BAD_INPUT if done.problems else DONE

    return run


def _batch(client: Any, a: Arguments) -> int:
    """Every file is tried; those that cannot be used are told of with their reason, and the others go on."""
    from jobs.commands.submission import bring_in

    brought, wrong = [], []
    for source in a.files:
        try:
            brought.append(bring_in(client, source, modality=None, say=lambda line: print(line, file=sys.stderr)))
        except CrossViewError as error:
            wrong.append((Path(source).name, error.message, error.hint))
    view = None
    if brought:
        model = client.model(a.model)
        specs, titles = _specs(model, brought, seed=a.seed)
        view = client.board.batch(specs, label=a.label, titles=titles)
        wrong += [(titles[int(p.of) - 1], p.failure.message, p.failure.hint) for p in view.problems]
    if a.json:
        _print(
            {
                "label": view.label if view else a.label,
                "jobs": [job.model_dump(mode="json") for job in view.jobs] if view else [],
                "problems": [{"file": name, "message": what, "hint": hint} for name, what, hint in wrong],
            }
        )
    else:
        print("\n".join([f"{job.id}  {job.state:<10}  {job.title}" for job in view.jobs] if view else []))
    for name, what, hint in wrong:
        print(f"{name}: {what} {hint}".strip(), file=sys.stderr)
    return BAD_INPUT if wrong else DONE


def _specs(model: Any, data: list[Any], *, seed: int) -> tuple[list[Any], list[str]]:
    from engine.types import Direction
    from jobs.spec import TranslateSpec

    specs = [
        TranslateSpec(
            model=model.id,
            directions=tuple(d for d in Direction if d.source == each.modality),
            seed=seed,
            **{str(each.modality.value): each.id},
        )
        for each in data
    ]
    return specs, [each.name for each in data]


def _print(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, default=str))
