"""Share: the address of exactly what is seen, to be copied."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st


def share() -> None:
    with st.popover("Share", icon=":material/share:", help="The address of what you see now"):
        st.markdown("This address opens exactly this view: tab, gene, colour, groups and filters.")
        st.code(address(), language=None, wrap_lines=True)
        st.caption("Whoever opens it needs access to this CrossView.")


def address() -> str:
    """The address in the browser's bar, with what the page holds in it."""
    held = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    base = (st.context.url or "").rstrip("/")
    return f"{base}?{urlencode(held)}" if held else base
