"""The dashboard's pages and their addresses; nothing else."""

from pathlib import Path

import streamlit as st

from app.components import inbox, look, who

ICON = Path(__file__).with_name("icon.svg")  # drawn here: a Material icon in the tab would be fetched from elsewhere
st.set_page_config(page_title="CrossView", page_icon=ICON, layout="wide")
look.dress()
if not who.here():
    st.stop()
st.navigation(
    [
        st.Page("views/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("views/new.py", title="New job", icon=":material/add_circle:", url_path="new"),
        st.Page("views/jobs.py", title="Jobs", icon=":material/list_alt:", url_path="jobs"),
        st.Page("views/data.py", title="Data", icon=":material/folder_data:", url_path="data"),
        st.Page("views/models.py", title="Models", icon=":material/category:", url_path="models"),
        st.Page("views/compare.py", title="Compare", icon=":material/leaderboard:", url_path="compare"),
        st.Page("views/analyse.py", title="Analyse", icon=":material/query_stats:", url_path="analyse"),
        st.Page("views/inbox.py", title=inbox.title(), icon=":material/inbox:", url_path="inbox"),
        st.Page("views/account.py", title="Account", icon=":material/person:", url_path="account"),
        *(
            [st.Page("views/admin.py", title="Admin", icon=":material/admin_panel_settings:", url_path="admin")]
            if who.operator()
            else []
        ),
        st.Page("views/job.py", title="Job", icon=":material/fact_check:", url_path="job", visibility="hidden"),
    ],
    position="top",
).run()
