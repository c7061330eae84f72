"""The dashboard's pages and their addresses; nothing else."""

from pathlib import Path

import streamlit as st

from app.components import inbox, look

ICON = Path(__file__).with_name("icon.svg")  # drawn here: a Material icon in the tab would be fetched from elsewhere
st.set_page_config(page_title="CrossView", page_icon=ICON, layout="wide")
look.dress()
st.navigation(
    [
        st.Page("views/new.py", title="New translation", icon=":material/add_circle:", default=True),
        st.Page("views/joint.py", title="Joint view", icon=":material/hub:", url_path="joint"),
        st.Page("views/analyse.py", title="Analyse", icon=":material/query_stats:", url_path="analyse"),
        st.Page("views/train.py", title="Train a model", icon=":material/model_training:", url_path="train"),
        st.Page("views/compare.py", title="Compare models", icon=":material/leaderboard:", url_path="compare"),
        st.Page("views/jobs.py", title="Jobs", icon=":material/list_alt:", url_path="jobs"),
        st.Page("views/data.py", title="Data", icon=":material/folder_data:", url_path="data"),
        st.Page("views/models.py", title="Models", icon=":material/category:", url_path="models"),
        st.Page("views/inbox.py", title=inbox.title(), icon=":material/inbox:", url_path="inbox"),
        st.Page("views/job.py", title="Job", icon=":material/fact_check:", url_path="job", visibility="hidden"),
    ],
    position="top",
).run()
