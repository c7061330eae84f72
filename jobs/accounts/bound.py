"""A client in one person's name: every call is made as theirs, whatever it is called and whichever thread it is in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from jobs.accounts.access import asking
from jobs.accounts.errors import NotSignedIn
from jobs.accounts.principal import Principal

if TYPE_CHECKING:
    from jobs.client import Client

Alive = Callable[[Principal], bool]


class _Bound:
    def __init__(self, client: object, principal: Principal, via: str, alive: Alive | None) -> None:
        self._client, self._principal, self._via, self._alive = client, principal, via, alive

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._client, name)
        if callable(found):
            return self._in_their_name(found)
        ours = type(found).__module__.partition(".")[0] == __name__.partition(".")[0]
        return _Bound(found, self._principal, self._via, self._alive) if ours else found  # a client within the client

    def _in_their_name(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def run(*args: Any, **how: Any) -> Any:
            if self._alive is not None and not self._alive(self._principal):
                raise NotSignedIn("You are not signed in any more.", hint="Sign in again: /auth/sign-in.")
            with asking(self._principal, self._via):
                answer = call(*args, **how)
            return self._stepwise(answer) if isinstance(answer, Generator) else answer

        return run

    def _stepwise(self, blocks: Generator[Any]) -> Generator[Any]:
        """What comes block by block is theirs in each step."""
        try:
            while True:
                with asking(self._principal, self._via):
                    try:
                        block = next(blocks)
                    except StopIteration:
                        return
                yield block
        finally:
            blocks.close()


def bound(client: Client, principal: Principal, *, via: str = "page", alive: Alive | None = None) -> Client:
    """alive: whether they are still let in, asked at every call. Raises NotSignedIn there."""
    return cast("Client", _Bound(client, principal, via, alive))
