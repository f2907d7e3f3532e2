"""What each program of the stack is given."""

from pathlib import Path

import pytest

from deploy.local.keys import KeyFolder
from deploy.local.ports import Address
from deploy.local.topology import SERVICES, SIMULATORS, Addresses, Topology

OWNERS = [service.name for service in SERVICES if not service.is_edge]


def topology(folder: Path, roles: dict[str, str]) -> Topology:
    addresses = Addresses(
        edge=Address("127.0.0.1", 1),
        grpc={service.name: Address("127.0.0.1", 2) for service in SERVICES if service.grpc_port},
        metrics={service.name: Address("127.0.0.1", 3) for service in SERVICES},
        simulators={name: Address("127.0.0.1", 4) for name in SIMULATORS},
        accrual_system="http://127.0.0.1:4",
        payment_provider="http://127.0.0.1:4",
    )
    return Topology(addresses, "postgresql://login@127.0.0.1/galen", roles, KeyFolder(folder), "json", "info", {})


def test_whoever_uses_the_database_does_so_in_a_role_of_its_own(tmp_path: Path) -> None:
    roles = {name: f"role of {name}" for name in (*OWNERS, *SIMULATORS)}

    programs = topology(tmp_path, roles).serving()

    in_roles = {program.name: program.environment.get("DATABASE_ROLE") for program in programs if "DATABASE_URI" in program.environment}
    assert in_roles == roles


@pytest.mark.parametrize("name", [*OWNERS, *SIMULATORS])
def test_where_there_are_no_roles_nobody_is_told_of_one(tmp_path: Path, name: str) -> None:
    programs = {program.name: program for program in topology(tmp_path, {}).serving()}

    assert "DATABASE_ROLE" not in programs[name].environment
