"""A capsule made again: its inputs found by digest, its work done on this machine, its results compared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.bundle import read_manifest
from engine.errors import CrossViewError
from engine.types import Modality
from jobs import layout
from jobs.capsule.compare import Item, compare_files, compare_reports, worst
from jobs.capsule.fingerprint import fingerprints
from jobs.capsule.model import CannotCheck, Capsule, File, InputName
from jobs.capsule.pack import unpacked
from jobs.catalog import resolve
from jobs.commands.mends import Wishes, granted
from jobs.reconcile.orders import publish_bundle
from jobs.spec import read_spec
from jobs.version import code_version
from storage.artifacts import LocalStore
from storage.files import sha256_of

Say = Callable[[str], None]
FEW_CELLS = 5_000  # up to here starting workers takes longer than they save  # ours
REPORTS = frozenset({"report.json", "benchmark.json"})
OF_TARGET = frozenset({"prediction", "training"})  # inputs of the modality that an evaluation is about
# What is compared elsewhere, and tells seconds besides: the report in words, and the zip of what stands beside it.
RETOLD = frozenset({"benchmark.md", "model.zip"})


@dataclass(frozen=True)
class Checked:
    """What came of it. versions: those that differ, as (name, then, now)."""

    capsule: Capsule
    items: tuple[Item, ...]
    versions: tuple[tuple[str, str, str], ...] = ()

    @property
    def same(self) -> bool:
        return worst(self.items) == "same"

    def document(self) -> dict[str, Any]:
        return {
            "verdict": worst(self.items),
            "job": self.capsule.job,
            "kind": self.capsule.kind,
            "versions": [{"name": n, "then": then, "now": now} for n, then, now in self.versions],
            "items": [{"what": item.what, "says": item.says, "why": item.why} for item in self.items],
        }


def verify(
    path: Path, *, inputs: Sequence[str] = (), model: str | None = None, wishes: Wishes | None = None, say: Say
) -> Checked:
    """Checks the capsule and does its work again. inputs: files or addresses, in any order; wishes: mends of them.

    Raises BadCapsule for what is no whole capsule, CannotCheck for what is not at hand.
    """
    capsule, report = unpacked(path)
    with tempfile.TemporaryDirectory(prefix="crossview-capsule-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        bundle = _bundle(capsule, model)
        cells = _inputs(capsule, inputs, bundle, wishes, folder, stack, say)
        items = [Item(f"input {name}", "identical", f"{each.digest[:12]}…") for name, each in capsule.inputs.items()]
        if capsule.model is not None:
            items.append(Item("model", "identical", f"{capsule.model.digest[:12]}…"))
        say("Doing the work again on this machine …")
        if capsule.how == "command":
            from jobs.capsule.command import again

            now_report, now = again(capsule, report, bundle, cells, folder, say)
        else:
            now_report, now = _run(capsule, bundle, cells, folder)
        items += compare_reports(report, now_report)
        items += compare_files(capsule.files, now, skip=REPORTS | RETOLD)
    return Checked(capsule, tuple(items), tuple(_versions(capsule, now_report)))


# -- what it needs ---------------------------------------------------------------------------------------------------


def _bundle(capsule: Capsule, given: str | None) -> Path | None:
    """The folder of the very model. Raises CannotCheck."""
    wanted = capsule.model
    if wanted is None:
        return None
    try:
        folder = resolve(given or wanted.id)
    except CrossViewError as error:
        raise CannotCheck(
            f"The model {wanted.id} of digest {wanted.digest} is not here. {error.message}",
            hint="Give its folder or id: --model BUNDLE.",
        ) from error
    found = read_manifest(folder).digest
    if found != wanted.digest:
        raise CannotCheck(
            f"{given or wanted.id} is {found[:12]}…, and the capsule was made with {wanted.digest[:12]}….",
            hint=f"Give the model of digest {wanted.digest}: --model BUNDLE.",
        )
    return folder


def _inputs(
    capsule: Capsule,
    given: Sequence[str],
    bundle: Path | None,
    wishes: Wishes | None,
    folder: Path,
    stack: ExitStack,
    say: Say,
) -> dict[InputName, Path]:
    """Clean copies by modality, found by their digests. Raises CannotCheck naming each that is not among the files."""
    found: dict[InputName, Path] = {}
    seen: list[str] = []
    sources = list(given) or [each.example for each in capsule.inputs.values() if each.example]
    for source in sources:
        left = set(capsule.inputs) - set(found)
        for name, path, digest in _copies(source, capsule, left, bundle, wishes, folder, stack, say):
            if digest == capsule.inputs[name].digest:
                found.setdefault(name, path)
            else:
                seen.append(f"{source} read as {name} is {digest[:12]}…")
    if missing := {name: each for name, each in capsule.inputs.items() if name not in found}:
        wanted = "; ".join(f"{n} cells of SHA-256 {each.digest} ({each.name})" for n, each in missing.items())
        others = f" What was given: {'; '.join(seen)}." if seen else ""
        mended = any(each.mends for each in missing.values())
        hint = "Give the file, or its clean copy: --input FILE." + (
            " It was mended on the way in: give the same options as then (README.md says which)." if mended else ""
        )
        raise CannotCheck(f"Missing: {wanted}.{others}", hint=hint)
    return found


def _copies(
    source: str,
    capsule: Capsule,
    left: Collection[str],
    bundle: Path | None,
    wishes: Wishes | None,
    folder: Path,
    stack: ExitStack,
    say: Say,
) -> Iterator[tuple[InputName, Path, str]]:
    """The file itself where it is a clean copy that is wanted; else what intake makes of it, by what it may be.

    left: the inputs that are not found yet.
    """
    from jobs.commands.offline import fetched, taken_from

    wanted = {name: each for name, each in capsule.inputs.items() if name in left}
    path = stack.enter_context(fetched(source, say=say))
    if path.is_file() and (digest := sha256_of(path)) in {each.digest for each in wanted.values()}:
        for name, each in wanted.items():
            if each.digest == digest:
                yield name, path, digest
        return
    problems: list[CrossViewError] = []
    for name in wanted:
        modality = Modality(capsule.spec["target"] if name in OF_TARGET else name)
        out = folder / f"{len(list(folder.iterdir()))}-{name}.h5ad"
        try:
            with granted(wishes, model=str(bundle) if bundle else None, modality=modality, say=say) as mends:
                mends = replace(mends, values=is_prediction(wanted[name].mends))
                taken_from(path, out, modality, name=source, mends=mends)
        except CrossViewError as problem:  # genes are no peaks: the other modality may be what it is
            problems.append(problem)
            continue
        yield name, out, sha256_of(out)
    if problems and len(problems) == len(wanted):
        raise problems[0]


def is_prediction(mends: str) -> bool:
    """Whether it was brought in as predicted values."""
    return any(each.get("what") == "values" for each in json.loads(mends or "[]"))


# -- a job, again ----------------------------------------------------------------------------------------------------


def _run(
    capsule: Capsule, bundle: Path | None, cells: Mapping[InputName, Path], folder: Path
) -> tuple[dict[str, Any] | None, dict[str, File]]:
    """An attempt of the same job in a store of its own, by this machine's own runner. Raises CannotCheck."""
    store = LocalStore(folder / "store")
    spec = read_spec(capsule.spec)
    inputs: dict[str, dict[str, str]] = {}
    for name, path in cells.items():
        its = capsule.inputs[name]
        store.put_file(layout.dataset(its.digest), path)
        inputs[name] = {"key": layout.dataset(its.digest), "name": its.name, "id": its.id}
        if its.mends:
            inputs[name]["mends"] = json.dumps(json.loads(its.mends))
    prefix = ""
    if capsule.model is not None and bundle is not None:
        prefix = layout.bundle(capsule.model.digest)
        publish_bundle(store, capsule.model.digest, lambda digest: bundle)
    order = {
        "version": code_version(), "job": capsule.job, "attempt": 1, "spec": spec.model_dump(mode="json"),
        "spec_digest": spec.digest, "datasets": inputs, "bundle_prefix": prefix,
    }  # fmt: skip
    store.put_bytes(layout.order(capsule.job, 1), json.dumps(order).encode())
    why_not = _work(store, capsule)
    keys = store.list(layout.events(capsule.job, 1))
    last: dict[str, Any] = json.loads(store.get_bytes(keys[-1])) if keys else {}
    if last.get("kind") != "succeeded":
        failure = last.get("failure") or {}
        why = failure.get("message") or why_not or "it ended without a word"
        raise CannotCheck(f"The work failed on this machine: {why}", hint=str(failure.get("hint", "")))
    now = {}
    for each in last["artifacts"]:
        with store.open_local(layout.output(capsule.job, 1, each["name"])) as path:
            arrays = fingerprints(path, each["name"]) if each["name"] not in REPORTS else {}
            now[each["name"]] = File(**{k: each[k] for k in ("name", "bytes", "sha256")}, arrays=arrays)
    called = next((n for n in sorted(now) if n in REPORTS), None)
    report = json.loads(store.get_bytes(layout.output(capsule.job, 1, called))) if called else None
    shutil.rmtree(folder / "store", ignore_errors=True)
    return report, now


def _work(store: LocalStore, capsule: Capsule) -> str:
    """The attempt, here or, where it is long, in workers side by side; the end of what they said."""
    if max((each.cells or 0 for each in capsule.inputs.values()), default=0) <= FEW_CELLS:
        from jobs.driver import run_attempt
        from jobs.runners.local import SerialExecutor

        run_attempt(store, capsule.job, 1, SerialExecutor(store.uri()))
        return ""
    command = [sys.executable, "-m", "jobs.runners.local", "--store", store.uri(), "--job", capsule.job]
    said = subprocess.run([*command, "--attempt", "1"], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True)
    return said.stderr.decode(errors="replace").strip()[-400:]


def _versions(capsule: Capsule, report: Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    """Those that are others now."""
    from jobs.capsule.service import versions_in

    now = {"crossview": code_version(), **versions_in(dict(report or {}))}
    for name, then in {"crossview": capsule.code_version, **capsule.versions}.items():
        if then and name in now and now[name] != then:
            yield name, then, now[name]
