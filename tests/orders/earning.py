"""Orders that earn points in a test: the accrual service with the simulated accrual system behind it, in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator
from services.accrual.container import AccrualContainer, service_parts
from services.accrual.migrations.schema import schema
from services.accrual.settings import AccrualSettings
from shared.grpc.runtime import running
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database, make_role
from shared.testing.identities import Identities
from shared.testing.servers import free_port


@asynccontextmanager
async def accrual_served(
    address: str, postgres_server_uri: str, balance_address: str, identities: Identities, folder: Path
) -> AsyncIterator[SimulatorHandle]:
    """Serves at an address, in a database of its own, until the block ends; yields the accrual system."""
    token_file = folder / "accrual.jwt"
    token_file.write_text(identities.service_token("accrual"))
    with fresh_database(postgres_server_uri) as uri:
        role = make_role(uri, "accrual_app")
        migrate(schema, uri, role=role)
        async with running_simulator() as simulator:
            settings = AccrualSettings(
                grpc_address=address,
                metrics_address=f"127.0.0.1:{free_port()}",
                database_uri=uri,
                database_role=role,
                jwks_file=identities.jwks_file,
                page_token_key_file=identities.page_token_key_file,
                service_token_file=token_file,
                accrual_system_address=simulator.url,
                balance_address=balance_address,
                poll_idle_s=0.05,
                poll_back_off_first_s=0.1,
                poll_back_off_max_s=0.4,
                drain_s=0,
            )
            async with running(service_parts(AccrualContainer(settings=settings))):
                yield simulator
