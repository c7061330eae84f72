"""Who asks: a user, in a role, with what the session or token in their hand allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jobs.keeping.actor import PERSON


class Role(StrEnum):
    USER = "user"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a token may be used for. Sessions have all."""

    READ = "read"  # look at what is mine, and at what is shared with me
    SUBMIT = "submit"  # bring in, run, change, share and delete what is mine
    ACCOUNT = "account"  # my tokens and sessions, and where I am told
    ADMIN = "admin"  # an operator's work


ALL = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """user: an id, the owner of everything this person makes. session, token: ids of what they showed."""

    user: str
    role: Role = Role.USER
    scopes: frozenset[Scope] = ALL
    session: str = ""
    token: str = ""

    @property
    def operator(self) -> bool:
        """Whether an operator's things are open: by role, and by scope."""
        return self.role is Role.OPERATOR and Scope.ADMIN in self.scopes


ONE = Principal(PERSON, Role.OPERATOR)  # of single-user mode
