"""How far the stream of all operations is complete."""

from __future__ import annotations

from typing import Any

from services.balance.adapters.postgres.stream import LAST_GIVEN, SNAPSHOT, TAKE_ID, Horizon


class FakeServer:
    """Ids of transactions and positions, as far as a horizon asks for them."""

    def __init__(self) -> None:
        self.next_id = 100
        self.given = 0
        self.open: set[int] = set()

    def begin(self) -> int:
        """Begins a transaction that is given a position."""
        self.open.add(self.next_id)
        self.next_id += 1
        self.given += 1
        return self.next_id - 1

    async def execute(self, statement: str, _parameters: Any) -> FakeServer:
        # Like the server: ids beyond the last one that has ended are not part of a snapshot, though they may have been taken.
        end = max([number + 1 for number in range(90, self.next_id) if number not in self.open], default=90)
        oldest = min({number for number in self.open if number < end} | {end})
        if statement == TAKE_ID:
            self._row: tuple[int, ...] = (self.next_id, oldest)
            self.next_id += 1
        else:
            self._row = {LAST_GIVEN: (self.given,), SNAPSHOT: (oldest, end)}[statement]
        return self

    async def fetchone(self) -> tuple[int, ...]:
        return self._row


async def found(horizon: Horizon, server: FakeServer) -> int | None:
    return await horizon.find(server)  # type: ignore[arg-type]


async def test_what_nobody_writes_any_more_is_complete_at_once() -> None:
    server, horizon = FakeServer(), Horizon()
    server.open.discard(server.begin())

    assert await found(horizon, server) == 1


async def test_a_position_of_a_transaction_that_runs_is_not_complete_even_if_its_id_is_the_newest() -> None:
    server, horizon = FakeServer(), Horizon()
    server.begin()

    assert await found(horizon, server) is None


async def test_positions_are_complete_once_all_that_ran_when_they_were_given_have_ended() -> None:
    server, horizon = FakeServer(), Horizon()
    late = server.begin()
    server.open.discard(server.begin())
    assert await found(horizon, server) is None

    newer = server.begin()
    server.open.discard(late)
    assert await found(horizon, server) == 2

    server.open.discard(newer)
    assert await found(horizon, server) == 3


async def test_with_nothing_new_no_id_is_taken() -> None:
    server, horizon = FakeServer(), Horizon()
    server.open.discard(server.begin())
    await found(horizon, server)
    before = server.next_id

    assert [await found(horizon, server) for _ in range(3)] == [1, 1, 1]
    assert server.next_id == before


async def test_a_server_that_crashed_and_gives_ids_anew_is_looked_at_anew() -> None:
    server, horizon = FakeServer(), Horizon()
    server.begin()
    assert await found(horizon, server) is None

    server.open.clear()
    server.next_id, server.given = 95, 0
    server.open.discard(server.begin())

    assert await found(horizon, server) == 1
