"""Figures of analyses of values: worth of imputation, markers of groups, and gene activity against expression."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import analysis_rows, charts, charts_analysis, charts_scores, findings, present
from app.analyses import PROFILES
from app.components.address import choice, one_of
from app.components.analysed import Analysed
from app.components.figure import figure
from app.components.table import table as shown_table
from jobs.names import Modality

NAMED, LISTED = 6, 10  # genes written into a chart; rows of a list  # ours
MOST_DRAWN = 2_000  # genes or peaks at either end of a volcano  # ours
MOST_READ = 60_000  # genes of one group  # ours
LEVEL = 0.05


def imputation(result: Analysed) -> None:
    for which in Modality:
        name = f"correlation.{which.value}.correlation"
        if result.has(name):
            _correlation(result, result.table(name), which)
    if result.has("recovery.curve"):
        _recovery(result)


def _correlation(result: Analysed, table: pd.DataFrame, which: Modality) -> None:
    st.subheader(f"{present.measured(which).capitalize()} ({present.modality(which)})", anchor=False)
    left, right = st.columns(2)
    for place, key, rows, title in (
        (
            left,
            "all",
            analysis_rows.imputation_rows(table),
            f"Likeness of a cell to its {result.label}, all kinds together",
        ),
        (right, "kinds", analysis_rows.label_rows(table), "What sets the kind apart, kind by kind"),
    ):
        if not rows:
            continue
        frame = pd.DataFrame(rows)
        with place:
            chart = charts_analysis.marks(
                frame, title=title, quantity="correlation with cells kept apart, higher is better", neutral=0.0,
                kinds=charts_analysis.PROFILE_KINDS,
            )  # fmt: skip
            said = "; ".join(dict.fromkeys(frame["label"]))
            file = result.file(f"{which.value}-{key}")
            figure(chart, key=f"{which.value}-{key}", alt=f"{title}. {said}.", table=table, file=file)
    st.caption(
        "Each cell is compared with the sum of the other half of its kind's cells. What sets a kind apart is what "
        "remains when the average cell is taken away: the average itself scores 0 there."
    )


def _recovery(result: Analysed) -> None:
    st.subheader("Open peaks of a kind, found in single cells", anchor=False)
    curve, peaks = result.table("recovery.curve"), result.table("recovery.peaks")
    label = choice("Kind", sorted(curve["label"].unique()), param="kind")
    for place, which, words in zip(
        st.columns(2), ("all", "specific"), ("all its open peaks", "the peaks that set it apart"), strict=True
    ):
        own = curve[(curve["label"] == label) & (curve["peaks"] == which)]
        if own.empty:
            continue
        own = own.assign(what=own["profile"].map(analysis_rows.WHAT))
        title = f"{label}: {words}"
        with place:
            said = "; ".join(
                f"{what}: {present.percent(_half(part))} right where half are found"
                for what, part in own.groupby("what", sort=False)
            )
            chart = charts_analysis.recovery(own, title=title)
            figure(
                chart, key=f"recovery-{which}", alt=f"{title}. {said}.", table=own, file=result.file(f"peaks-{which}")
            )
    shown_table(
        peaks[["label", "peaks", "called", "base_rate"]], key="open-peaks", height="content",
        alt="How many open peaks each kind has", file=result.file("open-peaks"),
        config={
            "label": st.column_config.TextColumn("kind", pinned=True),
            "peaks": st.column_config.TextColumn("of", help="all: open in it; specific: these set it apart"),
            "called": st.column_config.NumberColumn("open peaks, mean of both halves", format="%.1f"),
            "base_rate": st.column_config.NumberColumn("share of all peaks, by chance", format="percent"),
        },
    )  # fmt: skip


def _half(curve: pd.DataFrame) -> float:
    """The precision where half of the peaks are found."""
    near = curve["recall"].sub(0.5).abs().to_numpy(dtype=float)
    return float(curve["precision"].to_numpy(dtype=float)[near.argmin()])


def markers(result: Analysed) -> None:
    present_ = [which for which in Modality if result.has(f"markers.{which.value}.markers")]
    which = Modality(
        choice(
            "Genes or peaks", [m.value for m in present_], param="of",
            words=lambda m: f"{present.row(Modality(m)).capitalize()}s",
        )
    ) if len(present_) > 1 else present_[0]  # fmt: skip
    found = findings.of(result.report(), f"markers.{which.value}")
    group = choice("Group", [str(name) for name in found["figures"]["groups"]], param="group")
    profiles = [name for name in PROFILES if name in result.spec.on and (name == "raw" or result.spec.model)]
    tables = {str(p): _strongest(result, which, group, p) for p in profiles}
    places = st.columns(len(tables))
    for place, (profile, table) in zip(places, tables.items(), strict=True):
        with place:
            top = _top(result, table, which, group, profile)
            if profile == "raw":
                _volcano(result, table, top, which, group)
            elif "raw" in tables and which is Modality.RNA:  # peaks are too many to lay side by side
                _beside(result, tables["raw"], which, group)
    if result.has(f"markers.{which.value}.overlap"):
        _overlap(result, which)


def _strongest(result: Analysed, which: Modality, group: str, profile: str) -> pd.DataFrame:
    """What is highest and what is lowest by score in one group, each once; the highest first."""
    name, where = f"markers.{which.value}.markers", {"profile": profile, "group": group}
    high = result.table(name, where=where, sort="score", descending=True, most=MOST_DRAWN)
    low = result.table(name, where=where, sort="score", most=MOST_DRAWN)
    return pd.concat([high, low]).drop_duplicates("feature").reset_index(drop=True)


def _top(result: Analysed, table: pd.DataFrame, which: Modality, group: str, profile: str) -> pd.DataFrame:
    """The chart of the foremost genes or peaks of a group; returns them."""
    high, how = table[table["score"] > 0].head(MOST_DRAWN), "highest by score"
    if profile == "imputed":  # smooth values make every score high: rank by effect among them
        apart = (high["mean"] - high["mean_rest"]).sort_values(ascending=False)
        high, how = high.loc[apart.index], f"farthest apart of the {present.count(len(high))} best scored"
    top = high.head(LISTED)
    quantity = "mean expression, log" if which is Modality.RNA else "share of cells, or probability"
    title = f"{group}, {PROFILES[profile]}: the {len(top)} {how}"
    chart = charts_analysis.means(top, title=title, quantity=quantity, imputed=profile == "imputed")
    file = result.file(f"{present.slug(group)}-{profile}-top")
    figure(chart, key=f"means-{profile}", alt=f"{title}: {', '.join(top['feature'])}.", table=top, file=file)
    return top


def _volcano(result: Analysed, table: pd.DataFrame, top: pd.DataFrame, which: Modality, group: str) -> None:
    thing = present.row(which)
    sure = table["q"] < LEVEL
    side = pd.Series("not told apart", index=table.index)
    side[sure & (table["score"] > 0)] = "higher here"
    side[sure & (table["score"] < 0)] = "lower here"
    n = int((side == "higher here").sum())
    title = f"{group}, measured: {present.plural(n, thing)}{' or more' if n >= MOST_DRAWN else ''} higher here"
    said = f"Highest: {', '.join(top['feature'])}" if len(top) else "None is higher here"
    drawn = table.assign(what=side)
    chart = charts_analysis.volcano(drawn, title=title, thing=thing, top=list(top["feature"].head(NAMED)))
    figure(chart, key="volcano", alt=f"{title}. {said}.", table=drawn, file=result.file(present.slug(group)))


def _beside(result: Analysed, table: pd.DataFrame, which: Modality, group: str) -> None:
    """What sets the group apart as measured, against the same as imputed. table: of measured values."""
    where = {"profile": "imputed", "group": group}
    imputed = result.table(f"markers.{which.value}.markers", where=where, most=MOST_READ)
    both = table.merge(imputed, on="feature", suffixes=("", " imputed"))
    frame = pd.DataFrame(
        {
            "name": both["feature"],
            "measured": both["mean"] - both["mean_rest"],
            "predicted": both["mean imputed"] - both["mean_rest imputed"],
        }
    )
    r, thing = float(frame["measured"].corr(frame["predicted"])), present.row(which)
    title = f"{group}: measured and imputed differences go together, r\u00a0=\u00a0{present.number(r)}"
    if r < 0.5:
        title = f"{group}: measured and imputed differences part, r\u00a0=\u00a0{present.number(r)}"
    chart = charts.agreement(
        frame, title=title, x="difference from all other cells, measured", y="the same, imputed", unit=thing
    )
    said = f"{title}, over the {present.plural(len(frame), thing)} of highest and lowest score as measured."
    figure(chart, key="beside", alt=said, table=frame, file=result.file(f"{present.slug(group)}-both"))


def _overlap(result: Analysed, which: Modality) -> None:
    table = result.table(f"markers.{which.value}.overlap")
    rows = pd.DataFrame(analysis_rows.overlap_rows(table))
    if rows.empty:
        st.markdown("Your list names none of these groups.")
        return
    title = f"{present.row(which).capitalize()}s shared with your list"
    chart = charts_analysis.marks(
        rows, title=title, quantity="names shared", neutral=0.0, kinds=charts_analysis.PROFILE_KINDS
    )
    said = "; ".join(dict.fromkeys(rows["label"]))
    figure(chart, key="overlap", alt=f"{title}. {said}.", table=table, file=result.file("overlap"))


def activity(result: Analysed) -> None:
    table = result.table("activity.genes")
    profiles = [name for name in PROFILES if name in set(table["profile"])]
    for place, profile in zip(st.columns(len(profiles)), profiles, strict=True):
        own = table[table["profile"] == profile]
        mean, genes = present.number(float(own["pearson"].mean())), present.plural(len(own), "gene")
        title = f"{PROFILES[profile].capitalize()} peaks: mean correlation {mean} over {genes}"
        with place:
            chart = charts_scores.histogram(
                own["pearson"].to_numpy(dtype=float), title=title, quantity="correlation over cells", unit="gene",
                neutral=0.0, measured=profile == "raw",
            )  # fmt: skip
            alt = f"{title}. By chance it would be 0."
            figure(chart, key=f"activity-{profile}", alt=alt, table=own, file=result.file(f"activity-{profile}"))
    st.caption(
        "By chance the mean is 0. Counts are sparse: by chance, most genes then lie a little below it, few far above."
    )
    st.subheader("Genes whose peaks say most", anchor=False)
    which = (
        one_of("Peaks as", profiles, param="peaks-as", words=lambda p: PROFILES[str(p)]) if len(profiles) > 1 else ""
    )
    best = table[table["profile"] == which] if which else table
    best = best.drop(columns="profile").sort_values("pearson", ascending=False).head(200)
    shown_table(
        best, key="best-genes", height=360, alt="Genes whose activity follows expression best",
        file=result.file(f"activity-best-{which}" if which else "activity-best"),
        config={
            "gene": st.column_config.TextColumn(pinned=True),
            "pearson": st.column_config.NumberColumn("correlation", format="%.3f"),
            "spearman": st.column_config.NumberColumn("of ranks", format="%.3f"),
        },
    )  # fmt: skip
    st.caption("The activity of every gene in every cell is under Download, as .h5ad.")
