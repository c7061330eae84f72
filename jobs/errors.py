"""What the service refuses, one class and one stable code a situation; kin of engine.errors."""

from __future__ import annotations

from engine.errors import BadInput, BadSetting, CrossViewError


class NotFound(CrossViewError):
    """No job, dataset, upload or artifact of this name."""

    code = "not-found"


class NotReady(CrossViewError):
    """It exists, but is not finished: an import still running, a job without a result."""

    code = "not-ready"


class Conflict(CrossViewError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class BadSource(BadInput):
    """A dataset cannot be brought in from there."""

    code = "bad-source"


class BadRequest(BadInput):
    """The request itself is malformed: a missing field, an unknown one, an impossible value."""

    code = "bad-request"


class NoCapacity(CrossViewError):
    """The place where jobs run can never hold this one."""

    code = "no-capacity"


class QueueFull(CrossViewError):
    """This user has as many jobs waiting as one user may."""

    code = "queue-full"


class KeyReused(BadInput):
    """An Idempotency-Key was sent with another request before."""

    code = "key-reused"


class InProgress(CrossViewError):
    """The first request of this Idempotency-Key is not answered yet."""

    code = "in-progress"


class TooManyRequests(CrossViewError):
    """More requests than one person may send in a while."""

    code = "too-many-requests"


class WrongMediaType(BadInput):
    """The body is not of the kind that is read here."""

    code = "unsupported-media-type"


class Unreachable(CrossViewError):
    """The server or the cluster does not answer."""

    code = "unreachable"


class ChecksumMismatch(BadInput):
    """What arrived is not what was sent."""

    code = "checksum-mismatch"


class WrongHost(CrossViewError):
    """The request was made through a name this server does not answer to, or from another site."""

    code = "wrong-host"


__all__ = [
    "BadInput",
    "BadRequest",
    "BadSetting",
    "BadSource",
    "ChecksumMismatch",
    "Conflict",
    "CrossViewError",
    "InProgress",
    "KeyReused",
    "NoCapacity",
    "NotFound",
    "NotReady",
    "QueueFull",
    "TooManyRequests",
    "Unreachable",
    "WrongHost",
    "WrongMediaType",
]
