"""Stock: locations, of which there is one from the start, levels, lots, reservations and movements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "orders"
TIME = sa.TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")
TABLES = (
    "location",
    "stock_level",
    "stock_lot",
    "reservation",
    "reservation_line",
    "reservation_lot",
    "stock_movement",
)


def upgrade() -> None:
    create_location()
    create_stock_level()
    create_stock_lot()
    create_reservation()
    create_reservation_line()
    create_reservation_lot()
    create_stock_movement()
    op.execute("insert into orders.location (location_id, display_name) values ('main', 'Main pharmacy')")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table, schema=SCHEMA)


def create_location() -> None:
    op.create_table(
        "location",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("location_id"),
        schema=SCHEMA,
    )


def create_stock_level() -> None:
    op.create_table(
        "stock_level",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("on_hand", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("reserved", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("reorder_point", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger, server_default="1", nullable=False),
        sa.CheckConstraint("on_hand >= 0", name="stock_level_on_hand_not_negative"),
        sa.CheckConstraint("reserved >= 0", name="stock_level_reserved_not_negative"),
        sa.ForeignKeyConstraint(["location_id"], ["orders.location.location_id"], name="stock_level_location"),
        sa.ForeignKeyConstraint(["sku"], ["orders.medicine.sku"], name="stock_level_medicine"),
        sa.PrimaryKeyConstraint("location_id", "sku"),
        schema=SCHEMA,
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("stock_level_low", "stock_level", ["location_id", "sku"], schema=SCHEMA, postgresql_where=sa.text("reorder_point > 0"))


def create_stock_lot() -> None:
    op.create_table(
        "stock_lot",
        sa.Column("lot_id", sa.Uuid, nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("lot_number", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("expires_on", sa.Date, nullable=False),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("origin in ('SUPPLY', 'RETURN')", name="stock_lot_origin_known"),
        sa.CheckConstraint("state in ('SELLABLE', 'QUARANTINED', 'RECALLED', 'EXPIRED')", name="stock_lot_state_known"),
        sa.CheckConstraint("on_hand >= 0", name="stock_lot_on_hand_not_negative"),
        sa.PrimaryKeyConstraint("lot_id"),
        sa.UniqueConstraint("location_id", "sku", "lot_number", "origin", name="stock_lot_unique"),
        schema=SCHEMA,
    )
    op.create_index("stock_lot_by_expiry", "stock_lot", ["location_id", "expires_on", "lot_id"], schema=SCHEMA)
    op.create_index(
        "stock_lot_first_expired_first_out",
        "stock_lot",
        ["location_id", "sku", "expires_on", "lot_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'SELLABLE' and on_hand > 0"),
    )
    op.create_index("stock_lot_number", "stock_lot", ["sku", "lot_number"], schema=SCHEMA)


def create_reservation() -> None:
    op.create_table(
        "reservation",
        sa.Column("reservation_id", sa.Uuid, nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("state in ('HELD', 'COMMITTED', 'RELEASED', 'EXPIRED')", name="reservation_state_known"),
        sa.PrimaryKeyConstraint("reservation_id"),
        sa.UniqueConstraint("order_id", name="reservation_order_unique"),
        schema=SCHEMA,
    )
    op.create_index(
        "reservation_due", "reservation", ["expires_at"], schema=SCHEMA, postgresql_where=sa.text("state = 'HELD' and order_id is null")
    )


def create_reservation_line() -> None:
    op.create_table(
        "reservation_line",
        sa.Column("reservation_id", sa.Uuid, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.CheckConstraint("quantity > 0", name="reservation_line_quantity_positive"),
        sa.ForeignKeyConstraint(["reservation_id"], ["orders.reservation.reservation_id"], name="reservation_line_reservation"),
        sa.PrimaryKeyConstraint("reservation_id", "sku"),
        schema=SCHEMA,
    )


def create_reservation_lot() -> None:
    op.create_table(
        "reservation_lot",
        sa.Column("reservation_id", sa.Uuid, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("lot_id", sa.Uuid, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("returned_quantity", sa.BigInteger, server_default="0", nullable=False),
        sa.CheckConstraint("quantity > 0", name="reservation_lot_quantity_positive"),
        sa.CheckConstraint("returned_quantity between 0 and quantity", name="reservation_lot_returned_in_bounds"),
        sa.ForeignKeyConstraint(["lot_id"], ["orders.stock_lot.lot_id"], name="reservation_lot_lot"),
        sa.PrimaryKeyConstraint("reservation_id", "sku", "lot_id"),
        schema=SCHEMA,
    )
    op.create_index("reservation_lot_by_lot", "reservation_lot", ["lot_id"], schema=SCHEMA)


def create_stock_movement() -> None:
    op.create_table(
        "stock_movement",
        sa.Column("movement_id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("lot_id", sa.Uuid),
        sa.Column("on_hand_delta", sa.BigInteger, nullable=False),
        sa.Column("reserved_delta", sa.BigInteger, nullable=False),
        sa.Column("on_hand_after", sa.BigInteger, nullable=False),
        sa.Column("reserved_after", sa.BigInteger, nullable=False),
        sa.Column("lot_delta", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("movement_id"),
        schema=SCHEMA,
    )
    op.create_index("stock_movement_of_location", "stock_movement", ["location_id", "movement_id"], schema=SCHEMA)
    op.create_index("stock_movement_of_lot", "stock_movement", ["lot_id", "movement_id"], schema=SCHEMA)
    op.create_index("stock_movement_of_sku", "stock_movement", ["location_id", "sku", "movement_id"], schema=SCHEMA)
