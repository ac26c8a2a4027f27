"""The time of a server, as its answers tell it."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.http.http_date import http_date


@given(at=st.datetimes(datetime(1000, 1, 1), datetime(8999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_date_header_is_read_as_the_standard_library_writes_it(at: datetime) -> None:
    assert http_date(format_datetime(at, usegmt=True)) == at.replace(microsecond=0)


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        None,
        "",
        "now",
        "Tue, 24 Nov 2026 12:00:00 CET",
        "Tue, 24 Növ 2026 12:00:00 GMT",
        "Tue, 24 Foo 2026 12:00:00 GMT",
        "Tue, 31 Feb 2026 12:00:00 GMT",
        "Tue, 24 Nov 2026 25:00:00 GMT",
        "Tuesday, 24-Nov-26 12:00:00 GMT",
        "Tue, ٢٤ Nov 2026 12:00:00 GMT",
        "Tue, 24 Nov 2026 12:00:00 GMT\n",
    ],
)
def test_what_is_no_date_header_is_none(text: str | None) -> None:
    assert http_date(text) is None
