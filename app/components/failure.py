"""What went wrong, calmly: what happened, what to do, and the detail folded away."""

from __future__ import annotations

import logging
from types import TracebackType

import streamlit as st

from app import present
from jobs.accounts.principal import Role
from jobs.bootstrap import current_client
from jobs.errors import CrossViewError
from jobs.failures import INTERNAL, failure_of
from jobs.views import Failure

_log = logging.getLogger(__name__)


def show(it: Failure, *, title: str = "", page: bool = False) -> None:
    """A panel of one failure. The text may hold names from a file, so it is never read as markdown.

    page: there is nothing else on it, and the title is its heading.
    """
    panel = present.failure(it)
    if page:
        st.title(title or "This did not work", anchor=False)
    with st.container(border=True):
        st.markdown(f":material/error: **{'What happened' if page else title or 'This did not work'}**")
        st.text(panel.what)
        if panel.do:
            st.markdown("**What to do**")
            st.text(panel.do)
        with st.expander("Technical detail", icon=":material/code:"):
            st.code(f"code: {panel.code}\n{panel.detail}".strip(), language=None, wrap_lines=True)


def show_error(error: Exception, *, title: str = "", page: bool = False) -> None:
    """The panel of an exception that was met and answered here."""
    failure = failure_of(error)
    if failure.code == INTERNAL and not _operator():
        failure = failure.model_copy(update={"detail": "It is in the server's log."})
    show(failure, title=title, page=page)


def _operator() -> bool:
    """Whether the inside of a fault of ours is theirs to see."""
    try:
        return current_client().accounts.me().role is Role.OPERATOR
    except CrossViewError:
        return False


class shown:  # noqa: N801 - reads as a verb in a with statement
    """Inside, whatever the client raises becomes a panel, and the page goes on below it."""

    def __init__(self, title: str = "", *, page: bool = False) -> None:
        self._title, self._page = title, page

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or _steers(error):
            return False
        if not isinstance(error, CrossViewError):
            _log.error("A page met an error of ours", exc_info=error)
        show_error(error, title=self._title, page=self._page)
        return True


def _steers(error: Exception) -> bool:
    """Whether Streamlit raised this to stop or rerun the page: never ours to catch."""
    return type(error).__module__.startswith("streamlit.runtime.scriptrunner")
