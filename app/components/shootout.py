"""A finished comparison: which model is best, by how much, on which batches, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app import charts_benchmark as charts
from app import present, readings, standings
from app.components import failure
from app.components.address import choice
from app.components.figure import figure
from app.components.result_record import record
from app.components.saving import to_csv
from app.components.table import table as shown_table
from app.components.tabs import tabs
from jobs.bootstrap import current_client
from jobs.names import Direction
from jobs.views import JobView

FIGURE = st.column_config.NumberColumn(format="%.3f")
SIGNED = st.column_config.NumberColumn(format="%+.3f")


def shootout(job: JobView) -> None:
    document: Mapping[str, Any] | None = None
    with failure.shown("The comparison cannot be read"):
        document = _document(job.id, job.attempt)
    if document is None:
        return
    which = _verdicts(document)
    if which is None:
        tabs(record(job))
        return
    part = document["directions"][which.value]
    name = choice("Score", standings.score_names(part), param="score", words=standings.score_words)
    meaning = readings.MEANINGS.get(name)
    if meaning is not None:
        st.caption(meaning.help)
    tabs(
        {
            "Standings": lambda: _standings(job, document, part, name),
            "Pairs": lambda: _pairs(job, document, part, name),
            "Batches": lambda: _batches(job, document, part, name),
            "Costs": lambda: _costs(job, document, part, name),
            "Recipes": lambda: _recipes(job, document, which),
            **record(job),
        }
    )


@st.cache_data(max_entries=8, ttl=3600, show_spinner="Reading the comparison …")
def _document(job: str, attempt: int) -> dict[str, Any]:
    return current_client().benchmark(job)


def _verdicts(document: Mapping[str, Any]) -> Direction | None:
    """Who is best, both ways, and who fell out; gives the direction looked at below."""
    found = standings.directions(document)
    with st.container(border=True, key="verdict"):
        st.subheader("Which model is best?", anchor=False)
        st.caption(standings.data_line(document))
        for which in found:
            part = document["directions"][which.value]
            said = present.plain(standings.verdict(document, part, str(part["main"])))
            st.markdown(f"**{present.direction(which)}** {said}")
        for line in standings.failures(document):
            st.markdown(f":material/error: {present.plain(line)}")
        if not found:
            st.markdown("No model could be trained and scored.")
    if not found:
        return None
    asked = st.query_params.get("direction", "")
    here = next((d for d in found if d.value == asked), found[0])
    if len(found) > 1:
        st.segmented_control(
            "Direction", found, default=here, required=True, key="which", format_func=present.direction,
            on_change=_turn, label_visibility="collapsed",
        )  # fmt: skip
    return here


def _turn() -> None:
    st.query_params["direction"] = Direction(st.session_state["which"]).value
    st.query_params.pop("score", None)
    st.session_state.pop("score-choice", None)


def _marked(document: Mapping[str, Any], part: Mapping[str, Any], name: str) -> list[tuple[str, float, str]]:
    """Yardsticks and ceiling, as lines of the chart."""
    table = standings.lines(document, part, name)
    yardsticks = table[table["null"].astype(bool)]
    found = [(str(a), float(v), "null") for a, v in zip(yardsticks["label"], yardsticks["value"].tolist(), strict=True)]
    ceiling = standings.ceiling(part, name)
    return [*found, *([(charts.CEILING, ceiling, "good")] if ceiling is not None else [])]


def _standings(job: JobView, document: Mapping[str, Any], part: Mapping[str, Any], name: str) -> None:
    table, seeds = standings.rivals(document, part, name), standings.seed_points(part, name)
    marked = _marked(document, part, name)
    title = f"{standings.score_words(name)} on {present.plural(part['n'], 'cell')}, with 95 % intervals"
    chart = charts.standings(
        table, seeds, title=title[0].upper() + title[1:], quantity="higher is better", marked=marked
    )
    pairs = zip(table["label"], table["value"].tolist(), strict=True)
    said = "; ".join(f"{label} {present.number(value, digits=3)}" for label, value in pairs)
    figure(
        chart, key="standings", alt=f"{title}, the best first: {said}. "
        + "; ".join(f"{what} {present.number(value, digits=3)}" for what, value, _ in marked),
        table=standings.lines(document, part, name), file=_file(job, name),
    )  # fmt: skip
    note = standings.ceiling_note(part, name)
    st.caption(
        "The dot is the mean over seeds, the bar its interval over cells, each small tick one seed."
        + (f" Ceiling: {present.plain(note)}" if note else "")
    )
    _gains(job, document, part, name)
    _all_scores(job, document, part)


def _gains(job: JobView, document: Mapping[str, Any], part: Mapping[str, Any], name: str) -> None:
    table = standings.lines(document, part, name)
    shown: dict[str, Any] = {
        "model": table["label"],
        "score": table["value"],
        "from": table["low"],
        "to": table["high"],
    }
    if table["sd"].notna().any():
        shown["SD over seeds"] = table["sd"]
    config: dict[str, Any] = {"model": st.column_config.TextColumn(pinned=True)}
    config |= dict.fromkeys(("score", "from", "to", "SD over seeds"), FIGURE)
    for reference, words in standings.REFERENCES.items():
        if table[f"gain {reference}"].notna().any():
            shown[f"over {words}"] = table[f"gain {reference}"]
            shown[f"95 % ({reference})"] = [
                "" if low != low or low is None else f"{standings.signed(low)} to {standings.signed(high)}"
                for low, high in zip(table[f"from {reference}"], table[f"to {reference}"], strict=True)
            ]
            config[f"over {words}"] = SIGNED
    shown_table(
        pd.DataFrame(shown), key="gains", alt="Each model with its gains over yardsticks", config=config,
        height="content", file=_file(job, f"{name}-gains"),
    )  # fmt: skip
    st.caption("Gains are paired by cell: an interval that holds 0 means the gain could be chance.")


def _all_scores(job: JobView, document: Mapping[str, Any], part: Mapping[str, Any]) -> None:
    st.subheader("All scores", anchor=False)
    columns = {
        name: standings.lines(document, part, name).set_index("label")["value"] for name in standings.score_names(part)
    }
    table = pd.DataFrame({standings.score_words(name): values for name, values in columns.items()})
    table = table.reindex(list(part["contenders"])).rename_axis("model").reset_index()
    config: dict[str, Any] = dict.fromkeys(table.columns[1:], FIGURE)
    shown_table(
        table, key="every-score", alt="Every score of every model", height="content", file=_file(job, "scores"),
        config={"model": st.column_config.TextColumn(pinned=True), **config},
    )  # fmt: skip
    st.download_button(
        "Download everything (CSV)", lambda: to_csv(standings.every_score(document)),
        present.file(job, "benchmark.csv"), "text/csv", on_click="ignore",
        icon=":material/download:", key="benchmark-csv",
        help="Both directions, every score, every batch; the JSON and the report in words are under Download above.",
    )  # fmt: skip


def _pairs(job: JobView, document: Mapping[str, Any], part: Mapping[str, Any], name: str) -> None:
    table = standings.pairs(part, name)
    if table.empty:
        names = ", ".join(standings.score_words(n) for n in part.get("differences") or ())
        st.markdown(f"Pairs were compared for the main scores: {names or 'none'}. Choose one of them above.")
        return
    order = list(standings.lines(document, part, name)["label"])
    title = standings.wins(table)
    chart = charts.win_matrix(table, order, title=title)
    figure(
        chart, key="pairs", table=table, file=_file(job, f"{name}-pairs"),
        alt=f"Every model against every other at {standings.score_words(name)}. {title}.",
    )  # fmt: skip
    st.caption("Paired by cell: both models are judged on the very same cells, so what is hard for both cancels out.")


def _batches(job: JobView, document: Mapping[str, Any], part: Mapping[str, Any], name: str) -> None:
    batches = dict((part.get("batches") or {}).items())
    with_score = {v: b for v, b in batches.items() if not standings.lines(document, b, name).empty}
    if not with_score:
        st.markdown(
            "Batches were not judged apart: name the column of the batches when comparing."
            if not batches
            else f"{standings.score_words(name).capitalize()} is known for all cells together only."
        )
        return
    reaches = [
        charts.reach(standings.rivals(document, b, name), _marked(document, b, name)) for b in with_score.values()
    ]
    domain = min(low for low, _ in reaches), max(high for _, high in reaches)
    items = list(with_score.items())
    for row in range(0, len(items), 2):
        for column, (value, batch) in zip(st.columns(2), items[row : row + 2], strict=False):
            with column:
                _batch(job, document, value, batch, name, domain)


def _batch(
    job: JobView, document: Mapping[str, Any], value: str, batch: Mapping[str, Any], name: str,
    domain: tuple[float, float],
) -> None:  # fmt: skip
    table = standings.rivals(document, batch, name)
    best = ((batch.get("best") or {}).get(name) or {}).get("label")
    title = f"{value}: {best or 'no model'} is best ({present.plural(batch['n'], 'cell')})"
    chart = charts.standings(
        table, standings.seed_points(batch, name), title=title, quantity=standings.score_words(name), domain=domain,
        marked=_marked(document, batch, name),
    )  # fmt: skip
    figure(
        chart, key=f"batch-{present.slug(value)}", table=standings.lines(document, batch, name),
        alt=f"{standings.score_words(name)} on batch {title}", file=_file(job, f"{name}-{present.slug(value)}"),
    )  # fmt: skip


def _costs(job: JobView, document: Mapping[str, Any], part: Mapping[str, Any], name: str) -> None:
    table = standings.costs(document, part, name)
    known = [cost for cost in standings.COSTS if table[cost].notna().any()]
    if not known:
        st.markdown("No costs were measured.")
        return
    cost = choice("Cost", known, param="cost", words=lambda c: standings.COSTS[c][0])
    words, unit = standings.COSTS[cost]
    title = f"{standings.score_words(name)[0].upper()}{standings.score_words(name)[1:]} against {words}"
    chart = charts.costs(table, title=title, cost=cost, words=words, unit=unit, quantity=standings.score_words(name))
    figure(chart, key="costs", alt=f"{title}, a dot each model", table=table, file=_file(job, f"{name}-{cost}"))
    shown = table.drop(columns=["value", "null"]).rename(columns={"label": "model"})
    config: dict[str, Any] = {
        "model": st.column_config.TextColumn(pinned=True),
        "train_s": st.column_config.NumberColumn("s to train", format="%.1f"),
        "predict_s": st.column_config.NumberColumn("s to translate", format="%.2f"),
        "peak_mb": st.column_config.NumberColumn("MB at most", format="%.0f"),
        "resumed": st.column_config.CheckboxColumn("went on after a stop"),
    }
    shown_table(
        shown, key="cost-rows", alt="What each model costs", config=config, height="content",
        file=_file(job, "costs"),
    )  # fmt: skip
    st.caption(
        "Means over seeds, as measured in that run: memory above what the imports take. They depend on the machine and "
        "on what else it did."
    )


def _recipes(job: JobView, document: Mapping[str, Any], which: Direction) -> None:
    for model, labels in standings.variants(document).items():
        st.markdown(
            f":material/tune: **{present.plain(model)}** took part as {present.plain(', '.join(labels))}: "
            "compare them in the standings."
        )
    config = {"contender": st.column_config.TextColumn(pinned=True)}
    shown_table(
        standings.recipes(document), key="recipes", alt="Settings of every model", config=config, height="content",
        file=_file(job, "settings"),
    )  # fmt: skip
    for contender in document["contenders"]:
        for note in contender.get("notes") or ():
            st.caption(f"{present.plain(contender['label'])}: {present.plain(note)}")
    released = standings.released(document, which)
    if not released.empty:
        st.subheader("Beside the authors' own code", anchor=False)
        digits: dict[str, Any] = dict.fromkeys(("here", "their own code", "SD of ours"), FIGURE)
        shown_table(
            released, key="released", alt="Scores here and of the authors' own code", height="content",
            file=_file(job, "released"),
            config={"model": st.column_config.TextColumn(pinned=True), **digits, "difference": SIGNED},
        )  # fmt: skip
        st.caption(present.plain(str(document["peers"].get("note", ""))))
    for note in document.get("notes") or ():
        st.caption(f":material/info: {present.plain(note)}")


def _file(job: JobView, what: str) -> str:
    return present.file(job, what)
