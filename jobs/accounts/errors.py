"""What accounts refuse, one class and one stable code a situation."""

from __future__ import annotations

from engine.errors import BadInput, CrossViewError


class NotSignedIn(CrossViewError):
    """Nobody is signed in, or not any more."""

    code = "not-signed-in"


class NotAllowed(CrossViewError):
    """Signed in, but this takes another role or another scope."""

    code = "not-allowed"


class WrongSignIn(CrossViewError):
    """Address and password do not belong together; which of the two is wrong is not said."""

    code = "wrong-sign-in"


class TooManyTries(CrossViewError):
    """Sign-ins failed too often: the next is looked at after a while. wait_s: seconds until then."""

    code = "too-many-tries"

    def __init__(self, message: str, *, hint: str = "", wait_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.wait_s = wait_s


class BadPassword(BadInput):
    """A new password that is too short, too long, or among the first anybody would guess."""

    code = "bad-password"


class LinkUsedUp(CrossViewError):
    """An invitation or a reset that was used, ran out, or never was."""

    code = "link-used-up"
