"""The report of an analysis as sentences: what was found, what chance or the average would give, what to beware.

Pure functions, as `jointly` for joint views; rows of charts are in `analysis_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app.analyses import PROFILES, embedding
from app.analysis_rows import MEAN, TRAINING_MEAN, capital, method_words, records
from app.present import count, modality, number, percent, plain, plural
from jobs.names import Modality

Table = Callable[[str], pd.DataFrame]
MANY = 4  # views or ways beyond which a sentence does not name each  # ours
LEVEL = 0.05  # of the false discovery rate, as the analyses have it


@dataclass(frozen=True)
class Finding:
    """sentence: the answer. beside: what chance or the average would give, or how not to read it."""

    sentence: str
    beside: str = ""


def findings(report: Mapping[str, Any], label: str, table: Table) -> list[Finding]:
    """One a result. table: reads a small table by WHAT.TABLE."""
    found = []
    for result in report.get("results", ()):
        what = str(result.get("what", ""))
        say = _SAY.get(what.split(".")[0])
        if say is not None:
            found.append(say(result, label, table))
    return found


def of(report: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """One result by its name; empty where there is none."""
    return next((each for each in report.get("results", ()) if each.get("what") == what), {})


def cautions(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know, each once: of the results first, then of the cells and the model."""
    said = [str(each) for result in report.get("results", ()) for each in result.get("cautions", ())]
    if trained := int(report.get("trained_on") or 0):
        of_all = plural(int(report.get("cells") or 0), "cell")
        said.append(f"{count(trained)} of {of_all} trained this model: on those it looks better than it is.")
    return list(dict.fromkeys(said))


def notes(report: Mapping[str, Any]) -> list[str]:
    """What was done in passing: of the model, and of each way to see the cells."""
    said = [str(note) for note in report.get("notes", ())]
    for result in report.get("results", ()):
        told = (result.get("settings") or {}).get("embeddings")
        for name, lines in (told or {}).items() if isinstance(told, Mapping) else ():
            said += [f"{capital(embedding(str(name)))}: {line}" for line in lines if line not in said]
    return list(dict.fromkeys(said))


def _cluster(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures = result.get("figures", {})
    scored = [row for row in figures.get("median", ()) if _finite(row.get("ari"))]
    if not scored:
        sizes = table("cluster.agreement")
        first = sizes[sizes["seed"] == sizes["seed"].min()]
        said = [
            f"{plural(int(row['clusters']), 'group')} by {method_words(row['method'])} in {embedding(row['embedding'])}"
            for row in records(first)
        ]
        return Finding(
            f"{capital(_listed(said))}.", "No labels were given: nothing says which of these groups are right."
        )
    best = max(scored, key=lambda row: row["ari"])
    others: dict[str, float] = {}
    for row in scored:
        if row["embedding"] != best["embedding"]:
            others[row["embedding"]] = max(row["ari"], others.get(row["embedding"], -1.0))
    ranked = sorted(others.items(), key=lambda each: -each[1])
    beside = [f"{embedding(name)} {number(value)}" for name, value in ranked]
    of = f"{method_words(best['method'])} groups in {embedding(best['embedding'])}"
    sentence = f"{capital(of)} agree best with {plain(label)}: ARI {number(best['ari'])}"
    said_beside = f"The best in each other view: {', '.join(beside)}. " if beside else ""
    if len(scored) > MANY:
        said_beside += f"The labels themselves picked it among {len(scored)}: a small gap says little. "
    seeds = len((result.get("settings") or {}).get("seeds") or (0,))
    middle = f" The median of {seeds} runs." if seeds > 1 else ""
    return Finding(f"{sentence}.", f"{said_beside}0 is what labels dealt at random give, 1 the same groups.{middle}")


def _imputation(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    which = Modality(str(result["what"]).split(".")[1])
    scores = result.get("figures", {})
    specific, whole = scores.get("specific", {}), scores.get("pearson", {})
    raw, imputed = specific.get("raw"), specific.get("imputed")
    measured = modality(which)
    if imputed is None:
        return Finding(
            f"Measured {measured} resembles what sets its {plain(label)} apart with a correlation of {number(raw)}.",
            "0 is what the average cell reaches. Nothing was imputed here.",
        )
    rows = _overall(table(f"{result['what']}.correlation"), "specific", "imputed")
    null = specific.get(TRAINING_MEAN, specific.get(MEAN))
    low = rows.get("gain_over_raw_low")
    better = raw is None or (isinstance(low, float) and low > 0)
    words = "resembles" if better else "does not resemble"
    against = "" if raw is None else f" {'than' if better else 'better than'} measured {measured} does"
    more = "more closely" if better and raw is not None else ""
    sentence = f"Imputed {measured} {words} what sets its {plain(label)} apart {more}{against}".replace("  ", " ")
    numbers = f"correlation {number(imputed)}" + ("" if raw is None else f" against {number(raw)}")
    beside = f"The average training cell reaches {number(null)}."
    if whole.get("imputed") is not None:
        beside += (
            f" Over all values it is {number(whole['imputed'])} imputed, {number(whole.get('raw'))} measured, and "
            f"{number(whole.get(TRAINING_MEAN, whole.get(MEAN)))} for the average: most of that all kinds share."
        )
    return Finding(f"{sentence}: {numbers}.", beside)


def _overall(table: pd.DataFrame, score: str, profile: str) -> Mapping[str, Any]:
    """The row over all labels of one score and profile, as a record."""
    if table.empty:
        return {}
    rows = table[(table["label"].fillna("") == "") & (table["score"] == score) & (table["profile"] == profile)]
    return next(iter(records(rows)), {})


def _recovery(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    every, own = (result.get("figures", {}).get(name, {}) for name in ("all", "specific"))
    found, apart = every.get("recall_at_raw_precision", {}), own.get("recall_at_raw_precision", {})
    if "imputed" not in found:
        return Finding(
            f"A measured cell shows {percent(found.get('raw', 0.0))} of the open peaks of its {plain(label)}."
        )
    null = TRAINING_MEAN if TRAINING_MEAN in found else MEAN
    return Finding(
        f"At the precision of a measured cell, an imputed one finds {percent(found['imputed'])} of the open peaks of "
        f"its {plain(label)}; a measured one {percent(found.get('raw', 0.0))}.",
        f"The average cell finds {percent(found.get(null, 0.0))} as well, since most peaks are open in every kind. Of "
        f"the peaks that set a kind apart: imputed {percent(apart.get('imputed', 0.0))}, average "
        f"{percent(apart.get(null, 0.0))}, measured {percent(apart.get('raw', 0.0))}.",
    )


def _mixing(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures = result.get("figures", {})
    scaled = figures.get("scaled", {})
    within = label and all(_finite(each.get("within_labels")) for each in scaled.values())
    key = "within_labels" if within else "all"
    where = f" within each {plain(label)}" if within else ""
    sentence = f"How well {count(int(figures.get('batches', 0)))} batches mix{where}: {_mixed(scaled, key)}."
    over = f" Over all cells: {_mixed(scaled, 'all')}; there, a kind of cell that few batches hold counts as unmixed."
    return Finding(
        sentence,
        "1 is what shuffled batches give (more is no better), 0 batches that lie apart. A view that shows nothing also "
        "mixes well: ask whether it keeps kinds apart (Groups of cells)." + (over if within else ""),
    )


def _mixed(scaled: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """Each view with its share of chance; of many, the range and the model's own."""
    shares = {name: max(each.get(key) or 0.0, 0.0) for name, each in scaled.items()}
    said = {name: f"{embedding(name)} {number(value)}" for name, value in shares.items()}
    if len(said) <= MANY:
        return ", ".join(said.values())
    ends = min(shares, key=lambda name: shares[name]), max(shares, key=lambda name: shares[name])
    low, high = (f"{number(shares[name])} ({embedding(name)})" for name in ends)
    own = f"; {said['joint']}" if "joint" in said else ""
    return f"from {low} to {high} in {len(said)} views{own}"


def _abnormal(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures, settings = result.get("figures", {}), result.get("settings", {})
    clusters, cells = int(figures.get("abnormal_clusters", 0)), int(figures.get("abnormal_cells", 0))
    beside = (
        f"Called where the middle cell lies {settings.get('away', 1.0):g} robust deviation or more below the "
        f"other cells in RNA and above them in ATAC, each beyond chance (false discovery rate "
        f"{percent(settings.get('level', 0.01))})"
    )
    relative = f", compared within each {plain(label)}" if settings.get("relative_to_label") and label else ""
    if not clusters:
        return Finding("No group of cells has little RNA and much ATAC.", f"{beside}{relative}.")
    names = table("abnormal.clusters")
    called = [plain(str(name)) for name in names.loc[names["abnormal"].astype(bool), "name"]]
    return Finding(
        f"{plural(clusters, 'group')} of {plural(cells, 'cell')} {'has' if clusters == 1 else 'have'} little RNA and "
        f"much ATAC: {_listed(called)}.",
        f"{beside}{relative}. Look at them before trusting what rests on them.",
    )


def _markers(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    which = Modality(str(result["what"]).split(".")[1])
    figures = result.get("figures", {})
    groups, found = len(figures.get("groups", ())), figures.get("significant", {})
    things = "genes" if which is Modality.RNA else "peaks"
    raw, imputed = int(found.get("raw", 0)), found.get("imputed")
    stands = "stands" if raw == 1 else "stand"
    first = f"No measured {things[:-1]} stands" if not raw else f"{plural(raw, f'measured {things[:-1]}')} {stands}"
    sentence = f"{first} out in one of {groups} groups (false discovery rate 5 %)."
    if "overlap" in (result.get("tables") or {}):
        sentence = f"{sentence} {_overlap(table(str(result['what']) + '.overlap'), things)}".strip()
    beside = f"One that stands out in two groups counts twice; {groups} groups are each held against all other cells."
    if imputed is None:
        return Finding(sentence, beside)
    return Finding(
        sentence,
        f"{beside} Imputed, {count(int(imputed))} do: not a finding, since imputed cells are smooth copies of one "
        "model. Use them to rank, and measured values to decide.",
    )


def _overlap(table: pd.DataFrame, things: str) -> str:
    if not table["expected"].sum():
        return f"Your list names none of these {'groups' if table.empty else things}."
    said = [
        f"{PROFILES.get(str(profile), str(profile))} {count(int(part['shared'].sum()))} "
        f"({number(float(part['expected'].sum()), digits=1)} by chance)"
        for profile, part in table.groupby("profile", sort=False)
    ]
    return f"Names shared with your list: {', '.join(said)}." if said else ""


def _lasso(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures = result.get("figures", {})
    chosen, pairs = figures.get("selected", {}), int(figures.get("pairs", 0))
    said = [f"{count(int(n))} on {PROFILES.get(name, name)} cells" for name, n in chosen.items()]
    fits = table("lasso.genes")
    r2 = {
        str(name): float(part["r2"].median())
        for name, part in fits[fits["selected"] > 0].groupby("profile", sort=False)
        if len(part)
    }
    explained = [f"{percent(max(value, 0.0))} on {PROFILES.get(name, name)} cells" for name, value in r2.items()]
    beside = (
        f"Of a gene with links, they explain {_listed(explained)} of its variance among these same cells (median)."
        if explained
        else ""
    )
    if pairs and int(chosen.get("imputed", 0)) > pairs / 2:
        share = percent(int(chosen["imputed"]) / pairs)
        beside = f"{beside} Imputed, {share} of all pairs are linked: read which come first, not how many.".strip()
    return Finding(
        f"Of {plural(pairs, 'pair')} of a peak and a gene near it, these are linked: {_listed(said)}.", beside
    )


def _coaccess(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures = result.get("figures", {})
    together, pairs = figures.get("positive", {}), figures.get("pairs", {})
    said = [
        f"{count(int(n))} on {PROFILES.get(name, name)} cells (of {count(int(pairs.get(name, 0)))} that vary together "
        "or against each other)"
        for name, n in together.items()
    ]
    left = sum(int(n) for n in (figures.get("dense_windows_left_out") or {}).values())
    beside = (
        "Scores are correlations from which chance and distance were taken: the farther apart, the stronger it must be."
    )
    if left:
        beside += f" {plural(left, 'window')} with too many peaks {'was' if left == 1 else 'were'} left out."
    return Finding(f"Pairs of peaks that open together: {_listed(said)}.", beside)


def _trajectory(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures, settings = result.get("figures", {}), result.get("settings", {})
    found = table("trajectory.labels")["label"] if "labels" in result.get("tables", {}) else ()
    kinds = [plain(str(name)) for name in found]
    path = " → ".join(kinds) if len(kinds) > 1 else ""
    begins = plain(str(settings.get("from") or figures.get("root", "")))
    sentence = f"{plural(int(figures.get('cells', 0)), 'cell')} lie on a path that begins at {begins}"
    lost = int(figures.get("not_reached", 0))
    if begins in kinds[1:]:
        return Finding(
            f"{sentence}, but {kinds[0]} comes before it: {path}.",
            "This view of the cells does not order these kinds from where you began: do not read the order as a path. "
            "Try another view of the cells, another beginning, or only the kinds that belong to one path.",
        )
    beside = "The order is one of likeness, not of time, and its beginning was your choice."
    if lost:
        beside += f" {plural(lost, 'cell')} could not be reached from there."
    return Finding(f"{sentence}: {path}." if path else f"{sentence}.", beside)


def _trends(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    summary = table("trends.summary")
    genes = summary[summary["what"] == "expression"]
    raw = genes[genes["profile"] == "raw"]
    sure = raw[(raw["q"] < LEVEL) & raw["p_valid"].astype(bool)]
    rises, falls = (int((sure["direction"] == way).sum()) for way in ("rises", "falls"))
    n = int(result.get("figures", {}).get("genes", 0))
    if raw.empty:
        return Finding(f"{plural(n, 'gene')} are drawn along it, imputed.", _NOT_VALID)
    sentence = f"Of {plural(n, 'gene')} as measured, {rises} rise and {falls} fall along it (false discovery rate 5 %)."
    imputed = genes[genes["profile"] == "imputed"].set_index("gene")["direction"]
    if imputed.empty:
        return Finding(sentence, "The order was made from these very cells, so that some trend is no surprise.")
    same = int((sure.set_index("gene")["direction"] == imputed.reindex(sure["gene"])).sum())
    return Finding(sentence, f"Imputed, {same} of these {len(sure)} go the same way. {_NOT_VALID}")


_NOT_VALID = "Imputed values of different cells are not independent: their p-values are not valid."


def _activity(result: Mapping[str, Any], label: str, table: Table) -> Finding:
    figures, settings = result.get("figures", {}), result.get("settings", {})
    cells = figures.get("over_cells", {})
    said = [f"{number(each.get('pearson'))} from {PROFILES.get(name, name)} peaks" for name, each in cells.items()]
    within = [f"{number(value)} {PROFILES.get(name, name)}" for name, value in figures.get("over_genes", {}).items()]
    most = max((abs(each.get("pearson") or 0.0) for each in cells.values()), default=0.0)
    how = "hardly follows" if most < 0.1 else "loosely follows" if most < 0.3 else "follows"  # ours
    return Finding(
        f"Gene activity {how} expression from cell to cell: correlation {_listed(said)}, mean of "
        f"{plural(int(settings.get('compared', 0)), 'gene')}.",
        f"0 is chance. Within a cell, from gene to gene: {', '.join(within)}.",
    )


_SAY: Mapping[str, Callable[[Mapping[str, Any], str, Table], Finding]] = {
    "cluster": _cluster, "correlation": _imputation, "recovery": _recovery, "mixing": _mixing, "abnormal": _abnormal,
    "markers": _markers, "lasso": _lasso, "coaccess": _coaccess, "trajectory": _trajectory, "trends": _trends,
    "activity": _activity,
}  # fmt: skip


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and value == value


def _listed(words: Sequence[str]) -> str:
    if not words:
        return "none"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
