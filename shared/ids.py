"""Ids as they stand in resource names."""

from __future__ import annotations

from uuid import UUID


def read_id(text: str) -> UUID | None:
    """Reads the one spelling of a UUID that we give out: a resource has one name only. None for everything else."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text else None
