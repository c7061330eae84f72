"""Step 2, the check: what the cells are, which models know them, what would be refused, and how to mend it."""

from __future__ import annotations

import streamlit as st

from app import jointly, present
from app.asked import Draft, genome_of
from app.components import failure, preflight, wizard_score
from app.components.mends import mends
from app.components.wizard_data import Given
from app.fit import Fit, fits
from app.kept import until_line
from app.wizard import NAMED, batch_specs
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.spec import HoldOut, JointSpec, TrainSpec
from jobs.views import DatasetView, ModelView, PreflightView

SHOWN = 3  # models with their reasons; the others on request  # ours
BY_ITSELF = ("s3://", "https://", "http://", "/", "example:")  # origins that can be read again
GENERIC = "ridge"  # the recipe a pair is looked at with before one is chosen: it takes any


def check(kind: str, given: Given, models: list[ModelView], draft: Draft) -> bool:
    """The step itself; whether one may go on."""
    st.subheader("2 · What they are, and what fits")
    if given.many:
        return _files(given, models)
    for data in _all(given):
        _cells(data)
    if given.scored is not None:
        return wizard_score.check(given.scored, draft)
    if kind in ("translate", "evaluate"):
        return _models(ranked(models, given))
    with failure.shown("These cells could not be checked"):
        with st.spinner("Comparing both files, cell by cell …"):
            plan = _pair(kind, given, models)
        if plan is None:
            st.markdown(":material/info: There is no model that can see these cells yet. Train one on them first.")
            return False
        preflight.card(plan, [], ready="These cells can be used")
        return plan.verdict != "refused"
    return False


def _all(given: Given) -> list[DatasetView]:
    measured = [given.inputs[m] for m in Modality if m in given.inputs]
    if (scored := given.scored) is None:
        return measured
    return [scored.prediction, *measured, *([scored.training] if scored.training is not None else [])]


def ranked(models: list[ModelView], given: Given) -> list[Fit]:
    """Models by their fit to the cells, each looked at once in ten minutes."""
    ids = {m: data.id for m, data in given.inputs.items()}
    rna, atac = ids.get(Modality.RNA), ids.get(Modality.ATAC)

    def look(model: ModelView) -> PreflightView | None:
        found: PreflightView | None = None
        with failure.shown(f"{present.plain(model.title)} could not be compared with these cells"):
            found = preflight.look_at(model.id, model.digest, rna, atac, ())
        return found

    with st.spinner("Comparing the cells with every model …"):
        return fits(models, look, has=list(given.inputs), cells_genome=genome_of(given.inputs))


def _cells(data: DatasetView) -> None:
    with st.container(border=True, key=f"about-{data.id}", gap="small"):
        kind = present.modality(Modality(data.modality)) if data.modality else ""
        st.markdown(f":material/check_circle: **{present.plain(data.name)}** is {kind}: {present.dataset_line(data)}")
        for line in present.counts_lines(data):
            st.caption(present.plain(line))
        labels = sorted(data.summary.get("labels") or {})
        if labels:
            st.caption(f"Labels of its cells: {present.plain(', '.join(labels[:6]))}{' …' if len(labels) > 6 else ''}")
        st.caption(until_line(data).capitalize())


def _models(found: list[Fit]) -> bool:
    if not found:
        st.markdown(":material/info: No model is on offer. Train one, or put a retired one back on the Models page.")
        return False
    good = [fit for fit in found if not fit.refused]
    said = f"**{len(good)} of {present.plural(len(found), 'model')}** can translate these cells."
    st.markdown(said if good else "**No model can translate these cells as they are.** What stands in the way:")
    for fit in found[:SHOWN]:
        _fit(fit)
    if len(found) > SHOWN:
        with st.expander(f"{present.plural(len(found) - SHOWN, 'further model')}", key="further"):
            for fit in found[SHOWN:]:
                _fit(fit)
    if not good:
        st.page_link(
            "views/new.py", label="Train a model on cells like these", icon=":material/model_training:",
            query_params={"kind": "train"},
        )  # fmt: skip
    return bool(good)


def _fit(fit: Fit) -> None:
    with st.container(border=True, key=f"fit-{fit.model.id}", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{present.plain(fit.model.title)}**", width="content")
            word = "cannot be used" if fit.refused else "fits"
            st.badge(word, icon=":material/block:" if fit.refused else ":material/check:",
                     color="red" if fit.refused else "green")  # fmt: skip
        for issue in fit.problems:
            st.markdown(f":material/block: **{present.plain(issue.message)}** {present.plain(issue.hint)}")
        if fit.refused:
            return
        for_it, against = present.plain("; ".join(fit.reasons)), present.plain("; ".join(fit.doubts))
        if for_it:
            st.caption(f":material/thumb_up: {for_it[0].upper()}{for_it[1:]}.")
        if against:
            st.caption(f":material/info: {against[0].upper()}{against[1:]}.")


def mending(given: Given) -> None:
    """The cells brought in once more, otherwise: where their file can be read again by itself."""
    for data in given.inputs.values():
        if not data.origin.startswith(BY_ITSELF):
            st.caption(
                f"To mend {present.plain(data.name)} (another build, other names, other counts): go back, take it "
                "away, set the mend under the upload, and upload it again."
            )
            continue
        with st.expander(f"Mend {data.name}", icon=":material/build:", key=f"mend-{data.id}"):
            wishes = mends(f"again-{data.id}")
            if st.button("Bring it in again so", key=f"mend-go-{data.id}", disabled=wishes is None):
                with failure.shown("These cells cannot be brought in"):
                    new = current_client().import_dataset(data.origin, name=data.name, mends=wishes)
                    for name in NAMED:
                        if st.query_params.get(name) == data.id:
                            st.query_params[name] = new.id
                    st.query_params["step"] = "1"
                    st.rerun()


def _pair(kind: str, given: Given, models: list[ModelView]) -> PreflightView | None:
    ids = {m.value: data.id for m, data in given.inputs.items()}
    if kind != "joint":
        return preflight.look_at_pair(TrainSpec.model_validate({**ids, "model": GENERIC, "split": HoldOut()}))
    offered = jointly.ranked(
        [m for m in models if not m.retired], genome=genome_of(given.inputs), datasets=list(ids.values())
    )
    if not offered:
        return None
    spec = JointSpec.model_validate({**ids, "model": offered[0].id})
    return preflight.look_at_pair(spec, digest=offered[0].digest)


# Many files ------------------------------------------------------------------------------------------------------


def _files(given: Given, models: list[ModelView]) -> bool:
    for data in given.waiting:
        what = data.failure.message if data.failure else "is still being brought in."
        st.markdown(f":material/block: **{present.plain(data.name)}** is left out: {present.plain(what)}")
    best = batch_models(given, models)
    if not best:
        st.markdown(":material/info: No model is on offer that can translate any of them.")
        return False
    st.caption(f"Compared with “{present.plain(best[0].title)}”; another can be chosen in the next step.")
    return bool(fine_files(given, best[0], shown=True))


def batch_models(given: Given, models: list[ModelView]) -> list[ModelView]:
    """Models by their fit to the first file of each kind, those that fit most of them first."""
    firsts = {Modality(data.modality): data for data in reversed(given.files) if data.modality is not None}
    order: dict[str, tuple[int, ...]] = {}
    for modality, data in firsts.items():
        for place, fit in enumerate(ranked(models, Given({modality: data}))):
            sofar = order.get(fit.model.id, (0, 0))
            order[fit.model.id] = (sofar[0] + int(fit.refused), sofar[1] + place)
    by_id = {model.id: model for model in models}
    return [by_id[id] for id in sorted(order, key=lambda id: order[id])]


def fine_files(given: Given, model: ModelView, *, shown: bool) -> list[DatasetView]:
    """Files that this model can translate; of the others the reason is shown, and they are left out."""
    fine: list[DatasetView] = []
    for data in given.files:
        specs = batch_specs(model, [data], export=False, umap=False, seed=0) if _can(model, data) else []
        plan: PreflightView | None = None
        if specs:
            with failure.shown(f"{present.plain(data.name)} could not be checked"):
                plan = preflight.look_at(model.id, model.digest, specs[0].rna, specs[0].atac, ())
        ok = plan is not None and plan.verdict != "refused"
        if ok:
            fine.append(data)
        if shown:
            _file(data, plan, model, ok=ok)
    return fine


def _can(model: ModelView, data: DatasetView) -> bool:
    return any(d.source == data.modality for d in model.directions)


def _file(data: DatasetView, plan: PreflightView | None, model: ModelView, *, ok: bool) -> None:
    icon = ":material/check_circle:" if ok else ":material/block:"
    st.markdown(f"{icon} **{present.plain(data.name)}** · {present.dataset_line(data)}")
    issues = [i for i in plan.issues if i.level == "problem"] if plan else []
    for issue in issues:
        st.caption(f"Left out: {present.plain(issue.message)} {present.plain(issue.hint)}")
    if plan is None and not ok:
        st.caption(f"Left out: “{present.plain(model.title)}” does not translate what was measured here.")
