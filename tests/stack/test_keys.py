"""Keys and tokens of the local stack, checked with the verifier that the services use."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local.cli import main
from deploy.local.keys import KeyFolder
from deploy.local.state_folder import StateFolder
from shared.auth.keyring import FileKeys, Keyring
from shared.auth.keys import PEOPLE_ISSUER, SERVICES_ISSUER, load_signing_key
from shared.auth.principal import Kind
from shared.auth.tokens import TokenVerifier, mint
from shared.errors import CredentialsInvalid


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    made = KeyFolder(StateFolder(tmp_path).keys)
    made.ensure(["balance", "accrual"])
    return made


def verifier(keys: KeyFolder) -> TokenVerifier:
    return TokenVerifier(Keyring([FileKeys(keys.jwks)]))


async def test_a_service_is_known_by_its_token(keys: KeyFolder) -> None:
    principal = await verifier(keys).verify(keys.service_token("accrual").read_text().strip())
    assert (principal.kind, principal.id) == (Kind.SERVICE, "accrual")


async def test_a_key_speaks_for_its_own_issuer_only(keys: KeyFolder) -> None:
    people = load_signing_key(keys.customers_key)
    forged = mint(people, issuer=SERVICES_ISSUER, subject="accrual", lifetime=timedelta(hours=1))
    with pytest.raises(CredentialsInvalid):
        await verifier(keys).verify(forged)


def test_a_restart_changes_nothing(keys: KeyFolder, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 9
    keys.ensure(["balance", "accrual"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


async def test_a_token_near_its_expiry_or_of_a_lost_key_is_made_again(keys: KeyFolder) -> None:
    old = keys.mint_for_service("balance", timedelta(days=29))
    keys.service_token("balance").write_text(old)
    foreign = keys.service_token("accrual").read_text()
    (keys.jwks.parent / "services.pem").unlink()
    keys.ensure(["balance", "accrual"])
    assert keys.service_token("balance").read_text() != old
    assert keys.service_token("accrual").read_text() != foreign
    assert (await verifier(keys).verify(keys.service_token("accrual").read_text().strip())).id == "accrual"


def test_private_files_are_for_their_owner_only(keys: KeyFolder, tmp_path: Path) -> None:
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "keys").rglob("*") if path.is_file())
    assert all("d" not in key for key in json.loads(keys.jwks.read_text())["keys"])  # RFC 8037: d is the private half


async def test_the_command_prints_a_token_and_nothing_else(keys: KeyFolder, tmp_path: Path) -> None:
    arguments = ["token", "--role", "staff", "--role", "admin", "--customer", "c1", "--state", str(tmp_path)]
    command = [sys.executable, "-m", "deploy.local.cli", *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))  # noqa: ASYNC221  short
    principal = await verifier(keys).verify(printed.stdout.rstrip("\n"))
    assert (principal.kind, principal.id, principal.roles) == (Kind.PERSON, "c1", frozenset({"staff", "admin"}))
    assert printed.stderr == ""


async def test_the_command_speaks_for_a_service_too(keys: KeyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "--service", "orders", "--lifetime", "15m", "--state", str(tmp_path)]) == 0
    principal = await verifier(keys).verify(capsys.readouterr().out.strip())
    assert (principal.kind, principal.id) == (Kind.SERVICE, "orders")


def test_without_keys_the_command_tells_how_they_come_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "--state", str(tmp_path)]) == 1
    assert "galen up" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_issuers_are_told_apart_in_the_public_file(keys: KeyFolder) -> None:
    assert [key["issuer"] for key in json.loads(keys.jwks.read_text())["keys"]] == [PEOPLE_ISSUER, SERVICES_ISSUER]
