"""Chains and books without a database: what the walk along a chain tells of each way to break it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.balance.domain.books import Totals
from services.balance.domain.chain import CHAINS, Head, Link, Recorded, SignedHead, chain_of, extend, genesis, key_range, link_hash
from services.balance.domain.invariants import Invariant
from services.balance.domain.model import Book
from services.balance.domain.names import AccountName
from services.balance.domain.verification import ChainFinding, ChainWalk, Fault, StoredLink

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAME = AccountName("main", "a")


def operations(count: int, chain: int = 5) -> list[Recorded]:
    low, _ = key_range(chain)
    return [Recorded(place + 1, UUID(int=low.int + place % 3), place + 1, f'["{place}"]'.encode()) for place in range(count)]


def sign(head: Head) -> SignedHead:
    return SignedHead(head, "key", b"signed " + head.message())


def is_genuine(head: SignedHead) -> bool:
    return head.signature == b"signed " + head.head.message()


class Stored:
    """A chain of 12 links with a head after each third, to be broken."""

    def __init__(self) -> None:
        self.links: list[StoredLink] = []
        self.heads: list[SignedHead] = []
        tips: dict[int, Head] = {}
        made = operations(12)
        for first in range(0, 12, 3):
            links, grown = extend(tips, made[first : first + 3], NOW)
            tips |= {head.chain: head for head in grown}
            contents = made[first : first + 3]
            self.links += [StoredLink(link, NAME, known.content) for link, known in zip(links, contents, strict=True)]
            self.heads += map(sign, grown)

    def edit(self, number: int, content: bytes | None) -> None:
        self.links[number - 1] = replace(self.links[number - 1], content=content)

    def walk(self, step: int = 5) -> Sequence[ChainFinding]:
        walk, found = ChainWalk(5, is_genuine), list[ChainFinding]()
        for first in range(0, len(self.links), step):
            links = self.links[first : first + step]
            heads = [head for head in self.heads if walk.number < head.head.number <= links[-1].link.number]
            found += walk.step(links, heads)
        return found + list(walk.end([head for head in self.heads if head.head.number > walk.number]))

    def faults(self) -> list[tuple[Fault, int]]:
        return [(finding.fault, finding.link) for finding in self.walk()]


def test_a_link_holds_what_the_docs_say_it_holds() -> None:
    key = UUID(int=77)
    expected = hashlib.sha256(
        hashlib.sha256(b"galen ledger chain 3").digest() + (9).to_bytes(8, "big") + key.bytes + (4).to_bytes(8, "big") + b"[1]"
    )

    assert link_hash(genesis(3), 9, key, 4, b"[1]") == expected.digest()


@given(st.uuids())
def test_every_account_has_one_chain(key: UUID) -> None:
    low, high = key_range(chain_of(key))

    assert low <= key <= high
    assert sum(first <= key <= last for first, last in map(key_range, range(CHAINS))) == 1


@given(st.lists(st.integers(1, 9), max_size=6))
def test_chains_are_the_same_however_their_operations_come_in_batches(sizes: list[int]) -> None:
    made = [Recorded(place, uuid4(), place, b"x") for place in range(1, sum(sizes) + 1)]
    whole, _ = extend({}, made, NOW)

    tips: dict[int, Head] = {}
    parts: list[Link] = []
    for size in sizes:
        links, heads = extend(tips, made[len(parts) : len(parts) + size], NOW)
        tips |= {head.chain: head for head in heads}
        parts += links

    assert parts == list(whole)


def test_a_head_is_signed_the_same_wherever_its_time_is_read() -> None:
    head = Head(1, 2, b"hash", 3, NOW)

    assert replace(head, made_at=NOW.astimezone(timezone(timedelta(hours=9)))).message() == head.message()


def test_an_unbroken_chain_has_no_findings_however_it_is_walked() -> None:
    assert [Stored().walk(step) for step in (1, 2, 5, 12, 100)] == [[]] * 5


def test_an_empty_chain_has_no_findings() -> None:
    stored = Stored()
    stored.links, stored.heads = [], []

    assert stored.faults() == []


def test_an_edit_is_found_and_those_after_it_still_hold() -> None:
    stored = Stored()
    stored.edit(4, b"[]")
    stored.edit(9, b"[]")

    assert stored.faults() == [(Fault.EDITED, 4), (Fault.EDITED, 9)]


def test_many_edits_are_all_found() -> None:
    stored = Stored()
    for number in range(1, 13):
        stored.edit(number, b"[]")

    assert sorted(stored.faults()) == [(Fault.EDITED, number) for number in range(1, 13)]


def test_a_deleted_operation_is_named() -> None:
    stored = Stored()
    stored.edit(7, None)

    (finding,) = stored.walk()

    assert (finding.fault, finding.link, finding.account, finding.version) == (Fault.DELETED, 7, NAME, 7)


def test_links_that_are_gone_are_one_finding() -> None:
    stored = Stored()
    del stored.links[3:8]

    assert stored.faults() == [(Fault.DELETED, 4)]


def test_exchanged_contents_are_a_reorder() -> None:
    stored = Stored()
    fourth, tenth = stored.links[3].content, stored.links[9].content
    stored.edit(4, tenth)
    stored.edit(10, fourth)

    assert stored.faults() == [(Fault.REORDERED, 4), (Fault.REORDERED, 10)]


def test_links_that_changed_places_are_a_reorder() -> None:
    stored = Stored()
    fourth, fifth = stored.links[3], stored.links[4]
    stored.links[3] = replace(fifth, link=replace(fifth.link, number=4))
    stored.links[4] = replace(fourth, link=replace(fourth.link, number=5))

    assert {fault for fault, _ in stored.faults()} == {Fault.REORDERED}
    assert {4, 5} <= {number for _, number in stored.faults()}


def test_a_cut_tail_is_one_finding() -> None:
    stored = Stored()
    del stored.links[5:]

    assert stored.faults() == [(Fault.CUT, 6)]


def test_a_chain_that_is_gone_altogether_was_cut() -> None:
    stored = Stored()
    stored.links = []

    assert stored.faults() == [(Fault.CUT, 1)]


def test_links_beyond_the_last_head_are_not_to_be_trusted() -> None:
    stored = Stored()
    del stored.heads[-1]

    assert stored.faults() == [(Fault.HEAD_FORGED, 12)]


def test_links_made_anew_are_found_once() -> None:
    stored = Stored()
    links, _ = extend({}, [*operations(3), Recorded(4, key_range(5)[0], 4, b"forged"), *operations(12)[4:]], NOW)
    contents = [known.content for known in operations(12)]
    contents[3] = b"forged"
    stored.links = [StoredLink(link, NAME, content) for link, content in zip(links, contents, strict=True)]

    assert stored.faults() == [(Fault.EDITED, 6)]


def test_books_that_agree_with_the_accounts_have_no_findings() -> None:
    totals = Totals()
    totals.books.update({Book.GRANTED: -100, Book.CUSTOMER: 70, Book.HELD: 30})
    totals.add(Totals(posted=60, held=30))
    totals.add(Totals(posted=40))

    assert list(totals.findings()) == []


def test_books_that_do_not_sum_to_zero_or_agree_with_the_accounts_are_found() -> None:
    totals = Totals(posted=99, held=31)
    totals.books.update({Book.GRANTED: -99, Book.CUSTOMER: 70, Book.HELD: 30})

    assert [finding.invariant for finding in totals.findings()] == [
        Invariant.BOOKS_SUM_TO_ZERO,
        Invariant.BOOKS_MATCH_ACCOUNTS,
        Invariant.BOOKS_MATCH_ACCOUNTS,
    ]


def test_the_docs_list_every_rule_and_fault() -> None:
    text = (Path(__file__).parents[3] / "docs" / "ledger-proof.md").read_text()

    assert "\n".join(f"| `{rule.name}` | {rule.value} |" for rule in Invariant) in text
    assert all(f"| `{fault.name}` |" in text and f"`{fault.rule}`" in text for fault in Fault)
