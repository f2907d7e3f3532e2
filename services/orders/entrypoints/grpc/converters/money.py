"""What orders and payments say alike of money."""

from __future__ import annotations

from galen.orders.v1 import payment_pb2


def refund_summary(returned_minor: int, taken_minor: int) -> payment_pb2.RefundSummary.ValueType:
    """Returns whether any or all of what was taken was given back."""
    if not returned_minor:
        return payment_pb2.REFUND_SUMMARY_UNSPECIFIED
    return payment_pb2.REFUND_SUMMARY_FULL if returned_minor >= taken_minor else payment_pb2.REFUND_SUMMARY_PARTIAL
