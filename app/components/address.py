"""Choices held in the address by their stable names, whatever words stand for them on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import streamlit as st

from app.kinds import as_text


def choice(
    label: str,
    options: Sequence[str],
    *,
    param: str,
    words: Callable[[str], str] = str,
    help: str | None = None,
    label_visibility: Literal["visible", "hidden", "collapsed"] = "visible",
) -> str:
    """One of the options; the first, unless the address names another. options: at least one."""
    asked = st.query_params.get(param, options[0])  # an empty one may be an option too
    key = f"{param}-choice"
    picked = st.selectbox(
        label, options, index=options.index(asked) if asked in options else 0, format_func=words, key=key,
        on_change=_keep, args=(param, key, options[0]), help=help, label_visibility=label_visibility,
    )  # fmt: skip
    return str(picked)


def _keep(param: str, key: str, usual: str) -> None:
    picked = str(st.session_state[key])
    if picked != usual:
        st.query_params[param] = picked
    elif param in st.query_params:
        del st.query_params[param]


def choices(
    label: str,
    options: Sequence[str],
    *,
    param: str,
    usual: Sequence[str] = (),
    words: Callable[[str], str] = str,
    help: str | None = None,
    placeholder: str = "Choose",
) -> list[str]:
    """Some of the options, in the order of `options`; those of the address, else `usual`."""
    asked = st.query_params.get_all(param) or list(usual)
    key = f"{param}-choices"
    default = None if key in st.session_state else [option for option in options if option in asked]
    picked = st.multiselect(
        label, options, default=default, format_func=words, key=key, on_change=_keep_all, args=(param, key), help=help,
        placeholder=placeholder,
    )  # fmt: skip
    return [option for option in options if option in picked]


def _keep_all(param: str, key: str) -> None:
    st.query_params[param] = list(st.session_state[key])


def number(
    label: str,
    *,
    param: str,
    usual: float,
    least: float | None = None,
    most: float | None = None,
    step: float = 1,
    help: str | None = None,
) -> float:
    """A number; whole where `usual` is. What the address says is taken where it fits."""
    whole = isinstance(usual, int)
    here: float = usual
    try:
        given = (int if whole else float)(st.query_params.get(param, str(usual)))
        if (least is None or given >= least) and (most is None or given <= most):
            here = given
    except ValueError:
        pass
    picked = st.number_input(
        label, min_value=least, max_value=most, value=here, step=int(step) if whole else step, key=param, help=help,
        format=None if whole else "%g", on_change=_hold, args=(param, as_text(usual)),
    )  # fmt: skip
    return int(picked) if whole else float(picked)


def text(
    label: str,
    *,
    param: str,
    usual: str = "",
    placeholder: str = "",
    max_chars: int | None = None,
    help: str | None = None,
    lines: bool = False,
) -> str:
    """A line of text, or several."""
    here = st.query_params.get(param, usual)
    if lines:
        given = st.text_area(
            label, value=here, key=param, placeholder=placeholder, max_chars=max_chars, help=help, height=100,
            on_change=_hold, args=(param, usual),
        )  # fmt: skip
    else:
        given = st.text_input(
            label, value=here, key=param, placeholder=placeholder, max_chars=max_chars, help=help,
            on_change=_hold, args=(param, usual),
        )  # fmt: skip
    return given or ""


def tick(label: str, *, param: str, usual: bool, help: str | None = None) -> bool:
    here = st.query_params.get(param, as_text(usual)).lower() in ("true", "1", "yes")
    return st.checkbox(label, value=here, key=param, help=help, on_change=_hold, args=(param, as_text(usual)))


def one_of(
    label: str,
    options: Sequence[str],
    *,
    param: str,
    words: Callable[[str], str] = str,
    label_visibility: Literal["visible", "hidden", "collapsed"] = "visible",
) -> str:
    """One of a few options, all of them seen; the first, unless the address names another."""
    asked = st.query_params.get(param, "")
    here = asked if asked in options else options[0]
    picked = st.segmented_control(
        label, options, default=here, required=True, key=param, format_func=words, label_visibility=label_visibility,
        on_change=_hold, args=(param, options[0]),
    )  # fmt: skip
    return str(picked)


def _hold(param: str, usual: str) -> None:
    given = as_text(st.session_state[param])
    if given != usual:
        st.query_params[param] = given
    else:
        st.query_params.pop(param, None)


def here() -> dict[str, list[str]]:
    """All that the address says."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def go(asked: Mapping[str, str | list[str]]) -> None:
    """Makes this the address, and nothing else."""
    st.query_params.from_dict(dict(asked))
