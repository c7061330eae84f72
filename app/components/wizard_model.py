"""Step 3, the model: the best fit first with its reasons, and options in plain words; all of it kept in the address."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app import asked, jointly, present, recipes
from app.asked import Draft
from app.components import address, preflight, recipe, wizard_score
from app.components.grouping import grouping
from app.components.holdout import hold_out
from app.components.wizard_check import batch_models, ranked
from app.components.wizard_data import Given
from app.fit import Fit, recommended
from app.kinds import NO_LABEL
from app.parting import batch_columns
from jobs.names import Modality
from jobs.views import ModelView, RecipeView

SEED = "Same cells, settings and seed: the same answer."


def model(kind: str, given: Given, models: list[ModelView], draft: Draft) -> bool:
    """The step itself; whether one may go on."""
    if given.scored is not None:
        return wizard_score.method(given.scored)
    if kind == "train":
        return _training(given, draft)
    if kind == "benchmark":
        return _comparison(given, draft)
    st.subheader("3 · Model")
    if kind == "joint":
        return _joint(given, models, draft)
    if given.many:
        return _batch(given, models)
    return _translation(given, models, draft)


def chosen(kind: str, given: Given, models: list[ModelView], draft: Draft) -> ModelView | None:
    """The model the address names, else the one that fits best; None where there is none."""
    if given.many:
        order = batch_models(given, models)
    elif kind == "joint":
        order = _offered(given, models, draft)
    else:
        order = [fit.model for fit in _fits(given, models, draft)]
    by_id = {model.id: model for model in order}
    return by_id[draft.pick("model", list(by_id))] if by_id else None


def _fits(given: Given, models: list[ModelView], draft: Draft) -> list[Fit]:
    """A retired model is offered to who asks for it by its name."""
    named = [m.model_copy(update={"retired": False}) if m.id == draft.one("model") else m for m in models]
    return ranked(named, given)


def _offered(given: Given, models: list[ModelView], draft: Draft) -> list[ModelView]:
    ids = [data.id for data in given.inputs.values()]
    there = [m for m in models if not m.retired or m.id == draft.one("model")]
    return jointly.ranked(there, genome=asked.genome_of(given.inputs), datasets=ids)


def _select(order: Sequence[ModelView]) -> ModelView:
    by_id = {model.id: model for model in order}
    titles = [model.title for model in order]
    picked = address.choice(
        "Model", list(by_id), param="model", label_visibility="collapsed",
        words=lambda id: by_id[id].title + ("" if titles.count(by_id[id].title) == 1 else f" ({id})"),
    )  # fmt: skip
    return by_id[picked]


def _about(its: ModelView) -> None:
    st.caption(present.model_line(its))
    if its.not_for:
        st.caption(f":material/info: Not for: {present.plain(its.not_for)}")


# Translations ----------------------------------------------------------------------------------------------------


def _translation(given: Given, models: list[ModelView], draft: Draft) -> bool:
    found = _fits(given, models, draft)
    if not found:
        st.markdown(":material/info: No model is on offer.")
        return False
    its = _select([fit.model for fit in found])
    fit = next(each for each in found if each.model.id == its.id)
    st.markdown(present.plain(recommended(fit, found)))
    _reasons(fit)
    _about(its)
    st.markdown("**What is translated**")
    _directions(its, given, draft)
    _options(umap=True)
    return not fit.refused


def _reasons(fit: Fit) -> None:
    for line in fit.reasons:
        st.caption(f":material/thumb_up: {present.plain(line[0].upper() + line[1:])}")
    for line in fit.doubts:
        st.caption(f":material/info: {present.plain(line[0].upper() + line[1:])}")


def _directions(its: ModelView, given: Given, draft: Draft) -> None:
    can = asked.possible(its, list(given.inputs))
    if len(can) < 2:
        st.caption(" · ".join(present.explained(d) for d in can).capitalize() or "Nothing")
        return
    here = [d.value for d in asked.directions(draft, its, list(given.inputs))]
    st.pills(
        "Directions", [d.value for d in can], selection_mode="multi", default=here, key="directions-choice",
        format_func=lambda value: present.direction(next(d for d in can if d.value == value)),
        on_change=_turn, args=(len(can),), label_visibility="collapsed",
        help="Each direction translates one of your files and is judged against the other.",
    )  # fmt: skip


def _turn(all: int) -> None:
    picked = list(st.session_state["directions-choice"])
    if 0 < len(picked) < all:
        st.query_params["directions"] = picked
    else:
        st.query_params.pop("directions", None)


def _options(*, umap: bool) -> None:
    with st.expander("Options", icon=":material/tune:", key="options"):
        address.tick(
            "Also write the whole predicted matrix (.h5ad)", param="export", usual=False,
            help="Large: cells × all genes or peaks. Without it any one can still be looked up.",
        )  # fmt: skip
        if umap:
            address.tick("Draw maps of the cells (UMAP)", param="umap", usual=True, help="Adds some seconds.")
        address.number("Seed", param="seed", usual=0, least=0, most=asked.SEED_END, help=SEED)


def _batch(given: Given, models: list[ModelView]) -> bool:
    order = batch_models(given, models)
    if not order:
        st.markdown(":material/info: No model is on offer that can translate any of them.")
        return False
    st.caption("One model for all files. Those it cannot translate are left out, with a word.")
    _about(_select(order))
    _options(umap=True)
    return True


# Joint views -----------------------------------------------------------------------------------------------------


def _joint(given: Given, models: list[ModelView], draft: Draft) -> bool:
    order = _offered(given, models, draft)
    ids = [data.id for data in given.inputs.values()]
    if not order:
        st.markdown(":material/info: There is no model yet. Train one on these cells first.")
    else:
        its = _select(order)
        icon = ":material/thumb_up:" if its.joint else ":material/info:"
        st.caption(f"{icon} {jointly.reason(its, genome=asked.genome_of(given.inputs), datasets=ids)}")
        _about(its)
    st.page_link(
        "views/new.py", label="Train a model on these cells instead", icon=":material/model_training:",
        query_params={"kind": "train", **{m.value: data.id for m, data in given.inputs.items()}},
    )  # fmt: skip
    if not order:
        return False
    st.markdown("**What to compare with**")
    _label(given)
    with st.expander("Groups, maps and seed", icon=":material/tune:", key="options"):
        left, right = st.columns(2)
        with left:
            grouping(key="clusters")
        with right:
            address.tick("Draw maps of the cells (UMAP)", param="umap", usual=True, help="Adds some seconds.")
            address.tick(
                "Also write all imputed values (.h5ad)", param="export", usual=False,
                help="Large: cells × all genes and peaks. Without it any one can still be looked up.",
            )  # fmt: skip
            address.number("Seed", param="seed", usual=0, least=0, most=asked.SEED_END, help=SEED)
    return True


def _label(given: Given) -> None:
    labels = asked.labels_of(given.inputs)
    options = asked.label_choices(labels)
    if not options:
        st.caption(":material/info: These files carry no labels of cells: the groups are found, and not compared.")
        return
    address.choice(
        "Labels of the cells", options, param="label",
        words=lambda name: "No labels: find groups only" if name == NO_LABEL
        else f"{name} ({present.plural(len(labels[name]), 'kind')})",
        help="Groups are found without them and then compared with them. They never teach anything.",
    )  # fmt: skip


# Trainings and comparisons ---------------------------------------------------------------------------------------


def _training(given: Given, draft: Draft) -> bool:
    st.subheader("3 · Which cells judge it, and which model")
    split = hold_out(asked.labels_of(given.inputs), draft)
    found = recipe.known()
    if not found:
        return False
    st.markdown("**Model**")
    its = recipe.recipe(found)
    recipe.settings(its)
    rna = given.inputs[Modality.RNA]
    with st.expander("Name, device, filters and seed", icon=":material/settings:", key="options"):
        left, right = st.columns(2)
        with left:
            address.text("Name of the model", param="name", placeholder=f"{its.title} on {rna.name}", max_chars=80)
            recipe.filters(its.reads_every_feature)
            recipe.genome(asked.genome_of(given.inputs))
        with right:
            recipe.device(preflight.health())
            address.number(
                "Seed", param="seed", usual=0, least=0, most=asked.SEED_END,
                help="Same cells, settings and seed: on the CPU the same model, to the last digit.",
            )  # fmt: skip
    return split is not None and not its.missing


def _comparison(given: Given, draft: Draft) -> bool:
    st.subheader("3 · Which cells judge them, and which models")
    labels = asked.labels_of(given.inputs)
    split = hold_out(labels, draft)
    found = recipe.known()
    if not found:
        return False
    st.markdown("**Models**")
    ready = _contenders(found, draft)
    left, right = st.columns(2)
    with left:
        address.number(
            "How often each is trained", param="seeds", usual=3, least=1, most=asked.MOST_SEEDS,
            help="Each time with another seed: how far chance alone moves a score.",
        )  # fmt: skip
    with right:
        if split is not None and batch_columns(labels):
            address.choice(
                "Judge each batch apart", asked.batch_choices(labels, split), param="batches",
                words=lambda name: name or "No: all cells together",
            )  # fmt: skip
    with st.expander("Device and filters", icon=":material/settings:", key="options"):
        recipe.device(preflight.health())
        recipe.filters()
        recipe.genome(asked.genome_of(given.inputs))
    return ready and split is not None


def _contenders(found: Sequence[RecipeView], draft: Draft) -> bool:
    """Who takes part beside the yardsticks; False, with a word, while something must be mended first."""
    by_key = {r.key: r for r in asked.rivals(found)}
    picked = address.choices(
        "Models", list(by_key), param="models", usual=asked.usual_models(found), words=lambda key: by_key[key].title
    )
    st.caption(
        "The average cell, the same scaled by depth, and ridge regression take part always, and the average of the "
        "cell type where cells carry labels: a model that does not beat them is not worth its trouble."
    )
    for each in (by_key[key] for key in picked if by_key[key].missing):
        st.markdown(f":material/block: **{present.plain(each.title)}** is not installed here: `{recipes.mend(each)}`")
    if not picked:
        st.markdown(":material/info: Choose at least one model.")
        return False
    for key in picked:
        if not by_key[key].missing:
            _variants(by_key[key])
    return bool(asked.contenders(draft, found))


def _variants(each: RecipeView) -> None:
    """One model with its defaults, or with as many sets of settings as there are lines."""
    if not each.settings:
        return
    first = each.settings[0]
    with st.expander(f"Settings of {each.title}", icon=":material/tune:", key=f"about-variants-{each.key}"):
        written = address.text(
            "One line for each variant; an empty line is the defaults", param=f"variants.{each.key}",
            placeholder=f"smaller: {first.name}={first.default}", lines=True,
        )  # fmt: skip
        known = ", ".join(f"{s.name} ({s.default})" for s in each.settings)
        st.caption(f"Settings and their defaults: {present.plain(known)}.")
    read = recipes.variants(each, written)
    for problem in read.problems:
        st.markdown(f":material/block: **{present.plain(each.title)}.** {present.plain(problem)}")
    if len(read.contenders) > 1:
        st.caption(f"{present.plain(each.title)} takes part with {present.plural(len(read.contenders), 'variant')}.")
