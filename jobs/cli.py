"""The `crossview` command: words in, one document or a few lines out, and an exit code a script can trust.

Exit codes: 0 done, 2 bad usage or bad input, 3 the job failed, 4 not reachable.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jobs.commands.admin import add_admin
from jobs.commands.analyse import add_analyse
from jobs.commands.benchmark_parser import add_benchmark
from jobs.commands.both import add_both
from jobs.commands.capsule import add_capsule
from jobs.commands.data import add_data
from jobs.commands.embed_parser import add_embed
from jobs.commands.evaluate_parser import add_evaluate
from jobs.commands.jobs_parser import add_jobs, client_of, setting_of
from jobs.commands.mends import add_mends, wishes_of
from jobs.commands.people import add_token
from jobs.commands.predictability import add_predictability
from jobs.commands.telling import add_notify
from jobs.version import code_version

DONE, BAD_INPUT, JOB_FAILED, NOT_REACHABLE = 0, 2, 3, 4
Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return DONE
    except Exception as problem:
        return _explain(problem, as_json=getattr(arguments, "json", False))


def _explain(problem: Exception, *, as_json: bool) -> int:
    """One clear message on stderr (and one document on stdout with --json)."""
    from jobs.failures import failure_of

    failure = failure_of(problem)
    if as_json:
        print(json.dumps({"error": failure.model_dump(exclude={"detail"})}))
    print(f"crossview: {failure.message}", file=sys.stderr)
    if failure.hint:
        print(f"  → {failure.hint}", file=sys.stderr)
    if failure.code in {"unreachable", "runner-unreachable", "source-unreachable"}:
        return NOT_REACHABLE
    if failure.code == "internal-error":
        traceback.print_exception(problem, file=sys.stderr)
        return JOB_FAILED
    return BAD_INPUT


# -- commands that need no server ------------------------------------------------------------------------------------


def _inspect(a: Arguments) -> int:
    from engine.types import Modality
    from jobs.commands import inspected, offline

    modality = Modality(a.modality) if a.modality else None
    found = offline.inspect(a.input, model=a.model, modality=modality, wishes=wishes_of(a), whole=a.whole)
    if a.json:
        _print(found)
    else:
        _lines(inspected.lines(found))
    return BAD_INPUT if found.get("preflight", {}).get("verdict") == "refused" else DONE


def _train(a: Arguments) -> int:
    from jobs.commands import fit

    settings = dict(setting_of(text) for text in a.set or [])
    if a.epochs:
        settings["epochs"] = str(a.epochs)
    document = fit.train(
        rna=a.rna, atac=a.atac, pair=a.pair, model=a.model, out=a.out, split=a.split, hold_out=a.hold_out,
        seed=a.seed, device=a.device, settings=settings, genome=a.genome, id=a.id, licence=a.licence,
        split_by=a.split_by, fresh=a.fresh, wishes=wishes_of(a),
    )  # fmt: skip
    if a.json:
        _print(document)
        return DONE
    lines = [f"Saved {document['id']} in {a.out} (digest {document['bundle'][:12]})"]
    for direction, report in document["report"]["directions"].items():
        lines.append(f"{direction}: {report['verdict']['headline']}")
    _lines([*lines, f"Its card: {a.out / 'CARD.md'}", f"Use it: crossview translate --model {a.out} …"])
    return DONE


def _translate(a: Arguments) -> int:
    from engine.types import Direction
    from jobs.commands import offline

    document = offline.translate(
        model=a.model, source=a.input, direction=Direction(a.direction), out=a.out, features=_features(a.features),
        latent_only=a.latent, device=a.device, chunk=a.chunk_cells, min_coverage=a.min_coverage, wishes=wishes_of(a),
    )  # fmt: skip
    if a.json:
        _print(document)
    else:
        of = "their latents" if a.latent else f"{document['features']:,} features ({document['scale']})"
        print(f"Wrote {a.out}: {document['cells']:,} cells × {of}")
    return DONE


def _features(text: str | None) -> list[str] | None:
    """Names separated by commas, or @FILE with one a line."""
    if text is None:
        return None
    if text.startswith("@"):
        return [line.strip() for line in Path(text[1:]).read_text(encoding="utf-8").splitlines() if line.strip()]
    return [name.strip() for name in text.split(",") if name.strip()]


def _evaluate(a: Arguments) -> int:
    from jobs.commands.foreign import evaluate_asked

    document = evaluate_asked(a)
    if a.json:
        _print(document)
        return DONE
    from jobs.commands.scorecard import scorecard

    _lines(scorecard(document))
    return DONE


def _models_list(a: Arguments) -> int:
    from engine.bundle import read_manifest
    from jobs.catalog import load_catalog

    rows: list[dict[str, Any]] = []
    for entry in load_catalog().values():
        manifest = read_manifest(entry.folder)
        rows.append(
            {"id": entry.id, "title": entry.title, "translator": manifest.translator, "genome": manifest.genome,
             "directions": list(manifest.directions), "spaces": manifest.spaces, "tissue": entry.tissue,
             "digest": manifest.digest}
        )  # fmt: skip
    if a.json:
        _print({"models": rows})
        return DONE
    for row in rows:
        print(f"{row['id']}  {row['translator']}  {row['genome']}  {', '.join(row['directions'])}")
        print(f"  {row['title']}: {row['tissue']}")
    if not rows:
        print("No models yet. Train one: crossview train --rna R.h5ad --atac A.h5ad --model ridge --out my-model")
    return DONE


def _models_recipes(a: Arguments) -> int:
    from jobs.training.recipes import recipes

    found = recipes()
    if a.json:
        _print({"recipes": [recipe.model_dump() for recipe in found]})
        return DONE
    for recipe in found:
        lacks = f"  (needs crossview[{recipe.missing}])" if recipe.missing else ""
        print(f"{recipe.key}{lacks}\n  {recipe.what} {recipe.source}".rstrip())
        for setting in recipe.settings:
            print(f"    {setting.name}={setting.default}" + (f"  {setting.what}" if setting.what else ""))
    return DONE


def _models_show(a: Arguments) -> int:
    from dataclasses import asdict

    from engine.bundle import read_manifest, read_space
    from engine.types import Modality
    from jobs.catalog import resolve

    folder = resolve(a.id)
    if a.features:
        for modality in Modality:
            _lines(list(read_space(folder, modality).names))
        return DONE
    if a.json:
        _print(asdict(read_manifest(folder)))
        return DONE
    path = folder / "CARD.md"
    print(path.read_text(encoding="utf-8") if path.is_file() else f"{a.id} has no card.")
    return DONE


def _models_verify(a: Arguments) -> int:
    from engine.bundle import read_manifest, verify_bundle
    from jobs.catalog import resolve

    folder = resolve(a.id)
    worst = verify_bundle(folder)
    document = {"id": a.id, "digest": read_manifest(folder).digest, "verified": True, "largest_difference": worst}
    if a.json:
        _print(document)
    else:
        print(f"{a.id} is whole (digest {document['digest'][:12]}) and predicts what it did when it was made.")
    return DONE


def _models_add(a: Arguments) -> int:
    from jobs.catalog import add

    entry = add(a.folder, id=a.id)
    print(f"Added {entry.id}. It is on the Models page and in `crossview models list`.")
    return DONE


# -- commands that start one ---------------------------------------------------------------------------------------


def _up(a: Arguments) -> int:
    from jobs.commands.up import up

    code: int = up(port=a.port, home=a.home, example=not a.no_example)
    return code


def _demo(a: Arguments) -> int:
    from jobs.commands.demo import demo

    code: int = demo(as_json=a.json, model=a.model, url=a.url)
    return code


def _doctor(a: Arguments) -> int:
    if a.intake is not None:
        from jobs.commands.doctor_intake import examine_intake, intake_lines

        document = examine_intake(only=a.intake)
        _print(document) if a.json else _lines(intake_lines(document))
        return DONE if document["ok"] else BAD_INPUT
    from jobs.commands.doctor import examine
    from jobs.commands.notify import send_tests

    checks = send_tests() if a.notify else examine()
    if a.json:
        _print({"ok": all(check.ok for check in checks), "checks": [vars(check) for check in checks]})
    else:
        _lines([f"{'ok  ' if c.ok else 'MEND'}  {c.name}: {c.found}" + (f"\n      → {c.mend}" if not c.ok else "")
                for c in checks])  # fmt: skip
    return DONE if all(check.ok for check in checks) else BAD_INPUT


# -- words -----------------------------------------------------------------------------------------------------------


def _print(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, default=str))


def _lines(lines: Sequence[str]) -> None:
    print("\n".join(lines))


def _seed(text: str) -> int:
    """A seed as the random generators take it."""
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: give a whole number from 0 to {2**32 - 1:,}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crossview",
        description="Translate single-cell RNA-seq into ATAC-seq and back, and say how far to trust it.",
    )
    parser.add_argument("--version", action="version", version=f"crossview {code_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_running(commands)
    _add_offline(commands)
    add_embed(commands, _command)
    add_benchmark(commands, _command)
    add_analyse(commands, _command, seed=_seed)
    _add_models(commands)
    add_jobs(commands, _command)
    add_data(commands, _command, client_of)
    add_token(commands, _command)
    add_notify(commands, _command)
    add_admin(commands, _command)
    add_capsule(commands, _command)
    return parser


def _command(commands: Any, name: str, run: Callable[[Arguments], int], help: str, *, json: bool = True) -> Any:
    command = commands.add_parser(name, help=help, description=help)
    command.set_defaults(run=run)
    if json:
        command.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")
    return command


def _add_running(commands: Any) -> None:
    up = _command(commands, "up", _up, "start a local Ray, the dashboard and the API; Ctrl-C stops them", json=False)
    up.add_argument("--port", type=int, default=None, help="or the next free one (default $CROSSVIEW_PORT or 8501)")
    up.add_argument("--home", type=Path, default=None, help="where the database and results live (default var/)")
    up.add_argument("--no-example", action="store_true", help="do not translate the bundled example first")
    demo = _command(commands, "demo", _demo, "translate the bundled example as any job and print its scorecard")
    demo.add_argument("--model", default=None, help="a model with an example (default: the first)")
    demo.add_argument("--url", default=None, help="of a running CrossView (default: look, else start a private one)")
    doctor = _command(commands, "doctor", _doctor, "check this installation and say what to mend")
    doctor.add_argument(
        "--intake", nargs="?", const="", metavar="NAME", help="read every hostile file of the corpus (of this name)"
    )
    doctor.add_argument("--notify", action="store_true", help="instead, send a test message to every address set")


def _add_offline(commands: Any) -> None:
    inspect = _command(commands, "inspect", _inspect, "say what a file is and what a model would make of it")
    inspect.add_argument("input", metavar="INPUT", help="a path (a 10x folder too), s3://…, https://… or a Drive link")
    inspect.add_argument("--model", help="id or folder of a model")
    inspect.add_argument("--whole", action="store_true", help="read all of a file in S3 or on the web, not its header")
    inspect.add_argument("--modality", choices=("rna", "atac"), help="where the names do not tell")
    add_mends(inspect)

    train = _command(commands, "train", _train, "fit a model on RNA and ATAC of the same cells")
    add_both(train)
    train.add_argument("--model", required=True, metavar="KEY", help="`crossview models recipes` lists them")
    train.add_argument("--out", required=True, type=Path, metavar="BUNDLE")
    held = train.add_mutually_exclusive_group()
    held.add_argument("--split", type=Path, help='{"train": […], "valid": […], "test": […]} of cell names')
    held.add_argument("--hold-out", metavar="COLUMN=VALUE,…", help="batches to keep for testing: batch=A,batch=B")
    train.add_argument("--split-by", default="", metavar="COLUMN", help="a batch or donor that may not be on two sides")
    train.add_argument(
        "--fresh", action="store_true", help="do not go on from what a killed run left in BUNDLE.training"
    )
    train.add_argument("--seed", type=_seed, default=0)
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    train.add_argument("--epochs", type=int)
    train.add_argument("--set", action="append", metavar="NAME=VALUE", help="a setting of the model or of the filters")
    train.add_argument("--genome", help="hg38, mm10 … (default: recognised from the names)")
    train.add_argument("--id", help="the model's name (default: the folder's)")
    train.add_argument("--licence", default="", help="what the card says of the cells' licence")

    translate = _command(commands, "translate", _translate, "predict the other modality of a file")
    translate.add_argument("--model", required=True, metavar="BUNDLE_OR_ID")
    translate.add_argument("--input", required=True)
    translate.add_argument("--direction", required=True, choices=("rna-to-atac", "atac-to-rna"))
    translate.add_argument("--out", required=True, type=Path, metavar="OUT.h5ad")
    translate.add_argument("--features", metavar="A,B,…|@FILE", help="only these genes or peaks")
    translate.add_argument("--latent", action="store_true", help="write latents only")
    translate.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    translate.add_argument("--chunk-cells", type=int, default=512)
    translate.add_argument("--min-coverage", type=float, help="share of the model's features to ask for")
    add_mends(translate)

    add_evaluate(_command(commands, "evaluate", _evaluate, "score any prediction against measured cells"))


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="the models on offer").add_subparsers(
        dest="what", required=True, metavar="list|recipes|show|predictability|verify|add"
    )
    _command(models, "recipes", _models_recipes, "what can be trained, with every setting")
    _command(models, "list", _models_list, "every model, a line each")
    show = _command(models, "show", _models_show, "a model's card")
    show.add_argument("id", metavar="ID")
    show.add_argument("--features", action="store_true", help="list the genes and peaks it predicts")
    add_predictability(models, _command)
    _command(models, "verify", _models_verify, "check files and predictions").add_argument("id", metavar="ID")
    added = _command(models, "add", _models_add, "put a model of your own beside the bundled ones", json=False)
    added.add_argument("folder", type=Path, metavar="BUNDLE")
    added.add_argument("--id", default=None)


if __name__ == "__main__":
    sys.exit(main())
