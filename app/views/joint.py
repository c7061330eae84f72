"""The address that pages of this kind had: what it says is carried on to the wizard."""

from __future__ import annotations

import streamlit as st

from app.components import address

st.switch_page("views/new.py", query_params={**address.here(), "kind": "joint"})
