"""Where one is in the wizard: four steps, a way back that keeps everything, and a way on."""

from __future__ import annotations

import streamlit as st

from app.wizard import STEPS


def go_to(step: int) -> None:
    st.query_params["step"] = str(step)


def header(here: int, *, reach: int) -> None:
    """The steps in a row; those up to `reach` can be opened."""
    with st.container(horizontal=True, gap="small", key="steps"):
        for number, word in enumerate(STEPS, start=1):
            icon = ":material/check_circle:" if number < here else None
            st.button(
                f"{number} · {word}", key=f"step-{number}", icon=icon,
                type="secondary" if number == here else "tertiary", disabled=number > max(reach, here),
                on_click=go_to, args=(number,), help="You are here" if number == here else None,
            )  # fmt: skip


def ways(here: int, *, ready: bool, why: str = "") -> None:
    """Back and on. why: what is missing before one can go on."""
    with st.container(horizontal=True, vertical_alignment="center", key="ways"):
        if here > 1:
            st.button("Back", key="back", icon=":material/arrow_back:", on_click=go_to, args=(here - 1,))
        if here < len(STEPS):
            st.button(
                f"Next: {STEPS[here].lower()}", key="next", type="primary", icon=":material/arrow_forward:",
                icon_position="right", disabled=not ready, on_click=go_to, args=(here + 1,),
            )  # fmt: skip
        if not ready and why:
            st.caption(why)
