"""Puts together how a process checks tokens."""

from __future__ import annotations

from pathlib import Path

from galen.customers.v1 import auth_service_pb2

from shared.auth.keyring import FileKeys, Keyring, KeySource
from shared.auth.tokens import TokenVerifier
from shared.grpc.channel import make_channel
from shared.grpc.remote_keys import RemoteKeys


def make_verifier(jwks_file: Path | None, customers_address: str | None) -> TokenVerifier:
    """Returns a verifier whose keys come from a JWKS file, from the customers service, or both."""
    sources: list[KeySource] = [FileKeys(jwks_file)] if jwks_file else []
    if customers_address:
        services = auth_service_pb2.DESCRIPTOR.services_by_name.values()
        sources.append(RemoteKeys(lambda: make_channel(customers_address, services, credentials=lambda: None)))
    return TokenVerifier(Keyring(sources))
