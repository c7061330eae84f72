"""Step 4, the last look: what will run, what it takes, where the data go and for how long; then it is submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from pydantic import ValidationError

from app import asked, present, scoring
from app.asked import Draft
from app.components import address, failure, preflight, recipe, wizard_score
from app.components.holdout import names_given
from app.components.wizard_check import fine_files
from app.components.wizard_data import Given
from app.components.wizard_model import chosen
from app.kinds import split_words
from app.wizard import KINDS, batch_specs
from jobs.board.views import BatchView
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.queue.order import Priority
from jobs.spec import AnySpec, BenchmarkSpec, EvaluateSpec, JointSpec, TrainSpec, TranslateSpec
from jobs.views import DatasetView, Health, JobView, ModelView, PreflightView


def review(kind: str, given: Given, models: list[ModelView], draft: Draft) -> None:
    st.subheader("4 · Before it runs")
    health = preflight.health()
    with failure.shown("These cells could not be checked"):
        if given.many:
            _batch(given, models, draft, health)
            return
        try:
            spec = _spec(kind, given, models, draft)
        except ValidationError as problem:
            st.markdown(f":material/block: {present.plain(problem.errors()[0]['msg'])} Go back one step.")
            return
        if spec is None:
            st.markdown(":material/info: Something is missing in step 3: go back and complete it.")
            return
        its = chosen(kind, given, models, draft) if isinstance(spec, TranslateSpec | JointSpec) else None
        with st.spinner("Comparing the cells with the model …"):
            plan = _look(spec, its)
        preflight.card(plan, _lines(kind, plan, spec, its, given, health), ready=KINDS[kind].ready)
        _summary(spec)
        title, labels, how = _naming(asked.title_of(given.inputs))
        ready = plan.verdict != "refused" and not _missing(spec)
        its_kind = KINDS[kind]
        if st.button(its_kind.act, type="primary", icon=its_kind.icon, disabled=not ready, key="submit"):
            job = current_client().submit(spec, title=title or _title(kind, spec, given), **how)
            _open(job, labels)


def _spec(kind: str, given: Given, models: list[ModelView], draft: Draft) -> AnySpec | None:
    """What the address asks for; None while something is missing."""
    if given.scored is not None:
        return scoring.spec(draft, given.scored)
    if kind in ("translate", "evaluate", "joint"):
        its = chosen(kind, given, models, draft)
        if its is None:
            return None
        return (asked.joint if kind == "joint" else asked.translation)(draft, its, given.inputs)
    found = recipe.known()
    split = asked.hold_out(draft, asked.labels_of(given.inputs), names=names_given())
    if split is None or not found:
        return None
    if kind == "train":
        return asked.training(draft, asked.recipe_of(draft, found), given.inputs, split)
    who = asked.contenders(draft, found)
    return asked.comparison(draft, who, given.inputs, split) if who else None


def _look(spec: AnySpec, its: ModelView | None) -> PreflightView:
    if isinstance(spec, TranslateSpec):
        has = [m for m in Modality if spec.dataset(m)]
        every = its is not None and set(spec.directions) == set(asked.possible(its, has))
        wanted = () if every else spec.directions  # as step 2 asked, which is remembered
        return preflight.look_at(spec.model, its.digest if its else "", spec.rna, spec.atac, wanted)
    return preflight.look_at_pair(spec, digest=its.digest if its else "")


def _missing(spec: AnySpec) -> bool:
    """Whether it is a training by what is not installed here."""
    return isinstance(spec, TrainSpec) and any(each.key == spec.model and each.missing for each in recipe.known())


# What will run ---------------------------------------------------------------------------------------------------


def _lines(
    kind: str, plan: PreflightView, spec: AnySpec, its: ModelView | None, given: Given, health: Health | None
) -> list[str]:
    if isinstance(spec, TranslateSpec):
        by = [f"**Model:** {present.plain(its.title)}"] if its else []
        return [*by, *present.plan_lines(plan, health)]
    if given.scored is not None:
        said = [*wizard_score.lines(plan, given.scored), present.cost_line(plan), present.where_line(health)]
        return [line for line in said if line]
    n = present.plural(plan.cells if plan.paired_cells is None else plan.paired_cells, "cell")
    if isinstance(spec, JointSpec):
        runs = (
            f"**What runs:** {present.plain(its.title if its else spec.model)} sees {n} found in both files; they are "
            "grouped and mapped, and so are RNA alone and ATAC alone beside them."
        )
        compared = f"the groups against {present.plain(spec.label)}; " if spec.label else ""
        judged = f"{compared}what is imputed against half of each cell's counts, kept back for that."
    elif isinstance(spec, TrainSpec):
        runs = f"**What runs:** {present.plain(_method(spec))} learns from {n} found in both files."
        judged = f"{present.plain(split_words(spec.split))}; both directions, beside the average profile."
    else:
        assert isinstance(spec, BenchmarkSpec)
        runs = (
            f"**What runs:** {present.plural(len(spec.contenders), 'model')} and the yardsticks, each trained "
            f"{present.plural(len(spec.seeds), 'time')}, on {n} found in both files."
        )
        judged = f"{present.plain(split_words(spec.split))}; differences with paired intervals."
    lines = [runs, f"**How it is judged:** {judged}", present.cost_line(plan), present.where_line(health)]
    return [line for line in lines if line]


def _method(spec: TrainSpec) -> str:
    return next((each.title for each in recipe.known() if each.key == spec.model), spec.model)


def _summary(spec: AnySpec) -> None:
    """What differs from the usual, so that nothing set three steps ago is forgotten."""
    found = asked.said(spec)
    if found:
        words = "; ".join(f"{name} {value}" for name, value in found)
        st.caption(f":material/tune: Changed from the usual: {present.plain(words)}.")


def _title(kind: str, spec: AnySpec, given: Given) -> str:
    cells = asked.title_of(given.inputs)
    if isinstance(spec, EvaluateSpec):
        return ""  # as the service calls it
    if isinstance(spec, TrainSpec):
        return spec.name or f"{_method(spec)} on {cells}"
    if isinstance(spec, BenchmarkSpec):
        return f"{present.plural(len(spec.contenders), 'model')} on {cells}"
    return f"Joint view of {cells}" if kind == "joint" else cells


def _naming(usual: str) -> tuple[str, list[str], dict[str, Any]]:
    """Title, labels and place in the queue; all of it may be left alone."""
    with st.expander("Title, labels and place in the queue", icon=":material/label:", key="naming"):
        title = address.text("Title", param="title", placeholder=usual, max_chars=200)
        labels = address.text(
            "Labels, separated by commas", param="labels", placeholder="figure 3, donor B", max_chars=300,
            help="To find it again on the Jobs page.",
        )  # fmt: skip
        priority = address.one_of(
            "Priority among your waiting jobs", [Priority.NORMAL.value, Priority.HIGH.value, Priority.LOW.value],
            param="priority",
        )  # fmt: skip
        hours = address.number(
            "Stop an attempt after so many hours (0: no limit of its own)", param="hours", usual=0.0, least=0.0,
            most=8_760.0, step=1.0,
        )  # fmt: skip
        fresh = address.tick(
            "Run again even where the same was done already", param="fresh", usual=False,
            help="Otherwise the same cells, settings and model give the finished job at once.",
        )  # fmt: skip
    how: dict[str, Any] = {"priority": Priority(priority), "fresh": fresh}
    if hours:
        how["time_limit_s"] = hours * 3_600
    return title.strip(), [each.strip() for each in labels.split(",") if each.strip()], how


def _open(job: JobView, labels: Sequence[str]) -> None:
    if labels:
        with failure.shown("The job runs, but its labels could not be put on"):
            current_client().board.mark(job.id, add=labels)
    st.switch_page("views/job.py", query_params={"id": job.id})


# Many files ------------------------------------------------------------------------------------------------------


def _batch(given: Given, models: list[ModelView], draft: Draft, health: Health | None) -> None:
    its = chosen("translate", given, models, draft)
    if its is None:
        st.markdown(":material/info: No model is on offer that can translate any of them.")
        return
    with st.container(border=True, key="preflight"):
        fine = fine_files(given, its, shown=True)
        left_out = len(given.files) + len(given.waiting) - len(fine)
        cells = sum(data.cells or 0 for data in fine)
        runs = f"**What runs:** {present.plural(len(fine), 'job')} by {present.plain(its.title)}, "
        st.markdown(f"{runs}{present.plural(cells, 'cell')} in all." + (f" {left_out} left out." if left_out else ""))
        for line in (_cost(fine, its), present.where_line(health)):
            if line:
                st.markdown(line)
    label = address.text("Label of all of them", param="labels", placeholder="one of the day", max_chars=60)
    if st.button(
        f"Translate {present.plural(len(fine), 'file')}", type="primary", icon=":material/swap_horiz:", key="submit",
        disabled=not fine,
    ):  # fmt: skip
        specs = batch_specs(
            its, fine, export=draft.flag("export", False), umap=draft.flag("umap", True), seed=draft.whole("seed", 0)
        )
        done = current_client().board.batch(specs, label=label, titles=[data.name for data in fine])
        _told(done, fine)


def _told(done: BatchView, fine: Sequence[DatasetView]) -> None:
    """All went: on to the list. Some did not: they are named, and the others are a click away."""
    if not done.problems:
        st.switch_page("views/jobs.py", query_params={"label": done.label})
    st.markdown(f"**{len(done.jobs)} of {present.plural(len(fine), 'job')} are under way.**")
    for problem in done.problems:
        name = fine[int(problem.of) - 1].name
        st.markdown(f":material/block: **{present.plain(name)}** {present.plain(problem.failure.message)}")
    st.page_link(
        "views/jobs.py", label="See the others", icon=":material/list_alt:", query_params={"label": done.label}
    )


def _cost(fine: Sequence[DatasetView], its: ModelView) -> str:
    """All of them one after the other, by each pre-flight's own interval."""
    low = high = memory = 0.0
    for data in fine:
        ids = {str(Modality(data.modality).value): data.id} if data.modality else {}
        plan = preflight.look_at(its.id, its.digest, ids.get("rna"), ids.get("atac"), ())
        if plan.seconds is None:
            return ""
        low, high, memory = low + plan.seconds[0], high + plan.seconds[1], max(memory, plan.memory_mb or 0.0)
    if not fine:
        return ""
    return (
        f"**What it takes:** {present.duration_range((low, high))} one after the other, less where several "
        f"run at once; {present.size(memory * 1e6)} of memory for the largest."
    )
