"""Times as the contracts carry them."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(moment: datetime) -> Timestamp:
    """Returns an aware datetime as a Timestamp."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message
