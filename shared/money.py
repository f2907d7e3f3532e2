"""Points and money are integers of the smallest unit, hundredths; decimals exist at the edges only."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

HUNDREDTHS = 100
_EXPONENT_MAX = 30
_DIGITS_MAX = 60
# The default context would round a long number before it is looked at.
_EXACT = Context(prec=_DIGITS_MAX)


def hundredths_of(amount: Decimal) -> int:
    """Returns `amount` in hundredths, exactly.

    Raises ValueError if it is not finite, has a third decimal or is absurdly large.
    """
    scaled = _scaled(amount)
    if scaled != scaled.to_integral_value():
        raise ValueError("more than two decimals")
    return int(scaled)


def rounded_hundredths_of(amount: Decimal) -> int:
    """Returns `amount` in hundredths, a third decimal rounded half up (away from zero).

    Raises ValueError if it is not finite or absurdly large.
    """
    return int(_scaled(amount).to_integral_value(rounding=ROUND_HALF_UP))


def _scaled(amount: Decimal) -> Decimal:
    # The exponent is looked at first: 1e1000000 is a short text and a very long integer.
    if not amount.is_finite() or amount.adjusted() > _EXPONENT_MAX or len(amount.as_tuple().digits) > _DIGITS_MAX:
        raise ValueError("not an amount")
    return amount.scaleb(2, _EXACT)


def decimal_text(hundredths: int) -> str:
    """Returns hundredths as the shortest decimal number: 50050 gives `500.5`, 4200 gives `42`."""
    sign = "-" if hundredths < 0 else ""
    whole, cents = divmod(abs(hundredths), HUNDREDTHS)
    return f"{sign}{whole}" + (f".{cents:02d}".rstrip("0") if cents else "")
