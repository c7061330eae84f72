"""What people are called: addresses, names, ids, and rows as views."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from jobs.accounts.errors import LinkUsedUp
from jobs.accounts.principal import Role
from jobs.accounts.views import InvitationView, UserView
from jobs.errors import BadRequest

if TYPE_CHECKING:
    from storage.tables.links import LinkRow
    from storage.tables.users import UserRow


def address(text: str) -> str:
    """An e-mail address in small letters. Raises BadRequest."""
    email = text.strip().lower()
    local, _, domain = email.rpartition("@")
    plain = email.isascii() and email.isprintable() and len(email) <= 254 and not set(email) & set(" <>,;\"'()\\")
    if not (plain and local and "." in domain and "@" not in local):
        raise BadRequest(f"{text[:80]!r} is no e-mail address.", hint="Write it as anna@lab.example.")
    return email


def one_name(name: str, email: str) -> str:
    """What others see of them: what they wrote, else the address."""
    return "".join(c for c in name if c.isprintable()).strip()[:80] or email[:80]


def new_user() -> str:
    return f"user-{secrets.token_hex(6)}"


def user_view(row: UserRow) -> UserView:
    return UserView.model_validate(
        {name: getattr(row, name) for name in UserView.model_fields},
    )


def invitation_view(row: LinkRow) -> InvitationView:
    return InvitationView(email=row.email, role=Role(row.role), expires_at=row.expires_at)


def used_up() -> LinkUsedUp:
    return LinkUsedUp(
        "This link works no longer: it was used, ran out, or was replaced by a newer one.",
        hint="Ask for another: an operator invites, and a password can be set anew from the sign-in page.",
    )
