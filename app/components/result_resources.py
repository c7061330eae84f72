"""Resources: what a job took of processor, memory and GPU, second by second, beside what was said before."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import streamlit as st

from app import charts_resources, present
from app.components.figure import figure
from app.components.table import table
from jobs.client import Client
from jobs.resources.views import ResourcesView, StageUse
from jobs.views import JobView

MB = 1e6


def show(client: Client, job: JobView) -> None:
    """Of the latest attempt, or of the one chosen; also of what failed, as far as it got."""
    latest = client.resources(job.id)
    found = _chosen(client, job, latest) if len(latest.attempts) > 1 else latest
    if not found.stages:
        st.markdown("Nothing was recorded yet: the first figures come a few seconds after a job has started.")
        return
    st.markdown(_in_words(job, found))
    name, time = present.file(job, str(found.attempt)), _time(found)
    stages = pd.DataFrame(
        [{"stage": _name(s.stage, job), "start": s.start_s, "end": s.start_s + s.seconds}
         for s in _in_turn(found)]
    )  # fmt: skip
    time["stage"] = [_name(stage, job) for stage in found.stage]
    memory = time.assign(value=[m / MB for m in found.memory])
    peak = present.size(found.peak)
    title = f"At most {peak} of memory, all processes together"
    chart = charts_resources.over_time(memory, title=title, quantity="memory (MB)", stages=stages)
    figure(chart, key="resources-memory", alt=title, table=memory, file=f"{name}-memory")
    busy = time.assign(value=found.cores)
    title = f"{present.number(found.cpu_s / max(found.seconds, 1e-3))} processors busy on average"
    chart = charts_resources.processors(busy, title=title, stages=stages)
    figure(chart, key="resources-cpu", alt=title, table=busy, file=f"{name}-processors")
    _gpu(found, time, stages, name)
    _stages(found, job, name)
    st.caption(
        "Memory counts pages that several processes share once, as far as the system says which. "
        f"Measuring took {found.cost:.1%} of the time."
    )


def _name(stage: str, job: JobView) -> str:
    known = present.stages(job.kind).get(stage)
    return known.short if known else stage.replace("-", " ").capitalize()


def _chosen(client: Client, job: JobView, latest: ResourcesView) -> ResourcesView:
    attempt = st.segmented_control(
        "Attempt", latest.attempts, default=latest.attempt, required=True, key="attempt", bind="query-params"
    )
    return latest if attempt == latest.attempt else client.resources(job.id, attempt=int(attempt))


def _in_words(job: JobView, found: ResourcesView) -> str:
    parts = [
        f"**{present.duration(found.seconds)}** on {present.plural(found.machines, 'machine')}",
        present.plural(found.processes, "process", "processes"),
        f"{present.duration(found.cpu_s)} of processor time",
    ]
    said = f"the largest process had **{present.size(found.largest)}**"
    if found.expected:
        how = "as estimated" if found.largest <= found.expected else "more than estimated"
        said += f" ({how}: {present.size(found.expected)})"
    return " · ".join([*parts, said])


def _time(found: ResourcesView) -> pd.DataFrame:
    return pd.DataFrame({"seconds": [i * found.step_s for i in range(len(found.memory))]})


def _in_turn(found: ResourcesView) -> Iterator[StageUse]:
    """Stages as the driver went through them: those that ran beside another are in the table alone."""
    end = 0.0
    for use in found.stages:
        if use.start_s >= end - found.step_s:
            yield use
            end = use.start_s + use.seconds


def _gpu(found: ResourcesView, time: pd.DataFrame, stages: pd.DataFrame, name: str) -> None:
    if not found.gpu_name:
        st.markdown("No GPU was used.")
        return
    held = time.assign(value=pd.Series(found.gpu_memory, dtype=float) / MB).dropna()
    if len(held):
        title = f"{found.gpu_name}: at most {present.size(float(held['value'].max()) * MB)}"
        chart = charts_resources.over_time(held, title=title, quantity="GPU memory (MB)", stages=stages)
        figure(chart, key="resources-gpu", alt=title, table=held, file=f"{name}-gpu-memory")
    used = time.assign(value=100 * pd.Series(found.gpu, dtype=float)).dropna()
    if len(used):
        title = f"The GPU was in use {present.percent(float(used['value'].mean()) / 100)} of the time"
        chart = charts_resources.over_time(used, title=title, quantity="GPU in use (%)", stages=stages)
        figure(chart, key="resources-gpu-use", alt=title, table=used, file=f"{name}-gpu-use")


def _stages(found: ResourcesView, job: JobView, name: str) -> None:
    st.subheader("By stage", anchor=False)
    rows = [
        {
            "stage": _name(use.stage, job),
            "seconds": use.seconds,
            "processors busy": use.cores,
            "most memory (MB)": round(use.memory / MB),
            "largest process (MB)": round(use.one / MB),
            "GPU memory (MB)": None if use.gpu_memory is None else round(use.gpu_memory / MB),
        }
        for use in found.stages
    ]
    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    table(frame, key="stages", alt="What each stage took", file=f"{name}-stages", height="content")
