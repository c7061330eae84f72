"""What the doors share: forms that only we can have sent, work off the event loop, and a session at the end."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api.kit import STATUS, came_from
from app.auth import cookies, markup
from jobs.accounts.access import asking
from jobs.accounts.principal import Principal
from jobs.accounts.service import Accounts
from jobs.accounts.settings import AuthSettings
from jobs.errors import BadRequest, CrossViewError, NotReady
from jobs.failures import failure_of

MOST_BYTES = 16_384  # of a form  # ours
FORM_S = 4 * 3_600  # that a form may stand open  # ours
AT_ONCE = 2  # passwords hashed side by side: each takes 46 MiB  # ours
T = TypeVar("T")
Fields = dict[str, str]


@dataclass
class Door:
    """rules: how people sign in here. source: the accounts at the time of a request."""

    rules: AuthSettings
    source: Callable[[], Accounts | None]
    public_url: str = ""
    _turn: anyio.CapacityLimiter | None = field(default=None, repr=False)

    @property
    def accounts(self) -> Accounts:
        found = self.source()
        if found is None:
            raise NotReady("The server is still starting.", hint="Try again in a moment.")
        return found

    def first_is_free(self) -> bool:
        found = self.source()
        return found is not None and self.rules.mode == "local" and found.first_token.is_file()

    async def let_in(self, request: Request, id: str, back: str) -> Response:
        """With a session of its own: nothing that was shown before is worth anything afterwards."""
        safe = self.safe(request)
        old = cookies.read(request.scope, cookies.SESSION, safe=safe)
        begin = partial(
            self.accounts.sessions.begin, id, way=self.rules.mode, address=came_from(request.scope),
            agent=request.headers.get("user-agent", ""), instead_of=old,
        )  # fmt: skip
        secret = await self.in_name_of(Principal(id), begin)
        answer: Response = RedirectResponse(back, 303)
        seconds = int(self.rules.absolute.total_seconds())
        cookies.write(answer, cookies.SESSION, secret, safe=safe, seconds=seconds)
        cookies.clear(answer, cookies.FORM, safe=safe)
        answer.headers["cache-control"] = "no-store"
        return answer

    def safe(self, request: Request) -> bool:
        return cookies.secure(request.scope, self.rules, self.public_url)

    async def work(self, do: Callable[[], T]) -> T:
        if self._turn is None:
            self._turn = anyio.CapacityLimiter(AT_ONCE)
        return await run_sync(do, limiter=self._turn)

    async def in_name_of(self, who: Principal, do: Callable[[], T]) -> T:
        def run() -> T:
            with asking(who, "sign-in page"):
                return do()

        return await self.work(run)

    def form_of(
        self, request: Request, action: str, button: str, *fields: str, keep: Fields | None = None, quiet: bool = False
    ) -> str:
        """A form with the mark that shows that it came from here; `sent` leaves the same in a cookie."""
        mark = request.scope.setdefault("crossview.form", self._mark(request) or secrets.token_urlsafe(24))
        return markup.form(action, button, *fields, hidden={"form": mark, **(keep or {})}, quiet=quiet)

    def _mark(self, request: Request) -> str:
        return cookies.read(request.scope, cookies.FORM, safe=self.safe(request))

    def sent(self, request: Request, answer: Response) -> Response:
        if (mark := request.scope.get("crossview.form")) is not None:
            cookies.write(answer, cookies.FORM, mark, safe=self.safe(request), seconds=FORM_S, strict=True)
        return answer

    async def read_form(self, request: Request) -> Fields:
        """Raises BadRequest for what is no form of ours."""
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise BadRequest("This is no form of this page.", hint="Reload the page and try again.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise BadRequest("The form is too large.", hint="Reload the page and try again.")
        try:
            said = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=12))
        except ValueError:
            raise BadRequest("The form cannot be read.", hint="Reload the page and try again.") from None
        mark = self._mark(request)
        if not mark or not hmac.compare_digest(mark.encode(), said.get("form", "").encode()):
            raise BadRequest("This form is too old, or came from elsewhere.", hint="Send it once more.")
        return said

    def refusal(self, error: CrossViewError | None) -> str:
        return markup.refused(failure_of(error)) if error is not None else ""


def here_only(target: str) -> str:
    """A path of this server, else the first page: nobody is sent elsewhere by a link to the sign-in page."""
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if inside and "\\" not in target and not target.startswith("/auth/") else "/"


def status_of(error: CrossViewError | None) -> int:
    return STATUS.get(error.code, 400) if error is not None else 200
