"""What is missing when stock does not suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import PreconditionViolation

LINES_IN_METADATA_MAX = 20


@dataclass(frozen=True, slots=True)
class ShortLine:
    """A SKU, the units that were asked for and those that are there, never below zero."""

    sku: str
    requested: int
    available: int


def as_metadata(lines: Sequence[ShortLine]) -> dict[str, str]:
    return {line.sku: f"{line.requested}/{line.available}" for line in lines[:LINES_IN_METADATA_MAX]}


def as_preconditions(lines: Sequence[ShortLine]) -> list[PreconditionViolation]:
    return [PreconditionViolation(line.sku, f"{line.requested} asked for, {line.available} available") for line in lines]
