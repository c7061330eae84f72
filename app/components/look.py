"""What the theme alone cannot say: words on a chosen option stay as readable as any other, light and dark."""

from __future__ import annotations

import streamlit as st

# Streamlit writes them in the primary colour, which must be dark enough for white words on a button: on a dark page it
# is then too dark to be read itself. The border and the ground go on saying what is chosen.
_CHOSEN = '[data-selected="true"] p, [data-selected="true"] [data-testid="stIconMaterial"]'


def dress() -> None:
    """Once a run, before anything is shown."""
    if st.context.theme.type == "dark":
        st.html(f"<style>{_CHOSEN} {{ color: {st.get_option('theme.dark.textColor')} }}</style>")
