"""Etags: the versions of resources as callers see them."""

from __future__ import annotations

from services.orders.domain.errors import EtagMismatch


def etag_of(version: int) -> str:
    return f'"{version}"'


def check_etag(given: str, version: int) -> None:
    """Raises EtagMismatch unless the etag is empty or that of this version."""
    if given and given != etag_of(version):
        raise EtagMismatch
