"""Addresses: how they may be written, what is refused, what moves."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.ports import Address, AddressUnusable, PortLocks, PortPlan, any_free_port, reserved

IP_LOCAL_PORT_RANGE = 51  # of Linux' in.h; the socket module has no name for it yet


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("localhost:8080", "localhost", 8080),
        (":8080", "0.0.0.0", 8080),
        ("http://localhost:8080/", "localhost", 8080),
        ("[::1]:8080", "::1", 8080),
    ],
)
def test_an_address_may_be_written_in_all_usual_ways(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert Address.parse(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", "localhost", "localhost:", "localhost:http", "localhost:65536", "localhost:0", "localhost:-1", "localhost:٣"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressUnusable, match="host:port is wanted"):
        Address.parse(text)


def test_all_interfaces_are_reached_by_loopback() -> None:
    assert Address.parse(":8080").reachable == Address("127.0.0.1", 8080)


@pytest.mark.parametrize(("listening", "asked"), [("127.0.0.1", "localhost"), ("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_a_port_with_a_listener_is_taken(listening: str, asked: str) -> None:
    with socket.create_server((listening, 0)) as server, pytest.raises(AddressUnusable, match="is taken"):
        Address(asked, server.getsockname()[1]).ensure_usable()


def test_a_port_whose_last_connections_linger_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(*server.getsockname())
        with socket.create_connection(server.getsockname()) as client:
            server.accept()[0].close()  # closed by the server first: its side lingers
            assert client.recv(1) == b""
    address.ensure_usable()


@pytest.mark.parametrize(("host", "words"), [("192.0.2.1", "no address of this machine"), ("host.invalid", "is unknown")])
def test_a_host_that_is_not_ours_is_refused(host: str, words: str) -> None:
    with pytest.raises(AddressUnusable, match=words):
        Address(host, 8080).ensure_usable()


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[PortLocks]:
    made = PortLocks(tmp_path / "locks")
    yield made
    made.close()


def test_a_taken_port_moves_unless_it_was_asked_for(locks: PortLocks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        plan = PortPlan(locks, {"accrual": taken})
        moved = plan.take("balance", taken)
        assert moved.is_free
        assert plan.moved == {"balance": (taken, moved.port)}
        with pytest.raises(AddressUnusable, match="asked for accrual, is taken"):
            plan.take("accrual", 1)


def test_no_port_is_given_out_twice(locks: PortLocks) -> None:
    plan = PortPlan(locks)
    usual = any_free_port()
    assert len({plan.take(str(number), usual).port for number in range(20)}) == 20


def test_a_port_that_another_stack_has_chosen_but_not_opened_is_taken(locks: PortLocks, tmp_path: Path) -> None:
    other = PortLocks(tmp_path / "locks")
    usual = any_free_port()
    assert PortPlan(other).take("balance", usual).port == usual
    assert PortPlan(locks).take("balance", usual).port != usual
    with pytest.raises(AddressUnusable, match="another stack"):
        PortPlan(locks).take_edge(Address("127.0.0.1", usual))
    other.close()
    PortPlan(locks).take_edge(Address("127.0.0.1", usual))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def connect_from(port: int, server: socket.socket) -> None:
    """Connects as every program does, but of all ports the kernel may choose this one only. Skips where a program cannot ask for that."""
    with socket.socket() as client:
        try:
            client.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("HH", port, port))
        except OSError:
            pytest.skip("Linux 6.3 is needed")
        client.connect(server.getsockname())


def test_the_port_of_a_program_that_does_not_listen_yet_is_no_connection_s(server: socket.socket) -> None:
    address = Address("127.0.0.1", any_free_port())
    with reserved(address), pytest.raises(OSError, match="Cannot assign"):
        connect_from(address.port, server)
    connect_from(address.port, server)


def test_a_program_listens_on_its_reserved_port_and_does_so_again_after_a_restart() -> None:
    address = Address("127.0.0.1", any_free_port())
    with reserved(address):
        for _ in range(2):
            with socket.create_server((address.host, address.port)) as program:
                with socket.create_connection((address.host, address.port)):
                    program.accept()[0].close()
                assert not address.is_free


def test_ports_given_out_stay_reserved(locks: PortLocks, server: socket.socket) -> None:
    given = PortPlan(locks).take("balance", any_free_port())
    with pytest.raises(OSError, match="Cannot assign"):
        connect_from(given.port, server)
    locks.close()
    connect_from(given.port, server)


def test_locks_of_somebody_else_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "locks").symlink_to(tmp_path / "theirs")
    locks = PortLocks(tmp_path / "locks")
    assert locks.hold(Address("127.0.0.1", any_free_port()))
    locks.close()
    assert list((tmp_path / "theirs").iterdir()) == []
