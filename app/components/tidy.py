"""What every page does to Streamlit's own furniture."""

from __future__ import annotations

import streamlit as st

# The toolbar's CSV would write a label such as =1+1 as a formula: every table has a download of ours instead.
_STYLE = """<style>
[data-testid="stElementToolbarButton"]:has(button[aria-label^="Download as CSV"]) { display: none; }
[data-testid="stMainBlockContainer"] { padding-top: 4.5rem; }
</style>"""


def tidy() -> None:
    st.html(_STYLE)
