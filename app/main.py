"""The dashboard's pages and their addresses; nothing else."""

import streamlit as st

st.set_page_config(page_title="CrossView", page_icon=":material/swap_horiz:", layout="wide")
st.navigation(
    [
        st.Page("views/new.py", title="New translation", icon=":material/add_circle:", default=True),
        st.Page("views/jobs.py", title="Jobs", icon=":material/list_alt:", url_path="jobs"),
        st.Page("views/models.py", title="Models", icon=":material/model_training:", url_path="models"),
        st.Page("views/job.py", title="Job", icon=":material/fact_check:", url_path="job", visibility="hidden"),
    ],
    position="top",
).run()
