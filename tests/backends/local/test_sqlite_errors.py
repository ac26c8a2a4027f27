"""Which failures of a store's files may pass by themselves, and which last until somebody mends them."""

import errno

import pytest

from secrets_actor.backends.local import sqlite_errors


@pytest.mark.parametrize(
    ("code", "passing"),
    [(13, True), (10, True), (7, True), (18, True), (None, True), (3, False), (8, False), (14, False), (23, False)],
)
def test_a_missing_right_lasts_and_a_full_disk_may_pass_as_sqlite_tells_them(code: int | None, passing: bool) -> None:
    assert sqlite_errors.may_pass(code) is passing


@pytest.mark.parametrize(
    ("number", "passing"),
    [(errno.ENOSPC, True), (errno.EMFILE, True), (errno.ESTALE, True), (errno.EACCES, False), (errno.ENOTDIR, False)],
)
def test_a_missing_right_lasts_and_a_full_disk_may_pass_as_the_system_tells_them(number: int, passing: bool) -> None:
    assert sqlite_errors.passes(OSError(number, "refused")) is passing
