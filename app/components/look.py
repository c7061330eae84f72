"""What the theme alone cannot say: that chosen options and code can be read, and long links on a phone."""

from __future__ import annotations

import streamlit as st

# Streamlit writes a chosen option in the primary colour, which must be dark enough for white words on a button: on a
# dark page it is then too dark to be read itself. The border and the ground go on saying what is chosen.
_CHOSEN = (
    '[data-selected="true"] p, [data-selected="true"] [data-testid="stIconMaterial"], '
    '[data-testid="stSliderThumbValue"] p'
)
_CODE = '[data-testid="stCode"] .token, [data-testid="stCaptionContainer"] code'  # too pale on a light page
_TABLE = '[data-testid="stMarkdownContainer"] :is(td, th)'  # of a model's card: wider than a phone
_SMALL = '[data-testid="stCaptionContainer"] a'  # paler than its own small words, which are pale enough
_LINKS = '[data-testid="stPageLink-NavLink"] *'  # cut off at the edge otherwise

# The toolbar's CSV would write a label such as =1+1 as a formula: every table has a download of ours instead.
_UNQUOTED = '[data-testid="stElementToolbarButton"]:has(button[aria-label^="Download as CSV"])'
_MAIN = '[data-testid="stMainBlockContainer"]'


def dress() -> None:
    """Once a run, before anything is shown."""
    rules = [
        f"{_LINKS} {{ white-space: normal; overflow: visible }}",
        f"{_UNQUOTED} {{ display: none }}",
        f"{_MAIN} {{ padding-top: 4.5rem }}",
        f"{_CODE} {{ color: inherit !important }}",
        f"{_SMALL} {{ color: inherit }}",
        f"@media (max-width: 640px) {{ {_TABLE} {{ padding: .25rem; font-size: .75rem; overflow-wrap: anywhere }} }}",
    ]
    if dark():
        rules.append(f"{_CHOSEN} {{ color: {st.get_option('theme.dark.textColor')} }}")
    st.html(f"<style>{' '.join(rules)}</style>")


def dark() -> bool:
    """Whether the page is."""
    return bool(st.context.theme.type == "dark")
