"""Passwords: which are refused, and how they are kept."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from jobs.accounts import passwords
from jobs.accounts.errors import BadPassword


@pytest.mark.parametrize(
    "password",
    ["short", "password1234", "Password123!", "P@$$w0rd2024", "qwertyuiop12", "letmeinletmein", "aaaaaaaaaaaa",
     "abcabcabcabc", "111222333444", "1q2w3e4r5t6y", "iloveyouforever", "crossview2026", "anna.meyer2020",
     "x" * 257],
)  # fmt: skip
def test_what_everybody_would_guess_is_refused(password: str) -> None:
    with pytest.raises(BadPassword) as refused:
        passwords.require_good(password, personal=("anna.meyer@lab.org", "Anna Meyer"))
    assert refused.value.hint
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password", ["tungsten-ferry-mosaic", "correct horse battery staple", "kX9$mQ2!vLp4z", "übermütige Zwergziege"]
)
def test_length_is_enough_whatever_it_is_composed_of(password: str) -> None:
    passwords.require_good(password)


def test_it_is_kept_as_argon2id_with_a_salt_of_its_own() -> None:
    first, second = passwords.hashed("tungsten-ferry-mosaic"), passwords.hashed("tungsten-ferry-mosaic")
    assert first != second
    assert first.startswith(f"$argon2id$v=19$m={passwords.MEMORY_KIB},t={passwords.PASSES},p={passwords.LANES}$")
    assert passwords.matches(first, "tungsten-ferry-mosaic")
    assert not passwords.matches(first, "Tungsten-ferry-mosaic")
    assert not passwords.matches(None, "nobody has this password")
    assert not passwords.matches(first, "x" * 10_000)


def test_a_hash_of_older_parameters_is_known_as_such() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash("tungsten-ferry-mosaic")
    assert passwords.matches(old, "tungsten-ferry-mosaic")
    assert passwords.outdated(old)
    assert not passwords.outdated(passwords.hashed("tungsten-ferry-mosaic"))


def test_the_same_letters_composed_in_another_way_are_the_same_password() -> None:
    assert passwords.matches(passwords.hashed("u\u0308bermutige ziege"), "\u00fcbermutige ziege")
