"""Passwords: how they are kept, and which are refused. ASVS 5.0 §6.2: length and common ones, no composition rules."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from jobs.accounts.errors import BadPassword

LEAST = 12  # characters  # ours; ASVS 5.0 6.2.1: at least 8, 15 recommended
MOST = 256  # characters: a hash of more is an attack, not a password  # ours; ASVS 5.0 6.2.9: at least 64
# OWASP Password Storage Cheat Sheet, argon2id: m=46 MiB, t=1, p=1
MEMORY_KIB, PASSES, LANES = 47_104, 1, 1
PIECES = 3  # of common words, runs and years that a password may not be made of alone  # ours

WALKS = (
    "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop", "1234567890", "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn", "1q2w3e4r5t6y7u8i9o0p", "qazwsxedcrfvtgbyhnujm", "q1w2e3r4t5y6u7i8o9p0", "zaqxswcdevfr",
)  # fmt: skip
WORDS = frozenset((Path(__file__).with_name("common_words.txt")).read_text(encoding="utf-8").split())
_SPOKEN = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t"})


@lru_cache(maxsize=1)
def _hasher():  # type: ignore[no-untyped-def]
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """A hash to check against where there is no user: it takes as long."""
    return hashed("nobody has this password")


def hashed(password: str) -> str:
    """argon2id with its salt and parameters, as text."""
    return str(_hasher().hash(_normal(password)))


def matches(kept: str | None, password: str) -> bool:
    """kept: a hash, or None where there is none; that takes as long."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > MOST:
        return False
    try:
        right = bool(_hasher().verify(kept if kept is not None else _nobodys(), _normal(password)))
    except (VerificationError, InvalidHashError):
        return False
    return right and kept is not None


def outdated(kept: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return bool(_hasher().check_needs_rehash(kept))


def require_good(password: str, *, personal: tuple[str, ...] = ()) -> None:
    """personal: the person's own name and address, which are no password. Raises BadPassword."""
    if len(password) < LEAST:
        raise BadPassword(
            f"The password has {len(password)} characters; at least {LEAST} are needed.",
            hint="Several words that nobody would put together are easy to keep in mind.",
        )
    if len(password) > MOST:
        raise BadPassword(f"The password has {len(password)} characters.", hint=f"Use at most {MOST}.")
    if guessable(password, personal=personal):
        raise BadPassword(
            "This password is among the first that are tried: common words, names, runs of keys or years.",
            hint="Put together words that have nothing to do with each other, or let a password manager make one.",
        )


def guessable(password: str, *, personal: tuple[str, ...] = ()) -> bool:
    """Whether it is made of a few common pieces and nothing else, also spelled with digits for letters."""
    own = {part for text in personal for part in re.split(r"[^a-z0-9]+", text.lower()) if len(part) > 2}
    low = password.lower()
    for text in (low, low.replace("@", "a").replace("$", "s").replace("!", "i")):
        plain = re.sub(r"[\s._\-+*#!?@$%&/=,;:]+", "", text)
        if plain.isdecimal() or len(set(plain)) < 4 or _pieces(plain, own) <= PIECES:
            return True
    return False


def _pieces(text: str, own: set[str]) -> float:
    """The least number of common pieces that it falls into; infinite where it does not."""
    best: list[float] = [0.0] + [float("inf")] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - 30), end):
            if best[start] + 1 < best[end] and _common(text[start:end], own):
                best[end] = best[start] + 1
    # Twice the same is one thing to guess.
    return best[-1] if not _repeats(text) else min(best[-1], best[len(text) // _repeats(text)])


def _repeats(text: str) -> int:
    """How often the text repeats a part of itself from end to end; 0 where it does not."""
    for size in range(1, len(text) // 2 + 1):
        if len(text) % size == 0 and text[:size] * (len(text) // size) == text:
            return len(text) // size
    return 0


def _common(piece: str, own: set[str]) -> bool:
    if piece in own or len(set(piece)) == 1 or piece in WORDS or piece.translate(_SPOKEN) in WORDS:
        return True
    if piece.isdecimal() and (len(piece) <= 2 or re.fullmatch(r"(19|20)\d\d|\d{1,2}\d{1,2}(19|20)\d\d", piece)):
        return True
    return len(piece) > 2 and any(piece in walk * 2 or piece in walk[::-1] * 2 for walk in WALKS)


def _normal(password: str) -> str:
    """The same whichever way a keyboard composes its letters; otherwise as it was typed (ASVS 5.0 6.2.8)."""
    return unicodedata.normalize("NFC", password)
