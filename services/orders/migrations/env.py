"""Alembic's entry: everything is in the kit."""

from alembic import context

from shared.postgres.migrations import run_environment

run_environment(context)
