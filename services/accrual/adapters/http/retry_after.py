"""How long a provider that answered 429 wants silence (RFC 9110, 10.2.3: seconds, or a date)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MISSING_S = 60.0
LEAST_S = 1.0
LONGEST_S = 24 * 3600.0
_DIGITS_MAX = 10


def silence_s(retry_after: str | None, date: str | None, now: datetime) -> float:
    """Returns the seconds to stay silent: at least one, at most a day; a minute if the header is missing or can't be read.

    A date is compared with the answer's own `date`, so that clocks need not agree, and with `now` only without one.
    """
    wanted = (retry_after or "").strip()
    if wanted.isascii() and wanted.isdigit():
        seconds = float(wanted) if len(wanted) <= _DIGITS_MAX else LONGEST_S
    else:
        until = _moment(wanted)
        if until is None:
            return MISSING_S
        seconds = (until - (_moment(date or "") or now)).total_seconds()
    return min(LONGEST_S, max(LEAST_S, seconds))


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
