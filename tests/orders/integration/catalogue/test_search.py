"""How medicines are found by words."""

from __future__ import annotations

import secrets

import pytest

from shared.testing.errors import refusal_of
from tests.orders.catalogue_client import Catalogue, medicine


@pytest.fixture
def name() -> str:
    """A word that only this test's medicines have."""
    return "".join(secrets.choice("bcdfghjklmnp") for _ in range(12))


async def test_a_medicine_is_found_by_any_of_its_words_in_any_order_cut_short_or_not(
    staff: Catalogue, customer: Catalogue, name: str
) -> None:
    sku = f"{name}-SKU.30_7".upper()
    await staff.create(medicine(sku=sku, display_name=f"Co-{name}/Ibu Forte", form="Film-coated tablet", strength="0.5 mg/24h"))

    for query in (
        *(name, name.upper(), name[:7], f"{name} forte", f"for {name}", f"coated {name}", f"{name} film-co", f"tab coat {name[:9]}"),
        *(sku, sku.lower(), sku[:-2], f"{name} 30", f"{name} ibu", f"co-{name}/ibu", f"{name} 0.5mg", f"{name} 0.5 mg", f"{name} 24 h"),
        *(f"  {name}\u00a0 ", f"'{name}':*", f"{name} & | ! ( ) <-> forte", f"{name}, forte.", f'"{name}"'),
    ):
        assert await customer.search(query) == [sku], query
    for query in (f"{name}x", f"{name} nothing", f"{name} 31", f"x{name}"):
        assert await customer.search(query) == [], query


async def test_a_number_is_found_with_its_unit_written_apart_and_together(staff: Catalogue, name: str) -> None:
    apart = await staff.create(medicine(display_name=name, strength="400 mg"))
    together = await staff.create(medicine(display_name=name, strength="400mg"))

    for query in (f"{name} 400mg", f"{name} 400 mg", f"{name} 400 m", f"{name} 40"):
        assert set(await staff.search(query)) == {apart.sku, together.sku}, query


async def test_letters_of_other_alphabets_are_letters(staff: Catalogue, name: str) -> None:
    found = await staff.create(medicine(display_name=f"Ацетилсалициловая кислота Größe {name}", strength="25 µg"))

    for query in (f"ацетил {name}", f"КИСЛОТА {name}", f"größe {name}", f"{name} 25 µg"):
        assert await staff.search(query) == [found.sku], query


async def test_whole_words_come_before_words_that_begin_like_them_and_names_before_forms(staff: Catalogue, name: str) -> None:
    in_form = await staff.create(medicine(display_name="A", form=f"{name} tablet"))
    begun = await staff.create(medicine(display_name=f"{name}ofen"))
    whole = await staff.create(medicine(display_name=f"{name} Z"))

    assert await staff.search(name) == [whole.sku, begun.sku, in_form.sku]
    assert await staff.search(name, page_size=2) == [whole.sku, begun.sku]


async def test_among_equals_the_name_decides(staff: Catalogue, name: str) -> None:
    by_name = {letter: (await staff.create(medicine(display_name=f"{name} {letter}"))).sku for letter in "cab"}

    assert await staff.search(name) == [by_name[letter] for letter in "abc"]


async def test_at_most_twenty_are_found_unless_more_are_asked_for(staff: Catalogue, name: str) -> None:
    for number in range(22):
        await staff.create(medicine(display_name=f"{name} {number}"))

    assert (len(await staff.search(name)), len(await staff.search(name, page_size=100))) == (20, 22)


async def test_customers_find_what_is_for_sale(staff: Catalogue, customer: Catalogue, name: str) -> None:
    for_sale = await staff.create(medicine(display_name=name))
    withdrawn = await staff.create(medicine(display_name=name, withdrawn=True))

    assert await customer.search(name) == [for_sale.sku]
    assert set(await staff.search(name)) == {for_sale.sku, withdrawn.sku}


@pytest.mark.parametrize(
    "query",
    [
        *(
            "'",
            "''",
            '"',
            "\\",
            "\\'",
            "&",
            "|",
            "!",
            "!!",
            "(",
            ")",
            "()",
            "<->",
            "<1>",
            ":*",
            ":",
            "*",
            "%",
            "_",
            "-",
            "--",
            ";",
            " ",
            "?",
        ),
        *(
            "' | '",
            "a' & | !",
            "!nothing",
            "a:*b & | c:zz",
            "'); drop table medicine; --",
            "%s %(x)s :x $1",
            "{}",
            "\u00a0",
            "€",
            "💊",
            "\ufeff",
        ),
        *("a\u0301\u0302", "http://x.example/a?b=c&d", "x@y.example", "-1e400", "1.2.3.4", "/usr/local", "<b>x</b>", "&nbsp;", "９９"),
        *("nosuchword " * 18, "ŀ" * 100, "w" * 200),
    ],
    ids=ascii,
)
async def test_what_looks_like_an_operator_finds_nothing_and_breaks_nothing(staff: Catalogue, query: str) -> None:
    assert isinstance(await staff.search(query), list)
    assert await staff.search(f"{query[:180]} nosuchwordanywhere") == []


@pytest.mark.parametrize("query", ["'", "&|!", "()", ":*", " ", "- _ -", "💊"])
async def test_a_query_without_a_word_finds_nothing(staff: Catalogue, query: str) -> None:
    await staff.create(medicine())

    assert await staff.search(query) == []


@pytest.mark.parametrize(("query", "page_size"), [("", 0), ("a\0b", 0), ("a\nb", 0), ("a" * 201, 0), ("a", -1), ("a", 101)])
async def test_a_query_that_breaks_the_rules_is_refused(staff: Catalogue, query: str, page_size: int) -> None:
    assert (await refusal_of(staff.search(query, page_size=page_size))).reason == "INVALID_REQUEST"
