"""Payments that have ended keep neither the card's token nor what their payers confirmed them with."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # 6, 7 and 8 are CAPTURED, FAILED and CANCELLED.
    op.execute(
        "update orders.payment set card = '', client_secret = '', redirect_url = ''"
        " where state in (6, 7, 8) and (card <> '' or client_secret <> '' or redirect_url <> '')"
    )


def downgrade() -> None:
    """What was forgotten stays so."""
