"""Finds the version that an account had at a time, without an index on time.

Versions count 1, 2, 3 ... without gaps, and an operation is never recorded earlier than the one before it: both grow along the primary key,
so a binary search over it finds the place in as many look-ups as the version has bits, 24 for ten million. An index on (account_key,
created_at) would say the same and cost every insert.
"""

from __future__ import annotations

# What the searches begin from; `key` is the account's.
NEWEST = "newest (version) as (select version from account where account_key = %(key)s)"


def version_before(name: str, moment: str) -> str:
    """Returns a common table expression: its `low`, where it equals `high`, is the last version recorded before the parameter `moment`,
    0 if there is none, the newest if the parameter is null. It stands in a `with recursive` that has NEWEST."""
    return _search(name, f"created_at < %({moment})s", f"case when %({moment})s::timestamptz is null then version else 0 end", "version")


def version_before_or_none(name: str, moment: str) -> str:
    """Returns the same, but 0 if the parameter is null: for the lower end of a range."""
    return _search(name, f"created_at < %({moment})s", "0::bigint", f"case when %({moment})s::timestamptz is null then 0 else version end")


def version_at(name: str, moment: str) -> str:
    """Returns the same for the last version recorded at `moment` or before."""
    return _search(name, f"created_at <= %({moment})s", "0::bigint", "version")


def _search(name: str, is_before: str, low: str, high: str) -> str:
    # Everything up to `low` is before, everything above `high` is not. The limit keeps the planner from making a join of the whole
    # history out of the look-up.
    return f"""
    {name} (low, high) as (
        select {low}, {high} from newest
        union all
        select case when is_before then middle else low end, case when is_before then high else middle - 1 end
        from {name}
        cross join lateral (select (low + high + 1) / 2 as middle) as half
        cross join lateral (
            select {is_before} as is_before from operation where account_key = %(key)s and version = middle limit 1
        ) as looked_up
        where low < high
    )"""  # noqa: S608  the texts are ours
