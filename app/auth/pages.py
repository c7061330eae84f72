"""Signing in and out, joining, and setting a password anew: plain forms, because no page of Streamlit sets a cookie."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.api.kit import WHO, came_from
from app.auth import cookies, markup
from app.auth.door import Door, Fields, here_only, status_of
from jobs.accounts.passwords import LEAST
from jobs.accounts.principal import Principal
from jobs.errors import BadRequest, CrossViewError

STYLE = Path(__file__).with_name("style.css")
NEW = f"At least {LEAST} characters; several unusual words are fine."
NAME = "Your name, as others here see it"
BACK = (("Back to signing in", "/auth/sign-in"),)


class Doors(Door):
    """Those for people of whom this CrossView keeps a password, and signing out for all."""

    def routes(self) -> list[BaseRoute]:
        both = ["GET", "POST"]
        own = {
            "sign-in": self.sign_in, "join": self.join, "first": self.first, "forgotten": self.forgotten,
            "new-password": self.new_password, "password": self.password, "sign-out": self.sign_out,
        }  # fmt: skip
        return [
            *(Route(f"/auth/{name}", show, methods=both) for name, show in own.items()),
            Route("/auth/style.css", self.style),
        ]

    async def style(self, request: Request) -> Response:
        return FileResponse(STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})

    # -- signing in and out --------------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        back = here_only(request.query_params.get("next", ""))
        if request.method == "GET":
            if request.scope.get(WHO) is not None or not self.rules.on:
                return RedirectResponse(back, 303)
            return self._sign_in_page(request, back=back)
        said: Fields = {}
        try:
            said = await self.read_form(request)
            back = here_only(said.get("next", ""))
            if self.rules.mode != "local":
                raise BadRequest("There are no passwords here.", hint="Sign in with your institution.")
            email, password = said.get("email", ""), said.get("password", "")
            id = await self.work(
                partial(self.accounts.users.sign_in, email, password, from_address=came_from(request.scope))
            )
            return await self.let_in(request, id, back)
        except CrossViewError as error:
            return self._sign_in_page(request, back=back, email=said.get("email", ""), error=error)

    def _sign_in_page(
        self, request: Request, *, back: str, email: str = "", error: CrossViewError | None = None
    ) -> Response:
        parts = [self.refusal(error)]
        links: list[tuple[str, str]] = []
        if self.rules.mode == "local":
            given = (
                markup.field(
                    "email", "E-mail address", kind="email", value=email, complete="username", first=not email
                ),
                markup.field("password", "Password", kind="password", complete="current-password", first=bool(email)),
            )
            parts.append(self.form_of(request, "/auth/sign-in", "Sign in", *given, keep={"next": back}))
            links = [("Forgotten your password?", "/auth/forgotten")]
            if self.first_is_free():
                links.append(("First operator", "/auth/first"))
        elif self.rules.oidc is not None:
            parts.append(markup.words("You sign in where your institution knows you; no password is given here."))
            parts.append(
                markup.button(f"Sign in with {self.rules.oidc.name}", f"/auth/provider?next={quote(back, safe='')}")
            )
        else:
            parts.append(
                markup.words("This CrossView is reached through your institution's own sign-in. Open it there.")
            )
        return self.sent(request, markup.page("Sign in", *parts, status=status_of(error), links=links))

    async def sign_out(self, request: Request) -> Response:
        who: Principal | None = request.scope.get(WHO)
        if who is None or not who.session:
            return markup.page("Signing out", markup.words("You are not signed in here by a session."), links=BACK)
        if request.method == "GET":
            every = self.form_of(
                request, "/auth/sign-out", "Sign out everywhere", keep={"which": "all"}, quiet=True
            )  # fmt: skip
            one = self.form_of(request, "/auth/sign-out", "Sign out", keep={"which": "one"})
            links = [("Back to CrossView", "/")]
            return self.sent(request, markup.page("Sign out", one, every, links=links))
        try:
            said = await self.read_form(request)
        except CrossViewError as error:
            return markup.page(
                "Sign out", self.refusal(error), status=status_of(error), links=[("Try again", "/auth/sign-out")]
            )
        one_only = "" if said.get("which") == "all" else who.session
        await self.in_name_of(who, partial(self.accounts.sign_out, one_only))
        answer: Response = RedirectResponse("/auth/sign-in", 303)
        cookies.clear(answer, cookies.SESSION, safe=self.safe(request))
        answer.headers["clear-site-data"] = '"cache"'
        return answer

    # -- new accounts --------------------------------------------------------------------------------------------

    async def join(self, request: Request) -> Response:
        def shown(secret: str, email: str, name: str = "", error: CrossViewError | None = None) -> Response:
            given = (
                markup.field("email", "E-mail address", kind="email", value=email, complete="username", fixed=True),
                markup.field("name", NAME, value=name, complete="name", most=80, first=True),
                markup.field("password", "New password", kind="password", hint=NEW, complete="new-password"),
            )
            filled = self.form_of(request, "/auth/join", "Make my account", *given, keep={"link": secret})
            text = markup.words(f"You were invited as {email}: that is how you sign in.")
            return self.sent(
                request, markup.page("Welcome", self.refusal(error), text, filled, status=status_of(error))
            )

        return await self._by_link(
            request, "Welcome", shown, look=lambda secret: self.accounts.users.invited(secret).email,
            do=lambda secret, said: self.accounts.users.join(
                secret, name=said.get("name", ""), password=said.get("password", "")
            ),
        )  # fmt: skip

    async def new_password(self, request: Request) -> Response:
        def shown(secret: str, email: str, name: str = "", error: CrossViewError | None = None) -> Response:
            given = (
                markup.field("email", "E-mail address", kind="email", value=email, complete="username", fixed=True),
                markup.field(
                    "password", "New password", kind="password", hint=NEW, complete="new-password", first=True
                ),
            )
            filled = self.form_of(request, "/auth/new-password", "Set the password", *given, keep={"link": secret})
            text = markup.words("Every browser is signed out, and every token revoked.", quiet=True)
            return self.sent(
                request, markup.page("New password", self.refusal(error), text, filled, status=status_of(error))
            )

        return await self._by_link(
            request, "New password", shown, look=lambda secret: self.accounts.users.resetting(secret),
            do=lambda secret, said: self._anew(secret, said.get("password", "")), enter=False,
        )  # fmt: skip

    def _anew(self, secret: str, password: str) -> str:
        accounts = self.accounts
        to = accounts.users.resetting(secret)
        id = accounts.users.set_anew(secret, password)
        accounts.mailer.changed(to)
        return id

    async def _by_link(
        self, request: Request, title: str, shown: Callable[..., Response], *, look: Callable[[str], str],
        do: Callable[[str, Fields], str], enter: bool = True,
    ) -> Response:  # fmt: skip
        """A page that works once, by the secret of its link. enter: it signs in at the end."""
        said: Fields = {"link": request.query_params.get("link", "")}
        email = ""
        try:
            email = await self.work(partial(look, said["link"])) if request.method == "GET" else ""
            if request.method == "GET":
                return shown(said["link"], email)
            said = await self.read_form(request)
            email = await self.work(partial(look, said.get("link", "")))
            id = await self.work(partial(do, said.get("link", ""), said))
        except CrossViewError as error:
            if email:
                return shown(said.get("link", ""), email, said.get("name", ""), error)
            return markup.page(title, self.refusal(error), status=status_of(error), links=BACK)
        if enter:
            return await self.let_in(request, id, "/")
        done = markup.done("The password is set. Sign in with it.")
        return markup.page(title, done, markup.button("Sign in", "/auth/sign-in"))

    async def first(self, request: Request) -> Response:
        error: CrossViewError | None = None
        said: Fields = {}
        if request.method == "POST":
            try:
                said = await self.read_form(request)
                tried = self.accounts.users.lockout
                await self.work(partial(tried.enter, "first operator", came_from(request.scope)))
                id = await self.work(
                    partial(
                        self.accounts.first, said.get("token", ""), email=said.get("email", ""),
                        name=said.get("name", ""), password=said.get("password", ""),
                    )
                )  # fmt: skip
                return await self.let_in(request, id, "/")
            except CrossViewError as caught:
                error = caught
        elif not self.first_is_free():
            return markup.page(
                "First operator", markup.words("There is an operator already. Ask for an invitation."), links=BACK
            )
        given = (
            markup.field(
                "token", "Token", kind="password", first=True,
                hint="The line in operator.token in the home of this CrossView.",
            ),
            markup.field("email", "E-mail address", kind="email", value=said.get("email", ""), complete="username"),
            markup.field("name", NAME, value=said.get("name", ""), complete="name", most=80),
            markup.field("password", "New password", kind="password", hint=NEW, complete="new-password"),
        )  # fmt: skip
        text = markup.words("Whoever set this CrossView up makes the first account here, and invites everybody else.")
        filled = self.form_of(request, "/auth/first", "Make my account", *given)
        return self.sent(
            request,
            markup.page("First operator", self.refusal(error), text, filled, status=status_of(error), links=BACK),
        )

    # -- passwords -----------------------------------------------------------------------------------------------

    async def forgotten(self, request: Request) -> Response:
        error: CrossViewError | None = None
        if request.method == "POST":
            try:
                said = await self.read_form(request)
                asked = partial(self.accounts.forgotten, said.get("email", ""), from_address=came_from(request.scope))
                await self.work(asked)
                return markup.page(
                    "Look into your mail",
                    markup.done("If this address has an account here, a link is on its way. It works for 30 minutes."),
                    links=BACK,
                )
            except CrossViewError as caught:
                error = caught
        accounts = self.source()
        if accounts is not None and not accounts.mailer.able:
            text = markup.words("No mail server is set up here. Ask whoever runs this CrossView to invite you anew.")
            return markup.page("Forgotten your password?", text, links=BACK)
        given = markup.field("email", "E-mail address", kind="email", complete="username", first=True)
        filled = self.form_of(request, "/auth/forgotten", "Send me a link", given)
        return self.sent(
            request,
            markup.page("Forgotten your password?", self.refusal(error), filled, status=status_of(error), links=BACK),
        )

    async def password(self, request: Request) -> Response:
        who: Principal | None = request.scope.get(WHO)
        assert who is not None  # the gate lets nobody else in
        error: CrossViewError | None = None
        links = [("Back to CrossView", "/account")]
        if request.method == "POST":
            try:
                said = await self.read_form(request)
                change = partial(
                    self.accounts.users.change_password, who.user, old=said.get("old", ""),
                    new=said.get("password", ""), from_address=came_from(request.scope),
                )  # fmt: skip
                await self.in_name_of(who, change)
                self.accounts.mailer.changed(self.accounts.users.get(who.user).email)
                return await self.let_in(request, who.user, "/account")  # a new session: the old ones are over
            except CrossViewError as caught:
                error = caught
        given = (
            markup.field("old", "Present password", kind="password", complete="current-password", first=True),
            markup.field("password", "New password", kind="password", hint=NEW, complete="new-password"),
        )
        text = markup.words("Every other browser is signed out.", quiet=True)
        filled = self.form_of(request, "/auth/password", "Change it", *given)
        return self.sent(
            request,
            markup.page(
                "Change your password", self.refusal(error), text, filled, status=status_of(error), links=links
            ),
        )
