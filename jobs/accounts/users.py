"""People: invited, signed up, signed in, set anew, disabled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.accounts import passwords
from jobs.accounts.errors import NotAllowed, WrongSignIn
from jobs.accounts.lockout import Lockout
from jobs.accounts.people import address, invitation_view, new_user, one_name, used_up, user_view
from jobs.accounts.principal import Role
from jobs.accounts.secrets import digest, new_secret
from jobs.accounts.sessions import Sessions
from jobs.accounts.views import InvitationView, UserView
from jobs.errors import Conflict, NotFound
from jobs.keeping.actor import PERSON
from jobs.keeping.audit import entry, noted
from storage.tables import links as link_table
from storage.tables import sessions as session_table
from storage.tables import tokens as token_table
from storage.tables import users as table
from storage.tables.links import INVITE, RESET, LinkRow
from storage.tables.rows import utcnow
from storage.tables.users import UserRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from storage.database import Database

INVITED = timedelta(days=7)  # an invitation works for  # ours
RESETTING = timedelta(minutes=30)  # a reset works for
WRONG = "Address and password do not belong together."


@dataclass
class Users:
    """Of this CrossView. Whoever made it work in single-user mode, `local`, becomes its first operator."""

    database: Database
    sessions: Sessions
    lockout: Lockout
    now: Callable[[], datetime] = utcnow

    def all(self) -> list[UserView]:
        with self.database.read() as conn:
            return [user_view(row) for row in table.find(conn)]

    def get(self, id: str) -> UserView:
        """Raises NotFound."""
        with self.database.read() as conn:
            row = table.get(conn, id)
        if row is None:
            raise NotFound(f"There is no user {id[:40]!r}.", hint="`crossview admin users list` names them.")
        return user_view(row)

    def called(self, word: str) -> UserView:
        """By id, address or name as the proxy gives it. Raises NotFound."""
        with self.database.read() as conn:
            row = table.get(conn, word) or table.by_email(conn, word.strip().lower())
            row = row or table.by_subject(conn, "proxy", word.strip())
        if row is None:
            raise NotFound(f"There is no user {word[:80]!r}.", hint="Write the address they sign in with.")
        return user_view(row)

    def known_as(self, word: str) -> UserView:
        """By what people know of each other: an address, or the name a proxy gives. Raises NotFound."""
        with self.database.read() as conn:
            row = table.by_email(conn, word.strip().lower()) if word.strip() else None
            row = row or table.by_subject(conn, "proxy", word.strip())
        if row is None:
            raise NotFound(f"There is no user {word[:80]!r}.", hint="Write the address they sign in with.")
        return user_view(row)

    def prepare(self) -> bool:
        """The first operator's place, kept free; whether nobody has taken it yet."""

        def write(conn: DuckDBPyConnection) -> bool:
            if table.get(conn, PERSON) is None:
                table.insert(conn, UserRow(id=PERSON, email="", name="First operator", role=Role.OPERATOR, state="new"))
            return not any(row.state == "active" and row.role == Role.OPERATOR for row in table.find(conn))

        return self.database.write_now(write)

    def withdraw_first(self) -> None:
        """Where there is an operator, the token for the first one is worth nothing more, whoever holds a copy."""

        def write(conn: DuckDBPyConnection) -> None:
            row = table.get(conn, PERSON)
            if row is not None and row.state == "new":
                token_table.revoke(conn, owner=PERSON)

        self.database.write_now(write)
        self.sessions.forget()

    # -- invitations ---------------------------------------------------------------------------------------------

    def invite(self, email: str, *, role: Role, by: str) -> InvitationView:
        """A link that makes one account, for a week; an earlier one to the same address works no longer.

        Raises BadRequest, Conflict.
        """
        email = address(email)
        secret, now = new_secret(), self.now()
        link = LinkRow(
            id=digest(secret), kind=INVITE, email=email, role=role, owner=by, created_at=now, expires_at=now + INVITED
        )

        def write(conn: DuckDBPyConnection) -> None:
            if table.by_email(conn, email) is not None:
                raise Conflict(f"{email} has an account.", hint="`crossview admin users list` shows all.")
            link_table.sweep(conn, before=now - timedelta(days=90))
            link_table.drop(conn, INVITE, email)
            link_table.insert(conn, link)

        self.database.write_now(noted("user.invite", link.id[:16], write, role=role.value))
        return invitation_view(link).model_copy(update={"link": f"/auth/join?link={secret}"})

    def invitations(self) -> list[InvitationView]:
        with self.database.read() as conn:
            return [invitation_view(row) for row in link_table.find(conn, INVITE, self.now())]

    def withdraw(self, email: str) -> None:
        """Raises NotFound."""
        email = email.strip().lower()
        if not self.database.write_now(
            noted("user.uninvite", "invitation", lambda conn: link_table.drop(conn, INVITE, email))
        ):
            raise NotFound("There is no invitation to that address.", hint="It may have been used or have run out.")

    def invited(self, secret: str) -> InvitationView:
        """Raises LinkUsedUp."""
        return invitation_view(self._link(secret, INVITE))

    def join(self, secret: str, *, name: str, password: str) -> str:
        """The id of the account an invitation made. Raises LinkUsedUp, BadPassword, Conflict."""
        link = self._link(secret, INVITE)
        passwords.require_good(password, personal=(link.email, name))
        row = self._new(link.email, name, Role(link.role), passwords.hashed(password))

        def write(conn: DuckDBPyConnection) -> None:
            if not link_table.use(conn, link.id):
                raise used_up()
            if table.by_email(conn, link.email) is not None:
                raise Conflict(f"{link.email} has an account.", hint="Sign in, or set the password anew.")
            table.insert(conn, row)

        self.database.write_now(noted("user.join", row.id, write, role=row.role))
        return row.id

    def first(self, *, email: str, name: str, password: str) -> str:
        """The first operator's account, once. Whoever calls has checked their token. Raises Conflict, BadPassword."""
        email = address(email)
        passwords.require_good(password, personal=(email, name))
        kept = passwords.hashed(password)

        def write(conn: DuckDBPyConnection) -> None:
            row = table.get(conn, PERSON)
            if row is None or row.state != "new" or table.by_email(conn, email) is not None:
                raise Conflict("The first account was made already.", hint="Sign in, or ask an operator.")
            table.change(
                conn, PERSON, email=email, name=one_name(name, email), state="active", password=kept,
                password_at=self.now(),
            )  # fmt: skip
            token_table.revoke(conn, owner=PERSON)  # its work is done

        self.database.write_now(noted("user.first", PERSON, write))
        self.sessions.forget()
        return PERSON

    # -- signing in ----------------------------------------------------------------------------------------------

    def sign_in(self, email: str, password: str, *, from_address: str) -> str:
        """The user's id. Raises WrongSignIn, TooManyTries."""
        email = email.strip().lower()[:254]
        with self.database.read() as conn:
            row = table.by_email(conn, email)
            known = row is not None and session_table.used_from(conn, owner=row.id, address=from_address)
        tried = self.lockout.enter(email, from_address, known=known)
        usable = row if row is not None and row.state == "active" and row.way == "local" else None
        if not passwords.matches(usable.password if usable else None, password) or usable is None:
            if row is not None:  # the log of a name nobody has would be a place to write
                # Not waited for: how long the answer takes must not tell whether there is such an account.
                self.database.write(entry("account.sign-in", row.id, outcome="refused"))
            raise WrongSignIn(WRONG, hint="Check both. A forgotten password can be set anew by e-mail.")
        tried.succeeded()
        if usable.password and passwords.outdated(usable.password):
            anew = passwords.hashed(password)
            self.database.write_now(lambda conn: table.change(conn, usable.id, password=anew))
        return usable.id

    def change_password(self, id: str, *, old: str, new: str, from_address: str, keep: str = "") -> None:
        """Ends every session but `keep`. Raises WrongSignIn, TooManyTries, BadPassword, Conflict."""
        with self.database.read() as conn:
            row = table.get(conn, id)
        if row is None or row.way != "local" or row.password is None:
            raise Conflict("This account has no password here.", hint="Change it where you sign in.")
        tried = self.lockout.enter(row.email, from_address, known=True)
        if not passwords.matches(row.password, old):
            raise WrongSignIn("The present password is another.", hint="A forgotten one can be set anew by e-mail.")
        tried.succeeded()
        self._set_password(row, new, act="account.password", keep=keep)

    # -- a forgotten password ------------------------------------------------------------------------------------

    def reset(self, email: str, *, from_address: str) -> tuple[str, str] | None:
        """Address and secret of a link to set the password anew; None where nobody has this address.

        Raises TooManyTries.
        """
        email = email.strip().lower()[:254]
        self.lockout.enter(f"reset {email}", from_address)
        secret, now = new_secret(), self.now()

        def write(conn: DuckDBPyConnection) -> bool:
            row = table.by_email(conn, email)
            if row is None or row.state != "active" or row.way != "local":
                return False
            link_table.drop(conn, RESET, email)
            link_table.insert(
                conn,
                LinkRow(
                    id=digest(secret), kind=RESET, email=email, owner=row.id, created_at=now, expires_at=now + RESETTING
                ),
            )
            entry("account.reset-asked", row.id)(conn)
            return True

        return (email, secret) if self.database.write_now(write) else None

    def resetting(self, secret: str) -> str:
        """Whose password it sets anew, by address. Raises LinkUsedUp."""
        return self._link(secret, RESET).email

    def set_anew(self, secret: str, password: str) -> str:
        """Ends every session and revokes every token of the account. Raises LinkUsedUp, BadPassword."""
        link = self._link(secret, RESET)
        with self.database.read() as conn:
            row = table.get(conn, link.owner)
        if row is None or row.state != "active":
            raise used_up()
        self._set_password(row, password, act="account.reset", link=link.id)
        return row.id

    def _set_password(self, row: UserRow, password: str, *, act: str, keep: str = "", link: str = "") -> None:
        passwords.require_good(password, personal=(row.email, row.name))
        kept = passwords.hashed(password)

        def write(conn: DuckDBPyConnection) -> None:
            if link and not link_table.use(conn, link):
                raise used_up()
            table.change(conn, row.id, password=kept, password_at=self.now())
            session_table.end(conn, owner=row.id, but=keep)
            if link:
                token_table.revoke(conn, owner=row.id)

        self.database.write_now(noted(act, row.id, write))
        self.sessions.forget()

    # -- people others vouch for ---------------------------------------------------------------------------------

    def vouched(self, way: str, subject: str, *, email: str = "", name: str = "", operator: bool = False) -> str:
        """The id of whom an identity provider or proxy names; made at first sight. Raises NotAllowed.

        operator: the settings say that this is one.
        """

        def write(conn: DuckDBPyConnection) -> tuple[str, str]:
            if (row := table.by_subject(conn, way, subject)) is not None:
                if operator and row.role != Role.OPERATOR and row.state == "active":
                    table.change(conn, row.id, role=Role.OPERATOR.value)
                return row.id, row.state
            first = table.get(conn, PERSON)
            said: dict[str, Any] = {"name": one_name(name, email or subject), "way": way, "subject": subject}
            # An address is never joined to an account that signs in another way: whoever vouches may be mistaken.
            free = email if email and table.by_email(conn, email) is None else ""
            if operator and first is not None and first.state == "new":
                table.change(conn, PERSON, email=free, state="active", **said)
                token_table.revoke(conn, owner=PERSON)  # its work is done
                entry("user.first", PERSON, way=way)(conn)
                return PERSON, "active"
            new = UserRow(id=new_user(), email=free, role=Role.OPERATOR if operator else Role.USER, **said)
            table.insert(conn, new)
            entry("user.join", new.id, way=way)(conn)
            return new.id, new.state

        with self.database.read() as conn:  # nearly always known already
            row = table.by_subject(conn, way, subject)
        settled = row is not None and (not operator or row.role == Role.OPERATOR)
        id, state = (row.id, row.state) if row is not None and settled else self.database.write_now(write)
        if state == "disabled":
            raise NotAllowed("This account is disabled.", hint="Ask whoever runs this CrossView.")
        return id

    # -- what operators do ---------------------------------------------------------------------------------------

    def set_role(self, id: str, role: Role) -> UserView:
        """Raises NotFound, Conflict for the last operator."""
        return self._change(id, "user.role", {"role": role.value}, demotes=role is not Role.OPERATOR)

    def disable(self, id: str) -> UserView:
        """Ends sessions and revokes tokens; what they made stays. Raises NotFound, Conflict for the last operator."""
        return self._change(id, "user.disable", {"state": "disabled"}, demotes=True)

    def enable(self, id: str) -> UserView:
        """Raises NotFound."""
        return self._change(id, "user.enable", {"state": "active"}, demotes=False)

    def _change(self, id: str, act: str, changes: dict[str, Any], *, demotes: bool) -> UserView:
        def write(conn: DuckDBPyConnection) -> None:
            row = table.get(conn, id)
            if row is None:
                raise NotFound(f"There is no user {id[:40]!r}.", hint="`crossview admin users list` names them.")
            if row.state == "new":
                raise Conflict("The first operator has no account yet.", hint="It is made with the operator's token.")
            others = [
                each
                for each in table.find(conn)
                if each.id != id and each.role == Role.OPERATOR and each.state == "active"
            ]
            if demotes and row.role == Role.OPERATOR and row.state == "active" and not others:
                raise Conflict("This is the last operator.", hint="Make somebody else one first.")
            table.change(conn, id, **changes)
            if changes.get("state") == "disabled":
                session_table.end(conn, owner=id)
                token_table.revoke(conn, owner=id)

        self.database.write_now(noted(act, id, write, **changes))
        self.sessions.forget()
        return self.get(id)

    def _link(self, secret: str, kind: str) -> LinkRow:
        with self.database.read() as conn:
            link = link_table.live(conn, digest(secret), kind, self.now())
        if link is None:
            raise used_up()
        return link

    def _new(self, email: str, name: str, role: Role, kept: str) -> UserRow:
        now = self.now()
        return UserRow(
            id=new_user(), email=email, name=one_name(name, email), role=role, password=kept, created_at=now,
            password_at=now,
        )  # fmt: skip
