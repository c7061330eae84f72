"""Data: the cells that were brought in, how long they are kept, what needs them, and how to be rid of them."""

from __future__ import annotations

import streamlit as st

from app import kept, present
from app.components import failure, progress
from jobs.bootstrap import current_client
from jobs.keeping.views import HoldingView, ReceiptView
from jobs.names import Modality

PAGE = 50  # data sets on the first screenfuls; the rest on request
RECEIPTS = 20
STANDING = {"importing": "Being brought in", "failed": "Could not be brought in", "cancelled": "Stopped"}
ASKED = "data-asked"  # which question is open, of which data set


def page() -> None:
    st.title("Data")
    _receipt_of_a_moment_ago()
    with failure.shown("The data cannot be listed"):
        _usage()
        found = current_client().keeping.holdings()
        if found:
            _list(found)
        else:
            _empty()
        _ask(found)
        _receipts()


def _usage() -> None:
    usage = current_client().keeping.usage()
    st.markdown(kept.usage_line(usage))
    if (share := kept.fullness(usage)) is not None:
        st.progress(share)
    st.caption(kept.default_line(usage.retention_days, usage.result_days))


def _empty() -> None:
    with st.container(border=True):
        st.markdown("**No cells yet.** What you upload or name by its address is listed here, as a clean copy.")
        st.page_link("views/new.py", label="New job", icon=":material/add_circle:")


def _list(found: list[HoldingView]) -> None:
    search = st.text_input("Search data", type="search", placeholder="file, origin or digest", key="data-q")
    words = (search or "").lower().split()
    chosen = [each for each in found if all(word in _text(each) for word in words)]
    if not chosen:
        st.markdown("No data set matches. Clear the search.")
        return
    shown = st.session_state.get("data-shown", PAGE)
    for each in chosen[:shown]:
        _row(each)
    if len(chosen) > shown and st.button(f"Show more ({present.count(len(chosen) - shown)} left)", key="data-more"):
        st.session_state["data-shown"] = shown + PAGE
        st.rerun()


def _text(each: HoldingView) -> str:
    data = each.dataset
    return f"{data.name} {data.id} {data.origin} {data.digest} {data.modality}".lower()


def _row(each: HoldingView) -> None:
    data = each.dataset
    with st.container(border=True, key=f"data-{data.id}", gap="small"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                st.markdown(f"**{present.plain(data.name)}**", width="content")
                if data.modality is not None:
                    predicted = "Prediction of " if data.summary.get("values") else ""
                    st.badge(f"{predicted}{present.modality(Modality(data.modality))}", color="gray")
                elif data.state != "ready":
                    st.badge(STANDING[data.state], color="gray")
                if each.overdue:
                    st.badge("Past its time", icon=":material/timer_off:", color="orange")
            with st.container(horizontal=True, width="content", vertical_alignment="center"):
                _actions(each)
        facts = [
            present.dataset_line(data) if data.modality else "",
            present.size(each.bytes) if each.bytes is not None else "",
            present.plain(kept.origin(data)),
            f"brought in {present.ago(data.created_at)}" if data.created_at else "",
        ]
        st.caption(" · ".join(fact for fact in facts if fact))
        if data.failure is not None:
            st.text(f"{data.failure.message} {data.failure.hint}".strip())
        until = kept.until_line(data)
        digest = f"SHA-256 {data.digest[:12]}" if data.digest else "no copy"
        used = f"used by {present.plural(len(each.used_by), 'job')}" if each.used_by else "not used yet"
        st.caption(
            f":material/schedule: {until[0].upper()}{until[1:]} · {used} · {digest}",
            help=f"{data.id}. SHA-256 of the clean copy: {data.digest or 'none yet'}. "
            f"Jobs: {', '.join(each.used_by) or 'none'}.",
        )
        if each.overdue and (why := kept.needed_line(each)):
            st.markdown(f":material/info: {present.plain(why)}")


def _actions(each: HoldingView) -> None:
    data = each.dataset
    if data.state == "ready" and data.summary.get("values"):
        st.page_link(
            "views/new.py", label="Score", icon=":material/grading:",
            query_params={"kind": "score", "prediction": data.id},
        )  # fmt: skip
    elif data.state == "ready":
        st.page_link("views/new.py", label="Translate", icon=":material/swap_horiz:", query_params={"cells": data.id})
        st.page_link(
            "views/new.py", label="Train", icon=":material/model_training:",
            query_params={"kind": "train", str(data.modality or "rna"): data.id},
        )  # fmt: skip
    if data.state == "importing":
        progress.stop_import(data)
        return
    if data.state == "ready" and st.button(
        "Keep for …", key=f"clock-{data.id}", type="tertiary", help=f"How long {data.name} is kept"
    ):
        st.session_state[ASKED] = ("clock", data.id)
    if st.button("Delete", key=f"delete-data-{data.id}", type="tertiary", help=f"{data.name}; asks first"):
        st.session_state[ASKED] = ("delete", data.id)


def _ask(found: list[HoldingView]) -> None:
    """The question that is open, if any; it stays open until it is answered or closed."""
    what, id = st.session_state.get(ASKED, ("", ""))
    each = next((each for each in found if each.dataset.id == id), None)
    if each is not None:
        (_clock if what == "clock" else _confirm)(each)


def _answered() -> None:
    st.session_state.pop(ASKED, None)


@st.dialog("How long should these cells be kept?", on_dismiss=_answered)
def _clock(each: HoldingView) -> None:
    st.markdown(f"**{present.plain(each.dataset.name)}** is {kept.until_line(each.dataset)}.")
    picked = st.radio("From now on, keep it", list(kept.CLOCKS), index=None, key="clock-choice")
    if st.button("Set", type="primary", key="clock-set", disabled=picked is None) and picked is not None:
        with failure.shown():
            current_client().keeping.keep(each.dataset.id, days=kept.CLOCKS[picked])
            _answered()
            st.rerun()


@st.dialog("Delete these cells?", on_dismiss=_answered)
def _confirm(each: HoldingView) -> None:
    data = each.dataset
    st.markdown(f"**{present.plain(data.name)}** is removed from the store. This cannot be undone.")
    if each.used_by:
        st.markdown(f"Results of {present.plural(len(each.used_by), 'job')} stay; their cells' own values do not.")
    if each.shares:
        st.markdown("Another data set has the same content: the copy stays until that goes too.")
    if why := kept.needed_line(each):
        st.markdown(f":material/info: {present.plain(why)}")
    if each.running:
        return
    cascade = False
    if each.held_by:
        cascade = st.checkbox(f"Delete {present.plain(', '.join(each.held_by))} too", key="cascade")
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", key="really-data", disabled=bool(each.held_by) and not cascade):
            with failure.shown():
                receipt = current_client().delete_dataset(data.id, cascade=cascade)
                st.session_state["data-receipt"] = receipt.id
                _answered()
                st.rerun()
        if st.button("Keep", key="keep-data"):
            _answered()
            st.rerun()


def _receipt_of_a_moment_ago() -> None:
    if (id := st.session_state.get("data-receipt")) is None:
        return
    with failure.shown(), st.container(border=True):
        receipt = current_client().keeping.receipt(id)
        st.markdown(":material/check_circle: **Deleted.**" if receipt.state == "gone" else "**Being deleted.**")
        st.caption(kept.receipt_line(receipt))
        _download(receipt, key="receipt-now")


def _receipts() -> None:
    receipts = current_client().keeping.receipts(limit=RECEIPTS)
    if not receipts:
        return
    with st.expander("What was deleted", icon=":material/receipt_long:", key="receipts"):
        for receipt in receipts:
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.caption(f"{present.ago(receipt.created_at)} · {kept.receipt_line(receipt)}")
                _download(receipt, key=receipt.id)


def _download(receipt: ReceiptView, *, key: str) -> None:
    st.download_button(
        "Receipt (JSON)", kept.receipt_file(receipt), f"{receipt.id}.json", "application/json", key=key,
        icon=":material/download:", type="tertiary", on_click="ignore", disabled=receipt.state != "gone",
    )  # fmt: skip


with failure.shown("This page cannot be shown"):
    page()
