"""Times as the contracts carry them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from shared.errors import FieldViolation, InvalidRequest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(moment: datetime) -> Timestamp:
    """Returns an aware datetime as a Timestamp."""
    since = moment - EPOCH  # what FromDatetime finds by way of the calendar, which takes three times as long
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


def moment(time: Timestamp, field: str, *, round_up: bool = False) -> datetime:
    """Returns the Timestamp of a request's field in UTC, in whole microseconds. Raises InvalidRequest if it is no time at all.

    It is rounded down, or up on demand: what is recorded in whole microseconds is at or after `time` just if it is at or after that.
    """
    try:
        found = time.ToDatetime(tzinfo=UTC)
        return found + timedelta(microseconds=1) if round_up and time.nanos % 1000 else found
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{field}: is not a time", violations=[FieldViolation(field, "is not a time")]) from error
