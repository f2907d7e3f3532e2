"""The invariants in SQL, for all accounts of a range of keys at once. See domain/invariants.py for what each says.

The statements are made for hash joins of ranges: what is joined is always cut down to the range first, and nested loops are turned off,
which the planner would choose, and regret, for tables that it has no figures of yet.

Every statement returns rows (account_key, version, invariant, what, expected, found), one for each thing that does not hold: none if all
is well. Sums are numeric and comparisons know null: what an audit looks for must not make it fall over.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.balance.domain.model import BOOKS

# Points move in or out of what a customer holds (books 1 and 4), and in or out of what is set aside of it (book 4).
_POSTED_SIGN = "((credit_book in (1, 4))::int - (debit_book in (1, 4))::int)"
_HELD_SIGN = "((credit_book = 4)::int - (debit_book = 4)::int)"
_KINDS_AND_BOOKS = ", ".join(f"({kind.value}, {debit.value}, {credit.value})" for kind, (debit, credit) in BOOKS.items())

_AUDITED = """
    audited as materialized (
        select * from account
        where account_key between %(low)s and %(high)s and (%(program)s::text is null or program = %(program)s)
    )
"""
_RANGE = "where account_key between %(low)s and %(high)s"
_OPERATION = f"""
    (select * from operation {_RANGE}) as operation
    join (select account_key, created_at as opened_at from audited) as owner using (account_key)
"""  # noqa: S608  all of it is ours
_LOT = f"(select lot.* from (select * from lot {_RANGE}) as lot join audited using (account_key)) as lot"  # noqa: S608
_HOLD = f"(select hold.* from (select * from hold {_RANGE}) as hold join audited using (account_key)) as hold"  # noqa: S608
_USES = f"""
    uses as (
        select account_key, version, kind, debit_book, related_version, created_at, used.lot_id, used.amount, used.place,
            used.amount::numeric * {_POSTED_SIGN} as remaining_move, used.amount::numeric * {_HELD_SIGN} as held_move
        from {_OPERATION}
        cross join lateral unnest(lot_ids, lot_amounts) with ordinality as used (lot_id, amount, place)
        where refusal is null
    )
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class _Check:
    """What must be true of a row, and what to say if it isn't."""

    invariant: str
    what: str
    condition: str
    numbers: str = "null::numeric, null::numeric"


def _equal(invariant: str, what: str, expected: str, found: str) -> _Check:
    return _Check(invariant, what, f"({found}) = ({expected})", f"({expected})::numeric, ({found})::numeric")


def _true(invariant: str, what: str, condition: str) -> _Check:
    return _Check(invariant, what, f"({condition})")


def _checks(source: str, *checks: _Check, version: str = "version") -> str:
    """Returns a select of the checks that do not hold, of those that each row of `source` is put to.

    Rows of which everything holds are passed over first: that is most of them, and spreading out the checks of a row costs more.
    """
    values = ", ".join(f"('{check.invariant}', '{check.what}', {check.numbers}, {check.condition})" for check in checks)
    return f"""
        select account_key, {version}, checked.*
        from (select * from {source} where ({" and ".join(check.condition for check in checks)}) is not true) as suspect
        cross join lateral (values {values}) as checked (invariant, what, expected, found, holds)
        where holds is not true
    """  # noqa: S608


_OPERATIONS_CHECKS = _checks(
    "walked",
    _equal("VERSIONS_HAVE_NO_GAPS", "version", "version_before + 1", "version"),
    _equal("POSTED_AFTER_FOLLOWS", "posted_after", "posted_expected", "posted_after"),
    _equal("HELD_AFTER_FOLLOWS", "held_after", "held_expected", "held_after"),
    _true("TIMES_NEVER_GO_BACK", "it was recorded before what precedes it", "created_at >= created_before"),
    _true(
        "NEVER_OVERDRAWN",
        "held, debt or what is not held is below zero",
        "held_after >= 0 and debt_after >= 0 and posted_after + debt_after >= held_after",
    ),
    _true(
        "SPENDING_LEAVES_LEAST",
        "it left less than the least balance",
        "refusal is not null or kind not in (2, 3) or posted_after - held_after >= case kind when 2 then least else greatest(least, 0) end",
    ),
    _equal("USES_ADD_UP", "lots and debt together", "amount", "used + abs(debt_change::numeric)"),
    _true(
        "USES_ADD_UP",
        "a lot without an amount above zero, or an amount without a lot",
        "cardinality(lot_ids) = cardinality(lot_amounts) and uses_are_positive",
    ),
    _true(
        "BOOKS_FIT_KIND",
        "the books are not those of its kind",
        f"(kind, debit_book, credit_book) in ({_KINDS_AND_BOOKS}) or (kind = 9 and (debit_book, credit_book) in ((1, 2), (1, 6), (3, 1)))",
    ),
    _true(
        "AMOUNT_WAS_ASKED_FOR",
        "the amount is not what was asked for",
        "refusal is not null or amount = requested_amount or kind = 11 or (kind = 9 and amount between 1 and requested_amount)",
    ),
    _true(
        "REFUSALS_MOVE_NOTHING",
        "it was refused and moves something",
        "refusal is null or (amount = 0 and debt_change = 0 and cardinality(lot_ids) = 0)",
    ),
)
OPERATIONS = f"""
    with {_AUDITED}, walked as (
        select operation.*,
            lag(version, 1, 0::bigint) over history as version_before,
            lag(posted_after, 1, 0::bigint) over history + amount::numeric * {_POSTED_SIGN} as posted_expected,
            lag(held_after, 1, 0::bigint) over history + amount::numeric * {_HELD_SIGN} as held_expected,
            lag(operation.created_at, 1, opened_at) over history as created_before,
            sum(debt_change) over history as debt_after,
            coalesce((max(array[version, requested_amount]) filter (where kind = 11 and refusal is null) over history)[2], 0) as least,
            (select coalesce(sum(part), 0) from unnest(lot_amounts) as part) as used,
            (select coalesce(bool_and(part > 0), true) from unnest(lot_amounts) as part) as uses_are_positive
        from {_OPERATION}
        window history as (partition by account_key order by version rows unbounded preceding)
    )
    {_OPERATIONS_CHECKS}
"""  # noqa: S608

_ACCOUNTS_CHECKS = _checks(
    "compared",
    _equal("ACCOUNT_VERSION_IS_LAST", "version of the account", "coalesce(last_version, 0)", "version"),
    _true(
        "ACCOUNT_TIME_IS_LAST",
        "the account was changed last before its last operation was recorded",
        "updated_at >= coalesce(recorded_at, created_at)",
    ),
    _equal("POSTED_IS_SUM_OF_OPERATIONS", "posted", "posted_moved", "posted"),
    _equal("POSTED_IS_LAST_POSTED_AFTER", "posted", "coalesce(posted_after, 0)", "posted"),
    _equal("HELD_IS_SUM_OF_OPERATIONS", "held", "held_moved", "held"),
    _equal("HELD_IS_LAST_HELD_AFTER", "held", "coalesce(held_after, 0)", "held"),
    _equal("MIN_BALANCE_IS_LAST_SET", "min_balance", "least", "min_balance"),
    _equal("DEBT_IS_SUM_OF_CHANGES", "debt", "debt_changed", "debt"),
    _equal("EARNED_IS_SUM_OF_CREDITS", "lifetime_earned", "earned", "lifetime_earned"),
    _equal("SPENT_IS_SUM_OF_SPENDING", "lifetime_spent", "spent", "lifetime_spent"),
    _equal("POSTED_IS_SUM_OF_LOTS", "posted + debt", "lots_remaining", "posted::numeric + debt"),
    _equal("HELD_IS_SUM_OF_LOTS", "held", "lots_held", "held"),
    _equal("HELD_IS_SUM_OF_HOLDS", "held", "holds_remaining", "held"),
    version="null::bigint",
)
ACCOUNTS = f"""
    with {_AUDITED}, folded as (
        select account_key,
            coalesce((max(array[version, requested_amount]) filter (where kind = 11 and refusal is null))[2], 0) as least,
            sum(amount::numeric * {_POSTED_SIGN}) as posted_moved, sum(amount::numeric * {_HELD_SIGN}) as held_moved,
            sum(debt_change) as debt_changed,
            coalesce(sum(amount) filter (where kind in (1, 10)), 0) - coalesce(sum(amount) filter (where kind = 9 and debit_book = 1), 0)
                as earned,
            coalesce(sum(amount) filter (where kind in (2, 4)), 0) - coalesce(sum(amount) filter (where kind = 9 and credit_book = 1), 0)
                as spent
        from {_OPERATION} group by account_key
    ),
    kept as (select account_key, sum(remaining) as remaining, sum(lot.held) as held from {_LOT} group by account_key),
    aside as (select account_key, sum(remaining) as remaining from {_HOLD} where state = 1 group by account_key),
    compared as (
        select audited.*, last.last_version, last.posted_after, last.held_after, last.recorded_at,
            coalesce(posted_moved, 0) as posted_moved, coalesce(held_moved, 0) as held_moved, coalesce(debt_changed, 0) as debt_changed,
            coalesce(least, 0) as least, coalesce(earned, 0) as earned, coalesce(spent, 0) as spent,
            coalesce(kept.remaining, 0) as lots_remaining,
            coalesce(kept.held, 0) as lots_held, coalesce(aside.remaining, 0) as holds_remaining
        from audited
        left join folded using (account_key) left join kept using (account_key) left join aside using (account_key)
        left join lateral (
            select version as last_version, posted_after, held_after, created_at as recorded_at from operation
            where operation.account_key = audited.account_key order by version desc limit 1
        ) as last on true
    )
    {_ACCOUNTS_CHECKS}
"""  # noqa: S608

_LOTS_CHECKS = _checks(
    "compared",
    _true("LOT_EXISTS", "the lot that operations used is not there", "amount is not null"),
    _true("LOT_HAS_ITS_CREDIT", "the lot has no credit", "kind in (1, 9, 10) and refusal is null"),
    _equal("LOT_AMOUNT_IS_CREDITED", "amount of the lot", "credited", "amount"),
    _true(
        "LOT_TIMES_ARE_IN_ORDER",
        "the times of the lot are not in order",
        "available_at >= created_at and (expires_at is null or expires_at > available_at)",
    ),
    _equal("LOT_REMAINING_IS_SUM_OF_USES", "remaining of the lot", "given", "remaining"),
    _equal("LOT_HELD_IS_SUM_OF_USES", "held of the lot", "set_aside", "held"),
    _true("LOT_NEVER_OVERDRAWN", "the lot had less than was taken or held", "least >= 0"),
)
LOTS = f"""
    with {_AUDITED}, {_USES}, running as (
        select account_key, version, lot_id, amount, remaining_move, held_move,
            sum(remaining_move) over history as remaining, sum(held_move) over history as held
        from uses window history as (partition by account_key, lot_id order by version rows unbounded preceding)
    ),
    folded as (
        select account_key, lot_id, sum(remaining_move) as given, sum(held_move) as set_aside,
            sum(amount) filter (where version = lot_id) as own, min(least(remaining - held, remaining, held)) as least
        from running group by account_key, lot_id
    ),
    compared as (
        select account_key, lot_id as version, lot.amount, lot.remaining, lot.held, lot.available_at, lot.expires_at,
            coalesce(given, 0) as given, coalesce(set_aside, 0) as set_aside, coalesce(least, 0) as least,
            born.kind, born.created_at, born.refusal, case born.kind when 9 then folded.own else born.credit end as credited
        from {_LOT} full join folded using (account_key, lot_id)
        left join (select account_key, version as lot_id, kind, created_at, refusal, operation.amount as credit from {_OPERATION}) as born
            using (account_key, lot_id)
    )
    {_LOTS_CHECKS}
    and (invariant = 'LOT_EXISTS' or amount is not null)
    union all
    select account_key, version, 'LOT_EXISTS', 'the credit has no lot', null, null, false
    from {_OPERATION} where kind in (1, 10) and refusal is null
        and not exists (select from (select * from lot {_RANGE}) as lot where lot.account_key = operation.account_key and lot_id = version)
"""  # noqa: S608

_USES_CHECKS = _checks(
    "walked",
    _true(
        "SPENT_LOTS_WERE_SPENDABLE",
        "it took points out of a lot that was not available or had expired",
        "not (kind in (2, 3) or (kind = 9 and debit_book = 1 and lot_id <> related_version))"
        " or (available_at <= created_at and (expires_at is null or expires_at > created_at))",
    ),
    _true(
        "SOONEST_LOT_FIRST",
        "it took points out of a lot before one that expires sooner",
        "kind not in (2, 3) or place_before is null or place_in_order > place_before",
    ),
    _true("LOTS_EXPIRE_IN_TIME", "it expired a lot before its time", "kind <> 8 or expires_at <= created_at"),
)
USES = f"""
    with {_AUDITED}, {_USES}, walked as (
        select uses.*, available_at, expires_at, (coalesce(expires_at, 'infinity'), uses.lot_id) as place_in_order,
            lag((coalesce(expires_at, 'infinity'), uses.lot_id)) over (partition by account_key, version order by place) as place_before
        from uses
        cross join lateral (
            select available_at, expires_at from lot where lot.account_key = uses.account_key and lot.lot_id = uses.lot_id limit 1
        ) as lot -- the limit keeps the planner from joining long histories the other way round, each lot with all uses
    )
    {_USES_CHECKS}
"""  # noqa: S608

_HOLDS_CHECKS = _checks(
    "compared",
    _true("HOLD_EXISTS", "the hold that operations were about is not there", "amount is not null"),
    _true(
        "HOLD_HAS_ITS_RESERVATION",
        "the hold is not as it was reserved",
        "kind = 3 and refusal is null and amount = reserved and reference = reserved_for",
    ),
    _equal("HOLD_CAPTURED_IS_SUM", "captured of the hold", "captures", "captured"),
    _equal("HOLD_PARTS_ADD_UP", "captured, freed and remaining of the hold", "amount", "captures + freed + remaining"),
    _equal("HOLD_STATE_FITS", "state of the hold", "case when remaining > 0 then 1 when expiries > 0 then 3 else 2 end", "state"),
    _true("HOLD_ENDS_ONCE", "the hold ended more than once, or went on after its end", "ends <= 1 and (ended is null or ended = touched)"),
    _true("HOLDS_EXPIRE_IN_TIME", "the hold expired before its time", "expired_at is null or expires_at <= expired_at"),
)
HOLDS = f"""
    with {_AUDITED}, touched as (
        select account_key, related_version as hold_id,
            coalesce(sum(amount) filter (where kind = 4), 0) as captures, coalesce(sum(amount) filter (where kind in (5, 7)), 0) as freed,
            count(*) filter (where kind in (5, 7)) as ends, count(*) filter (where kind = 7) as expiries,
            max(version) filter (where kind in (5, 7)) as ended, max(version) as touched,
            min(created_at) filter (where kind = 7) as expired_at
        from {_OPERATION} where kind in (4, 5, 6, 7) and refusal is null group by account_key, related_version
    ),
    compared as (
        select account_key, hold_id as version, hold.state, hold.amount, hold.remaining, hold.captured, hold.reference, hold.expires_at,
            coalesce(captures, 0) as captures, coalesce(freed, 0) as freed, coalesce(ends, 0) as ends, coalesce(expiries, 0) as expiries,
            ended, touched, expired_at, born.kind, born.refusal, reserved, reserved_for
        from {_HOLD} full join touched using (account_key, hold_id)
        left join (
            select account_key, version as hold_id, kind, refusal, amount as reserved, reference as reserved_for from {_OPERATION}
        ) as born using (account_key, hold_id)
    )
    {_HOLDS_CHECKS}
    and (invariant = 'HOLD_EXISTS' or amount is not null)
    union all
    select account_key, version, 'HOLD_EXISTS', 'the reservation has no hold', null, null, false
    from {_OPERATION} where kind = 3 and refusal is null
        and not exists (
            select from (select * from hold {_RANGE}) as hold where hold.account_key = operation.account_key and hold_id = version
        )
"""  # noqa: S608

HOLD_LOTS = f"""
    with {_AUDITED}, {_USES}, left_of as (
        select account_key, case kind when 3 then version else related_version end as hold_id, lot_id, sum(held_move) as amount
        from uses where kind in (3, 4, 5, 7) group by 1, 2, 3 having sum(held_move) <> 0
    ),
    held as (
        select account_key, hold_id, used.lot_id, sum(used.amount) as amount
        from {_HOLD} cross join lateral unnest(lot_ids, lot_amounts) as used (lot_id, amount) group by 1, 2, 3
    )
    select account_key, hold_id, 'HOLD_LOTS_ARE_WHAT_IS_LEFT', 'held of lot ' || coalesce(lot_id::text, '?'), left_of.amount, held.amount,
        false
    from left_of full join held using (account_key, hold_id, lot_id) where left_of.amount is distinct from held.amount
"""  # noqa: S608

_RELATED_CHECKS = _checks(
    "related",
    _true(
        "RELATED_OPERATION_FITS",
        "what it is about is not there or does not fit",
        "refusal is not null or (original_version < version and original_refusal is null and case"
        " when kind in (4, 5, 6, 7) then original_kind = 3"
        " when kind = 8 then original_kind in (1, 9, 10)"
        " when kind = 9 and original_kind in (1, 10) then debit_book = original_credit and credit_book = original_debit"
        " when kind = 9 and original_kind in (2, 4) then debit_book = 3 and credit_book = 1 else false end)",
    ),
)
RELATED = f"""
    with {_AUDITED}, operations as materialized (
        select operation.* from {_OPERATION} where kind in (4, 5, 6, 7, 8, 9)
    ),
    related as (
        select about.account_key, about.version, about.kind, about.refusal, about.related_version, about.debit_book, about.credit_book,
            original.kind as original_kind, original.refusal as original_refusal, original.debit_book as original_debit,
            original.credit_book as original_credit, original.version as original_version
        from operations as about
        left join (select * from operation {_RANGE}) as original
            on original.account_key = about.account_key and original.version = about.related_version
    )
    {_RELATED_CHECKS}
    union all
    select original.account_key, original.version, 'REVERSALS_WITHIN_ORIGINAL', 'undone, at most', original.amount,
        sum(reversal.requested_amount), false
    from operations as reversal
    join (select * from operation {_RANGE}) as original
        on original.account_key = reversal.account_key and original.version = reversal.related_version
    where reversal.kind = 9 and reversal.refusal is null
    group by original.account_key, original.version, original.amount having sum(reversal.requested_amount) > original.amount
"""  # noqa: S608

RETURNED = f"""
    with {_AUDITED}, {_USES}, moved as (
        select account_key, case kind when 9 then related_version else version end as original, lot_id,
            coalesce(sum(amount) filter (where kind <> 9), 0) as taken, coalesce(sum(amount) filter (where kind = 9), 0) as returned
        from uses where kind in (2, 4) or (kind = 9 and debit_book = 3 and lot_id <> version) group by 1, 2, 3
    )
    select account_key, original, 'REVERSALS_GO_BACK_TO_LOTS', 'given back to lot ' || lot_id || ', at most', taken, returned, false
    from moved where returned > taken
"""  # noqa: S608

UNIQUE = f"""
    with {_AUDITED}
    select account_key, max(version), 'REQUESTS_ARE_UNIQUE', 'operations of request ' || request_id || ' of ' || actor, 1, count(*), false
    from {_OPERATION} group by account_key, actor, request_id having count(*) > 1
    union all
    select account_key, max(version), 'ORDERS_ARE_PAID_ONCE', 'withdrawals for ' || reference, 1, count(*), false
    from {_OPERATION} where kind = 2 and refusal is null group by account_key, reference having count(*) > 1
"""  # noqa: S608

ORPHANS = f"""
    select account_key, null::bigint, 'ROWS_HAVE_AN_ACCOUNT', kind || ' without an account, key ' || account_key, 0, count(*), false
    from (
        select account_key, 'operations' as kind from operation {_RANGE}
        union all select account_key, 'lots' from lot {_RANGE}
        union all select account_key, 'holds' from hold {_RANGE}
    ) as owned
    where not exists (
        select from (select * from account {_RANGE}) as account where account.account_key = owned.account_key
    )
    group by account_key, kind
"""  # noqa: S608

ALL = (OPERATIONS, ACCOUNTS, LOTS, USES, HOLDS, HOLD_LOTS, RELATED, RETURNED, UNIQUE, ORPHANS)

PLANNING = "set local enable_nestloop = off"
# How much went from one book to another.
TRANSFERS = f"""
    with {_AUDITED} select debit_book, credit_book, sum(amount) from {_OPERATION} group by debit_book, credit_book
"""  # noqa: S608
SUMS = f"with {_AUDITED} select coalesce(sum(posted), 0), coalesce(sum(held), 0) from audited"  # noqa: S608
COUNT = (
    "select count(*) from account where account_key between %(low)s and %(high)s and (%(program)s::text is null or program = %(program)s)"
)
NEXT = """
    select account_key, program, account_id, version from account
    where account_key between %(low)s and %(high)s and (%(program)s::text is null or program = %(program)s)
    order by account_key limit %(limit)s
"""
