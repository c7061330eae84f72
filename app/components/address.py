"""Choices held in the address by their stable names, whatever words stand for them on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st


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
    asked = st.query_params.get(param, "")
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
