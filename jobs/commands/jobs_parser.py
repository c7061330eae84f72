"""`crossview jobs`: what is asked of a running CrossView, and its answers in words or as one document."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jobs.commands.analyse import KINDS
from jobs.commands.board import add_board, again
from jobs.commands.evaluate_parser import add_foreign
from jobs.commands.inbox import add_inbox
from jobs.queue.order import Priority

DONE, JOB_FAILED = 0, 3
Arguments = argparse.Namespace
Command = Callable[..., Any]


def add_jobs(commands: Any, command: Command) -> None:
    """Hang `jobs` on the command line. command: (commands, name, run, help) → its parser."""
    jobs = commands.add_parser("jobs", help="jobs of a running CrossView").add_subparsers(
        dest="what",
        required=True,
        metavar="submit|list|label|star|bin|restore|batch|show|logs|cancel|retry|wait|inbox|delete",
    )
    submit = command(
        jobs, "submit", _jobs_submit, "send files to be translated, seen together, analysed, scored, or trained on"
    )
    submit.add_argument("--model", default="", metavar="ID", help="to translate with; with --train a recipe's key")
    submit.add_argument("--from", dest="source", metavar="JOB", help="what this job was asked, with changes")
    submit.add_argument("--rna")
    submit.add_argument("--atac")
    submit.add_argument("--direction", action="append", choices=("rna-to-atac", "atac-to-rna"))
    submit.add_argument("--export", action="store_true", help="also write the dense prediction")
    submit.add_argument("--title", default="")
    submit.add_argument("--priority", choices=[each.value for each in Priority], default=Priority.NORMAL.value)
    submit.add_argument("--max-hours", type=float, metavar="H", help="stop an attempt that runs longer")
    submit.add_argument("--fresh", action="store_true", help="run again what finished or is under way already")
    _add_joint(submit)
    _add_analysis(submit)
    _add_evaluation(submit)
    _add_training(submit)
    submit.add_argument("--wait", action="store_true", help="wait for the end")
    add_board(jobs, command, client_of)
    show = command(jobs, "show", _jobs_show, "one job")
    show.add_argument("id")
    show.add_argument("--resources", action="store_true", help="what it took: processor, memory and GPU by stage")
    logs = command(jobs, "logs", _jobs_logs, "its log", json=False)
    logs.add_argument("id")
    logs.add_argument("--tail", type=int, default=200)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    command(jobs, "cancel", _jobs_do("cancel"), "stop it").add_argument("id")
    command(jobs, "retry", _jobs_do("retry"), "run it again").add_argument("id")
    command(jobs, "wait", _jobs_wait, "follow it to its end").add_argument("id")
    add_inbox(jobs, command, client_of)
    command(jobs, "delete", _jobs_delete, "remove it and its results", json=False).add_argument("id")


def _add_joint(submit: Any) -> None:
    joint = submit.add_argument_group("with --joint")
    joint.add_argument("--joint", action="store_true", help="see --rna and --atac in one view")
    joint.add_argument("--pair", metavar="FILE", help="instead of --rna and --atac: 10x multiome .h5 or .h5mu")
    joint.add_argument("--label", default="", metavar="COLUMN", help="a column of the cells to compare groups with")
    joint.add_argument("--clusters", type=int, default=0, metavar="K", help="of k-means (default: as many as labels)")


def _add_analysis(submit: Any) -> None:
    analysis = submit.add_argument_group("with --analyse (and --pair, --label, --genome, --seed, --set NAME=VALUE)")
    analysis.add_argument(
        "--analyse", choices=KINDS, metavar="|".join(KINDS), help="one analysis; --model may be left out"
    )


def _add_evaluation(submit: Any) -> None:
    scored = submit.add_argument_group("with --evaluate (--rna or --atac is the truth, the other the source)")
    scored.add_argument("--evaluate", metavar="PREDICTION", help="score this file, which any tool may have written")
    scored.add_argument("--method", default="", help="what made the prediction, in a word")
    add_foreign(scored, "--training")


def _add_training(submit: Any) -> None:
    training = submit.add_argument_group("with --train (and --pair)")
    training.add_argument("--train", action="store_true", help="train a model on --rna and --atac")
    held = training.add_mutually_exclusive_group()
    held.add_argument("--split", type=Path, help='{"train": […], "valid": […], "test": […]} of cell names')
    held.add_argument(
        "--hold-out", metavar="COLUMN=VALUE,…", help="batches to keep for testing, of one column: batch=A,batch=B"
    )
    training.add_argument("--split-by", default="", metavar="COLUMN", help="a batch that may not be on two sides")
    training.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="a setting of the model, the filters or the analysis"
    )
    training.add_argument("--genome", help="hg38, mm10 … (default: recognised from the names)")
    training.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--name", default="", help="what the finished model is called")


def client_of() -> Any:
    """Of the CrossView that runs here or that CROSSVIEW_API_URL names."""
    from jobs.client_http import HttpClient
    from jobs.settings import Settings

    settings = Settings.from_env()
    return HttpClient(settings.url, settings.token)


def _jobs_submit(a: Arguments) -> int:
    from jobs.commands import submission

    if not a.source:
        _refuse_mixed(a)
    with client_of() as client:
        settings = dict(setting_of(text) for text in a.set or [])
        how = {"priority": Priority(a.priority), "fresh": a.fresh}
        how |= {"time_limit_s": a.max_hours * 3_600} if a.max_hours is not None else {}
        if a.source:
            job = again(client, a, settings, fresh=a.fresh)
        elif a.analyse:
            job = submission.submit_analysis(
                client, a.analyse, rna=a.rna, atac=a.atac, pair=a.pair, settings=settings, title=a.title, how=how,
                model=a.model, label=a.label, genome=a.genome, seed=a.seed,
            )  # fmt: skip
        elif a.evaluate:
            _refuse_beside_training(a)
            job = submission.submit_evaluation(
                client, a.evaluate, rna=a.rna, atac=a.atac, training=a.training, method=a.method, scale=a.scale,
                genome=a.genome, seed=a.seed, title=a.title, how=how,
            )  # fmt: skip
        elif a.train:
            job = submission.submit_training(
                client, model=a.model, rna=a.rna, atac=a.atac, pair=a.pair, settings=settings, split=a.split,
                hold_out=a.hold_out, split_by=a.split_by, genome=a.genome, device=a.device, seed=a.seed, name=a.name,
                title=a.title, how=how,
            )  # fmt: skip
        elif a.joint:
            _refuse_unused(a)
            job = submission.submit_joint(
                client, model=a.model, rna=a.rna, atac=a.atac, pair=a.pair, label=a.label, clusters=a.clusters,
                seed=a.seed, export=a.export, title=a.title, how=how,
            )  # fmt: skip
        else:
            _refuse_unused(a)
            job = submission.submit_files(
                client, model=a.model, rna=a.rna, atac=a.atac, directions=a.direction or [], export=a.export,
                seed=a.seed, title=a.title, how=how,
            )  # fmt: skip
        if a.wait:
            return _follow(client, job.id, as_json=a.json)
        return _show_job(job, as_json=a.json)


def _refuse_unused(a: Arguments) -> None:
    """Raises BadSetting for an option that would be passed over in silence."""
    _refuse_beside_training(a)
    _refuse({"--genome": a.genome}, "a training, an analysis or an evaluation", "--train, --analyse or --evaluate")


def _refuse_beside_training(a: Arguments) -> None:
    of_training = {"--split": a.split, "--hold-out": a.hold_out, "--split-by": a.split_by, "--name": a.name}
    _refuse(of_training, "a training", "--train")
    _refuse({"--set": a.set}, "a training or an analysis", "--train or --analyse")


def _refuse(given: Mapping[str, Any], whose: str, add: str) -> None:
    """Raises BadSetting for those options that have a value. add: what would make use of them."""
    from engine.errors import BadSetting

    if unused := [name for name, value in given.items() if value]:
        belong = "belongs" if len(unused) == 1 else "belong"
        it = "it" if len(unused) == 1 else "them"
        raise BadSetting(f"{', '.join(unused)} {belong} to {whose}.", hint=f"Add {add}, or leave {it} out.")


def _refuse_mixed(a: Arguments) -> None:
    """Raises BadSetting where two kinds of jobs are asked for at once."""
    from engine.errors import BadSetting

    if not a.evaluate:
        of_scores = {"--training": a.training, "--method": a.method, "--scale": a.scale}
        _refuse(of_scores, "the scoring of a prediction", "--evaluate PREDICTION")
    else:
        _refuse_beside_evaluation(a)
        return
    if not (a.model or a.analyse):
        raise BadSetting("No model was named.", hint="Give --model ID: `crossview models list` shows them.")
    if a.analyse:
        _refuse_beside_analysis(a)
        return
    if a.train and a.joint:
        raise BadSetting("--train and --joint are two jobs.", hint="Train first; the joint view takes the new model.")
    if a.joint and a.direction:
        raise BadSetting("A joint view has no direction.", hint="Leave --direction out.")
    if not a.joint:
        _refuse({"--label": a.label}, "a joint view or an analysis", "--joint or --analyse")
        _refuse({"--clusters": a.clusters}, "a joint view", "--joint")
    if not (a.joint or a.train):
        _refuse({"--pair": a.pair}, "a joint view, an analysis or a training", "--joint, --analyse or --train")


def _refuse_beside(given: Mapping[str, Any], whose: str, hint: str) -> None:
    """Raises BadSetting for those options that have a value."""
    from engine.errors import BadSetting

    if unused := [name for name, value in given.items() if value]:
        raise BadSetting(f"{', '.join(unused)} does not belong to {whose}.", hint=hint)


def _refuse_beside_evaluation(a: Arguments) -> None:
    """Raises BadSetting for what the scoring of a prediction does not take."""
    given = {
        "--model": a.model, "--train": a.train, "--joint": a.joint, "--analyse": a.analyse, "--pair": a.pair,
        "--direction": a.direction, "--export": a.export, "--label": a.label, "--clusters": a.clusters,
        "--device": a.device != "auto",
    }  # fmt: skip
    why = "Leave it out: the scores need the prediction and the measured cells alone."
    _refuse_beside(given, "the scoring of a prediction", why)


def _refuse_beside_analysis(a: Arguments) -> None:
    """Raises BadSetting for what an analysis does not take."""
    given = {
        "--train": a.train, "--joint": a.joint, "--direction": a.direction, "--export": a.export, "--name": a.name,
        "--clusters": a.clusters, "--split": a.split, "--hold-out": a.hold_out, "--split-by": a.split_by,
        "--device": a.device != "auto",
    }  # fmt: skip
    _refuse_beside(given, "an analysis", "Leave it out; settings of the analysis are --set NAME=VALUE.")


def _jobs_show(a: Arguments) -> int:
    with client_of() as client:
        if a.resources:
            from jobs.resources.words import lines

            found = client.resources(a.id)
            _print(found.model_dump(mode="json")) if a.json else print("\n".join(lines(found)))
            return DONE
        return _show_job(client.job(a.id), as_json=a.json)


def _jobs_logs(a: Arguments) -> int:
    with client_of() as client:
        if a.follow:
            from jobs.commands.following import follow_log

            follow_log(client, a.id, tail=a.tail, out=sys.stdout)
        else:
            print(client.logs(a.id, tail=a.tail))
    return DONE


def _jobs_do(name: str) -> Callable[[Arguments], int]:
    def run(a: Arguments) -> int:
        with client_of() as client:
            return _show_job(getattr(client, name)(a.id), as_json=a.json)

    return run


def _jobs_delete(a: Arguments) -> int:
    with client_of() as client:
        receipt = client.delete_job(a.id)
    gone = "" if receipt.state == "gone" else " The store does not answer yet: its files go when it does."
    print(f"Deleted {a.id}.{gone} Receipt {receipt.id}: GET /api/v1/receipts/{receipt.id}")
    return DONE


def _jobs_wait(a: Arguments) -> int:
    with client_of() as client:
        return _follow(client, a.id, as_json=a.json)


def _follow(client: Any, id: str, *, as_json: bool) -> int:
    from jobs.commands.demo import follow
    from jobs.state import JobState

    job = follow(client, id, say=lambda line: print(line, file=sys.stderr, flush=True))
    _show_job(job, as_json=as_json)
    return DONE if job.state is JobState.SUCCEEDED else JOB_FAILED


def _show_job(job: Any, *, as_json: bool) -> int:
    if as_json:
        _print(job.model_dump(mode="json"))
        return DONE
    print(f"{job.id}  {job.state}  {job.title}")
    if job.failure:
        print(f"  {job.failure.message}\n  → {job.failure.hint}")
    return DONE


def setting_of(text: str) -> tuple[str, str]:
    """NAME=VALUE of --set. Raises BadSetting."""
    from engine.errors import BadSetting

    name, separator, value = text.partition("=")
    if not separator:
        raise BadSetting(f"--set {text!r} has no value.", hint="Write --set name=value.")
    return name.strip(), value.strip()


def _print(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, default=str))
