"""Timestamps of Tallyfy, and points in time and durations from users."""

from __future__ import annotations

import contextlib
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.protocol.arguments import ArgumentError
from airflow_provider_tallyfy.api.timestamps import ago, check_duration, check_instant, instant, readable

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


class TestInstant:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-03-01T12:00:00Z", NOW),
            ("2026-03-01T12:00:00.000Z", NOW),
            ("2026-03-01T12:00:00", NOW),
            ("2026-03-01 12:00:00", NOW),
            (" 2026-03-01T12:00:00Z ", NOW),
            ("2026-03-01T13:30:00+01:30", NOW),
            ("2026-03-01T13:30:00+0130", NOW),
            ("2026-03-01T07:00:00-05:00", NOW),
            ("2026-03-01T12:00:00.5Z", NOW + timedelta(milliseconds=500)),
            ("2026-03-01T12:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ],
    )
    def test_reads_every_notation_of_tallyfy(self, text: str, expected: datetime) -> None:
        assert instant(text) == expected

    @pytest.mark.parametrize(
        "value",
        [
            *(None, "", "0000-00-00 00:00:00", "2026-02-30T00:00:00Z", "2026-03-01", "20260301", "2026-W09-7"),
            *("yesterday", "٢٠٢٦-03-01T12:00:00Z", 1772366400, True, {}, [], NOW),
        ],
    )
    def test_text_without_date_and_time_is_not_a_timestamp(self, value: Any) -> None:
        assert instant(value) is None

    @given(st.datetimes(timezones=st.just(timezone.utc)))
    def test_reads_what_python_writes(self, when: datetime) -> None:
        assert instant(when.isoformat()) == when
        assert instant(when.strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)) == when

    @given(st.text() | st.text("0123456789-T :.Z+", max_size=30))
    def test_never_fails(self, text: str) -> None:
        assert instant(text) is None or isinstance(instant(text), datetime)


class TestPointInTime:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (NOW, NOW),
            (datetime(2026, 3, 1, 12), NOW),  # naive: UTC
            (datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))), NOW),
            (date(2026, 3, 1), NOW - timedelta(hours=12)),
            ("2026-03-01", NOW - timedelta(hours=12)),
            ("2026-03-01T12:00", NOW),
            ("2026-03-01 12:00:00+00:00", NOW),  # how Jinja renders a datetime
            ("2026-03-01T13:00:00+01:00", NOW),
        ],
    )
    def test_is_read_as_utc_if_it_has_no_zone(self, value: Any, expected: datetime) -> None:
        assert check_instant("archived_after", value) == expected

    @pytest.mark.parametrize("value", [None, "", "yesterday", 20260301, "20260301", 1.5, True, [], "2026-13-01"])
    def test_anything_else_is_an_error(self, value: Any) -> None:
        with pytest.raises(ArgumentError, match=r"archived_after=.* is not a point in time"):
            check_instant("archived_after", value)

    @given(st.text() | st.datetimes() | st.dates() | st.datetimes(timezones=st.timezones()))
    def test_is_read_or_an_argument_error(self, value: Any) -> None:
        with contextlib.suppress(ArgumentError):
            assert check_instant("x", value).tzinfo is timezone.utc

    def test_is_shown_to_the_minute_in_utc(self) -> None:
        assert readable(datetime(2026, 10, 26, 4, 0, 59, tzinfo=timezone(timedelta(hours=1)))) == "2026-10-26 03:00 UTC"


class TestDuration:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (timedelta(days=30), timedelta(days=30)),
            ("P30D", timedelta(days=30)),
            (" p30d ", timedelta(days=30)),
            ("PT12H", timedelta(hours=12)),
            ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
            ("P2W", timedelta(weeks=2)),
            ("PT0.5S", timedelta(seconds=0.5)),
        ],
    )
    def test_is_read(self, value: Any, expected: timedelta) -> None:
        assert check_duration("stale_after", value) == expected
        assert ago("stale_after", value, NOW) == NOW - expected

    @pytest.mark.parametrize("value", [30, 0, -1, 1.5, float("nan"), float("inf"), True, "30", " 1.5 ", "-5", "0"])
    def test_number_without_a_unit_is_an_error_that_says_what_to_write(self, value: Any) -> None:
        with pytest.raises(ArgumentError, match=r"is a number without a unit.*timedelta\(days=30\) or 'P30D'"):
            check_duration("stale_after", value)

    @pytest.mark.parametrize(
        "value",
        [
            *(None, "", " ", "30 days", "30d", "P", "PT", "P30", "-P30D", "P-1D", "1e3", "٣", "nan", "inf", "0:30:00"),
            *(timedelta(0), timedelta(days=-1), [], {}, b"P30D", NOW, "2026-03-01", "2026-03-01/P1D", "P1D/2026-03-01"),
        ],
    )
    def test_anything_else_is_an_error(self, value: Any) -> None:
        with pytest.raises(ArgumentError, match=r"stale_after=.*timedelta\(days=30\)"):
            check_duration("stale_after", value)

    @pytest.mark.parametrize("value", ["P9999Y", "P3000Y", timedelta.max])
    def test_duration_back_beyond_the_year_1_is_an_error(self, value: Any) -> None:
        with pytest.raises(ArgumentError, match="stale_after="):
            ago("stale_after", value, NOW)

    @given(st.integers(1, 10**6), st.sampled_from("DHMS"))
    def test_iso_8601_text_is_read(self, number: int, unit: str) -> None:
        seconds = {"D": 86400, "H": 3600, "M": 60, "S": 1}[unit]
        text = f"P{number}D" if unit == "D" else f"PT{number}{unit}"
        assert check_duration("x", text) == timedelta(seconds=number * seconds)

    @given(st.text() | st.text("PTYMWDHS0123456789.,/-:", max_size=12).map("P".__add__))
    def test_is_read_or_an_argument_error(self, text: str) -> None:
        with contextlib.suppress(ArgumentError):
            assert check_duration("x", text) > timedelta(0)
