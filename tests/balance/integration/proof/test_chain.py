"""The hash chains: what was done to the ledger behind its back shows, and nothing that commits is ever left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from psycopg.conninfo import make_conninfo

from services.balance.adapters.postgres.chain import PostgresChains
from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.adapters.seal import Ed25519Seal
from services.balance.application.build_chain import BuildChain, ChainDamaged
from services.balance.container import BalanceContainer
from services.balance.domain.chain import Head, chain_of, key_range, link_hash
from services.balance.settings import BalanceSettings
from shared.auth.keys import generate_key, private_pem
from shared.postgres.conninfo import service_conninfo
from shared.postgres.pool import make_pool
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from tests.balance.integration.proof.tampering import Ledger
from tests.balance.world import Owner, outcome, soon

CHAIN = "account_key between %(low)s and %(high)s"


def chain_keys(owner: Owner) -> dict[str, object]:
    low, high = key_range(chain_of(owner.name.key))
    return {"chain": chain_of(owner.name.key), "low": low, "high": high, "key": owner.name.key}


@pytest_asyncio.fixture
async def linked(loose: Ledger) -> AsyncIterator[Ledger]:
    """Everything is in the chains; what is done to the ledger is undone after the test."""
    await loose.link_all()
    await loose.save()
    yield loose
    await loose.restore()


@pytest_asyncio.fixture
async def victim(loose: Ledger) -> Owner:
    """An account with five operations, each linked by a step of its own."""
    owner = loose.new_owner()
    await owner.credit(100, expire_time=soon(3600))
    await loose.link_all()
    for amount in (1, 2, 3, 4):
        await owner.withdraw(amount)
        await loose.link_all()
    return owner


def operation(owner: Owner, version: int) -> str:
    return f"{owner.account}/operations/{version}"


async def test_a_chain_of_what_really_happened_has_no_findings_and_links_every_operation_once(clean: Ledger) -> None:
    owners = [clean.new_owner() for _ in range(8)]
    await asyncio.gather(*(owner.credit(50) for owner in owners))
    for owner in owners:
        await outcome(owner.send(owner.to_withdraw(100)))
    await clean.link_all()

    assert await clean.faults() == []
    ((operations, links),) = await clean.sql("select (select count(*) from operation), (select count(*) from chain_link)")
    assert operations == links == sum([(await clean.verify(chain))[-1].links_verified for chain in range(16)])
    assert (await clean.container.build_chain().step())[0] == 0


EDITS = {
    "an amount": "update operation set amount = amount + 1 where account_key = %(key)s and version = 3",
    "a reference": "update operation set reference = reference || ' ' where account_key = %(key)s and version = 3",
    "a time, by a microsecond": (
        "update operation set created_at = created_at + interval '1 microsecond' where account_key = %(key)s and version = 3"
    ),
    "a fingerprint": "update operation set fingerprint = '' where account_key = %(key)s and version = 3",
    "lots": "update operation set lot_amounts = lot_amounts || 0::bigint where account_key = %(key)s and version = 3",
    "a hash": "update chain_link set hash = sha256(hash) where account_key = %(key)s and version = 3",
}


@pytest.mark.parametrize("statement", EDITS.values(), ids=EDITS.keys())
async def test_an_edit_is_found_where_it_was_made(victim: Owner, linked: Ledger, statement: str) -> None:
    await linked.sql(statement, key=victim.name.key)

    assert ("EDITED", operation(victim, 3)) in await linked.faults()


@pytest.mark.parametrize("column", ["expires_at", "available_at", "amount"])
async def test_a_lot_is_linked_with_its_credit(victim: Owner, linked: Ledger, column: str) -> None:
    later = "amount + 1" if column == "amount" else f"{column} + interval '1 second'"
    await linked.sql(f"update lot set {column} = {later} where account_key = %(key)s", key=victim.name.key)

    assert await linked.faults() == [("EDITED", operation(victim, 1))]


async def test_an_edit_is_found_even_if_all_later_links_were_made_anew(victim: Owner, linked: Ledger) -> None:
    chain, key = chain_of(victim.name.key), victim.name.key
    await linked.sql("update operation set amount = amount + 1 where account_key = %(key)s and version = 3", key=key)
    ((number,),) = await linked.sql("select number from chain_link where account_key = %(key)s and version = 3", key=key)
    async with linked.container.chains().snapshot(chain) as snapshot:
        previous, *forged = await snapshot.links(number - 2, 1000)
    hashed = previous.link.hash
    for stored in forged:
        link = stored.link
        assert stored.content is not None
        hashed = link_hash(hashed, link.number, link.account_key, link.version, stored.content)
        await linked.sql("update chain_link set hash = %(hash)s where chain = %(chain)s and number = %(number)s",
                         hash=hashed, chain=chain, number=link.number)  # fmt: skip

    (found,) = [said.finding for said in await linked.verify(chain) if said.HasField("finding")]

    assert (found.fault, found.link) == (messages.CHAIN_FAULT_EDITED, number)


async def test_a_deletion_is_found(victim: Owner, linked: Ledger) -> None:
    await linked.sql("delete from operation where account_key = %(key)s and version = 3", key=victim.name.key)

    assert await linked.faults() == [("DELETED", operation(victim, 3))]


async def test_a_deletion_with_its_link_is_found(victim: Owner, linked: Ledger) -> None:
    for table in ("operation", "chain_link"):
        await linked.sql(f"delete from {table} where account_key = %(key)s and version = 3", key=victim.name.key)

    assert [fault for fault, _ in await linked.faults()] == ["DELETED"]


REORDERS = {
    "operations": "update operation set version = -version where account_key = %(key)s and version in (3, 4);"
    "update operation set version = case version when -3 then 4 else 3 end where account_key = %(key)s and version < 0",
    "links": "update chain_link set number = -number where account_key = %(key)s and version in (3, 4);"
    "update chain_link as link set number = -other.number from chain_link as other where link.account_key = %(key)s"
    " and other.account_key = link.account_key and other.version = 7 - link.version and link.version in (3, 4)",
    "what links are about": "update chain_link set version = case version when 3 then 4 when 4 then 3 end"
    " where account_key = %(key)s and version in (3, 4)",
}


@pytest.mark.parametrize("statements", REORDERS.values(), ids=REORDERS.keys())
async def test_a_reorder_is_found(victim: Owner, linked: Ledger, statements: str) -> None:
    for statement in statements.split(";"):
        await linked.sql(statement, key=victim.name.key)

    faults = await linked.faults()

    assert {("REORDERED", operation(victim, version)) for version in (3, 4)} <= set(faults)
    assert {fault for fault, _ in faults} == {"REORDERED"}


async def test_an_operation_that_is_put_in_behind_the_chain_is_found(victim: Owner, linked: Ledger) -> None:
    await linked.sql(
        "insert into operation overriding system value select (jsonb_populate_record(operation, jsonb_build_object("
        "'version', 99, 'request_id', gen_random_uuid()))).* from operation where account_key = %(key)s and version = 3",
        key=victim.name.key,
    )

    assert await linked.faults() == [("REORDERED", operation(victim, 99))]


async def test_a_cut_tail_is_found(victim: Owner, linked: Ledger) -> None:
    """The last two operations and their links are gone; the heads tell that there was more."""
    for table in ("operation", "chain_link"):
        await linked.sql(f"delete from {table} where account_key = %(key)s and version > 3", key=victim.name.key)

    chain = chain_of(victim.name.key)
    ((last,),) = await linked.sql("select max(number) from chain_link where chain = %(chain)s", chain=chain)
    (found,) = [said.finding for said in await linked.verify(chain) if said.HasField("finding")]

    assert (found.fault, found.link) == (messages.CHAIN_FAULT_CUT, last + 1)


FORGERIES = {
    "a hash": "update chain_head set hash = sha256(hash) {}",
    "a place": "update chain_head set position = position + 1 {}",
    "a time": "update chain_head set made_at = made_at + interval '1 second' {}",
    "a signature": "update chain_head set signature = sha256(signature) {}",
    "a key": "update chain_head set key_id = 'mine' {}",
    "a head that is gone": "delete from chain_head {}",
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_head_is_found_and_no_chain_is_built_on_it(victim: Owner, linked: Ledger, forgery: str) -> None:
    last = "where (chain, number) = (select chain, number from chain_link where account_key = %(key)s and version = 5)"
    await linked.sql(forgery.format(last), key=victim.name.key)

    assert {fault for fault, _ in await linked.faults()} == {"HEAD_FORGED"}
    with pytest.raises((ChainDamaged, psycopg.errors.UniqueViolation)):
        await make_longer(linked, victim)


async def make_longer(ledger: Ledger, owner: Owner) -> None:
    for _ in range(3):
        await owner.withdraw(1)
        await ledger.link_all()


async def test_a_head_that_another_key_signed_is_forged(victim: Owner, linked: Ledger) -> None:
    thief = BuildChain(linked.container.chains(), Ed25519Seal([generate_key()]), 100)
    await victim.withdraw(1)

    with pytest.raises(ChainDamaged):
        await thief.step()


def test_a_key_that_was_replaced_still_proves_what_it_signed(tmp_path: Path) -> None:
    old, new = (private_pem(generate_key()) for _ in range(2))
    head = Head(3, 7, b"hash", 99, datetime(2026, 1, 2, tzinfo=UTC))

    def seal(*keys: bytes) -> Ed25519Seal:
        (tmp_path / "chain.pem").write_bytes(b"".join(keys))
        made = Ed25519Seal.from_file(tmp_path / "chain.pem")
        assert made is not None
        return made

    signed = seal(old).sign(head)

    assert seal(new, old).is_genuine(signed)
    assert not seal(new).is_genuine(signed)
    assert seal(new, old).sign(head).key_id == seal(new).sign(head).key_id != signed.key_id


def test_a_file_that_holds_no_such_key_is_refused(tmp_path: Path) -> None:
    for text in ("", "ab" * 32, private_pem(generate_key()).decode() + private_rsa()):
        (tmp_path / "chain.pem").write_text(text)
        with pytest.raises(ValueError, match=r"chain\.pem"):
            Ed25519Seal.from_file(tmp_path / "chain.pem")


def private_rsa() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# --- making the chains longer


@pytest_asyncio.fixture
async def replicas(clean_settings: BalanceSettings) -> AsyncIterator[list[BuildChain]]:
    """Chainers of two processes, with small batches."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            container = BalanceContainer(settings=clean_settings.model_copy(update={"chain_batch": 7}))
            await stack.enter_async_context(container.pool())
            made.append(container.build_chain())
        yield made


async def test_chainers_of_two_replicas_build_one_chain_while_others_write(clean: Ledger, replicas: list[BuildChain]) -> None:
    stop, steps = asyncio.Event(), [0, 0]

    async def chain(replica: int) -> None:
        while not stop.is_set():
            steps[replica] += (await replicas[replica].step())[0] > 0
            await asyncio.sleep(0)

    async def write() -> None:
        owner = clean.new_owner()
        for _ in range(60):
            await owner.credit(1)

    chainers = [asyncio.create_task(chain(replica)) for replica in (0, 0, 1, 1)]
    await asyncio.gather(*(write() for _ in range(6)))
    stop.set()
    await asyncio.gather(*chainers)
    await clean.link_all()

    assert min(steps) > 0
    assert await clean.faults() == []
    ((operations, links),) = await clean.sql("select (select count(*) from operation), (select count(*) from chain_link)")
    assert operations == links


async def test_a_write_that_commits_late_is_not_left_out(clean: Ledger) -> None:
    """It has been given its place, and an id of a transaction, before another one that commits first."""
    late, quick = clean.new_owner(), clean.new_owner()
    await late.credit(1)
    await quick.credit(1)
    await clean.link_all()
    build = clean.container.build_chain()

    async with clean.superuser() as slow:
        await slow.execute(
            "insert into operation overriding user value select (jsonb_populate_record(operation, jsonb_build_object("
            "'version', 2, 'request_id', gen_random_uuid(), 'posted_after', 2, 'lot_ids', '[2]'::jsonb))).*"
            " from operation where account_key = %s",
            [late.name.key],
        )
        await quick.credit(1)
        for _ in range(5):
            assert (await build.step())[0] == 0
        await slow.execute("update account set version = 2, posted = 2, lifetime_earned = 2 where account_key = %s", [late.name.key])
        await slow.execute("insert into lot select account_key, 2, 1, 1, 0, available_at, null, true from lot where account_key = %s",
                           [late.name.key])  # fmt: skip

    assert await clean.link_all() == 2
    assert await clean.faults() == []
    assert await clean.broken_rules() == {}


async def test_a_chainer_that_dies_in_the_middle_of_a_batch_leaves_nothing_half_done(clean: Ledger, replicas: list[BuildChain]) -> None:
    owner = clean.new_owner()
    await clean.link_all()
    for _ in range(20):
        await owner.credit(1)
    first, second = replicas
    while (await first.step())[0] == 0:
        pass
    ((linked,),) = await clean.sql("select count(*) from chain_link")

    async with clean.superuser() as other:
        await other.execute("lock table chain_head in exclusive mode")
        dying = asyncio.create_task(first.step())
        await asyncio.sleep(0.3)
        assert not dying.done()
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)

    assert await clean.sql("select count(*) from chain_link") == [(linked,)]
    while await clean.sql("select 1 from operation left join chain_link using (account_key, version) where number is null limit 1"):
        await second.step()
    assert await clean.faults() == []


@pytest.mark.parametrize(
    "statement",
    [
        f"{verb} {table}{rest}"
        for table in ("chain_link", "chain_head")
        for verb, rest in (("update", " set number = 1"), ("delete from", ""))
    ],
)
def test_the_service_can_not_change_or_drop_a_chain(clean_settings: BalanceSettings, statement: str) -> None:
    conninfo = service_conninfo(clean_settings.database_uri, schema=SCHEMA, role=clean_settings.database_role)
    with psycopg.connect(conninfo) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


# --- what can be asked for


@pytest.mark.parametrize("name", ["programs/main/chains/16", "programs/main/chains/9999", "programs/nowhere/chains/0"])
async def test_a_chain_that_does_not_exist_is_not_found(clean: Ledger, name: str) -> None:
    call = clean.calls.VerifyChain(messages.VerifyChainRequest(name=name), metadata=clean.staff, timeout=5)

    assert (await refusal_of(call.read())).reason == "CHAIN_NOT_FOUND"


@pytest.mark.parametrize("name", ["", "programs/main/chains/-1", "programs/main/chains/01", "programs/main/chains/x", "chains/1"])
async def test_what_names_no_chain_is_refused(clean: Ledger, name: str) -> None:
    call = clean.calls.VerifyChain(messages.VerifyChainRequest(name=name), metadata=clean.staff, timeout=5)

    assert (await refusal_of(call.read())).reason == "INVALID_REQUEST"


async def test_where_no_key_is_given_there_are_no_chains(balance: BalanceServiceStub, identities: Identities) -> None:
    calls: object = balance
    request = messages.VerifyChainRequest(name="programs/main/chains/0")
    call = calls.VerifyChain(request, metadata=identities.customer("s", roles=("staff",)), timeout=5)  # type: ignore[attr-defined]

    assert (await refusal_of(call.read())).reason == "CHAIN_NOT_FOUND"


async def test_what_is_linked_does_not_depend_on_the_settings_of_a_session(victim: Owner, linked: Ledger) -> None:
    odd = "-c search_path=balance -c datestyle=German -c timezone=Asia/Tokyo -c bytea_output=escape -c extra_float_digits=-5"
    chain = chain_of(victim.name.key)
    async with make_pool(make_conninfo(linked.uri, options=odd), size_max=2) as pool, PostgresChains(pool).snapshot(chain) as elsewhere:
        there = await elsewhere.links(0, 1000)
    async with linked.container.chains().snapshot(chain) as snapshot:
        here = await snapshot.links(0, 1000)

    assert there == here
    content = here[-1].content
    assert content is not None
    assert len(json.loads(content)) == 21
