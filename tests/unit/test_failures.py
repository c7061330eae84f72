"""Exceptions to failures and back, without secrets."""

from __future__ import annotations

import errno

import pytest

from engine.errors import BadInput, CrossViewError, FeatureMismatch
from jobs.errors import NotFound
from jobs.failures import INTERNAL, error_of, failure_of, scrub, typed_errors
from jobs.runners.base import RunnerUnreachable
from jobs.spec import TranslateSpec
from jobs.state import IllegalMove
from jobs.views import Failure
from storage.errors import ObjectMissing

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_our_own_errors_keep_code_message_and_hint() -> None:
    for error in (FeatureMismatch("4 % found.", hint="Use symbols."), ObjectMissing("No such key.", hint="Look.")):
        failure = failure_of(error)
        assert (failure.code, failure.message, failure.hint) == (error.code, error.message, error.hint)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out-of-memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk-full"),
        (RuntimeError("Unable to flush raw data (file write failed: errno = 28, error message = '…')"), "disk-full"),
        (RuntimeError("Unable to flush raw data (file write failed: errno = 281)"), "internal-error"),
        (RunnerUnreachable("http://127.0.0.1:8265"), "unreachable"),
        (IllegalMove("A job that is LOST cannot become RUNNING."), "conflict"),
        (FileNotFoundError(errno.ENOENT, "No such file"), INTERNAL),
        (ZeroDivisionError("division by zero"), INTERNAL),
    ],
)
def test_every_situation_has_a_code_and_says_what_to_do(error: Exception, code: str) -> None:
    failure = failure_of(raised(error))
    assert failure.code == code
    assert failure.message
    assert failure.hint


def test_a_fault_of_ours_keeps_its_traceback_as_detail() -> None:
    failure = failure_of(raised(ZeroDivisionError("division by zero")))
    assert "ZeroDivisionError: division by zero" in failure.detail
    assert "division by zero" not in failure.message


def test_all_problems_of_a_request_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="validation") as caught:
        TranslateSpec.model_validate({"directions": ["sideways"], "wrong": 1})
    failure = failure_of(caught.value)
    assert failure.code == "bad-request"
    for field in ("model", "directions", "wrong"):
        assert field in failure.message


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"GET https://bucket.s3.amazonaws.com/k?X-Amz-Signature={'ab' * 20}&X-Amz-Expires=60",
        "could not open https://ada:hunter2hunter2@example.org/x.h5ad",
        f"aws_secret_access_key={SECRET}",
        "key AKIAIOSFODNN7EXAMPLE was refused",
    ],
)
def test_nothing_that_looks_like_a_credential_survives(text: str) -> None:
    clean = scrub(text, environ={})
    for secret in (SECRET, "ab" * 20, "hunter2hunter2", "AKIAIOSFODNN7EXAMPLE"):
        assert secret not in clean
    assert "•••" in clean


def test_the_secrets_of_this_process_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSVIEW_S3_SECRET_ACCESS_KEY", "correct-horse-battery")
    failure = failure_of(raised(ValueError("signed with correct-horse-battery")))
    assert "correct-horse-battery" not in failure.model_dump_json()


def test_plain_text_is_left_alone() -> None:
    text = "812 of 20,000 genes found (4 %); s3://bucket/key.h5ad, chr1:100-600, job-1f2e."
    assert scrub(text, environ={"HOME": "/home/ada"}) == text


def test_there_and_back_is_the_same_class() -> None:
    for error in (NotFound("No job.", hint="List them."), BadInput("No."), FeatureMismatch("Few.", hint="More.")):
        again = error_of(failure_of(error))
        assert type(again) is type(error)
        assert (again.message, again.hint) == (error.message, error.hint)


def test_a_code_without_a_class_is_kept() -> None:
    error = error_of(Failure(code="source-not-found", message="No such key.", hint="Look again."))
    assert isinstance(error, CrossViewError)
    assert error.code == "source-not-found"


def test_typed_errors_lets_faults_of_ours_through() -> None:
    with pytest.raises(ZeroDivisionError), typed_errors():
        raise ZeroDivisionError
    with pytest.raises(CrossViewError, match="No such key") as caught, typed_errors():
        raise ObjectMissing("No such key.")
    assert caught.value.code == "source-not-found"
