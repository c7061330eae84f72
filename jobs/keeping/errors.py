"""What keeping refuses, one class and one stable code a situation."""

from __future__ import annotations

from engine.errors import BadInput, CrossViewError


class OverQuota(CrossViewError):
    """The owner keeps as much as the operator allows."""

    code = "over-quota"


class BadBackup(BadInput):
    """The file is no whole backup of CrossView."""

    code = "bad-backup"


class NotEmpty(CrossViewError):
    """A backup is restored into a new place only."""

    code = "not-empty"
