"""Secrets that are shown once: 256 random bits each, kept as a SHA-256 alone."""

from __future__ import annotations

import hashlib
import secrets

PREFIX = "cv_"  # of API tokens, so that a scanner finds one that was published
BYTES = 32


def new_secret() -> str:
    return secrets.token_urlsafe(BYTES)


def new_token() -> str:
    return PREFIX + new_secret()


def new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(6)}"


def digest(secret: str) -> str:
    """What is kept of it. The secret is random, so that no salt or slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
