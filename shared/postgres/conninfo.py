"""How services connect: one address for all, a schema and a role for each."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict, make_conninfo

# Ends what hangs, so that one stuck session can't hold locks for ever. In milliseconds.
TIMEOUTS = {"statement_timeout": 5_000, "lock_timeout": 2_000, "idle_in_transaction_session_timeout": 10_000}


def service_conninfo(uri: str, *, schema: str, role: str | None, timeouts: bool = True) -> str:
    """Returns the connection string of a service: its schema as search path, its role if it has one, UTC and the timeouts.

    `options` that the URI brings are kept.
    """
    settings: dict[str, object] = {"search_path": schema, "timezone": "UTC", **(TIMEOUTS if timeouts else {})}
    if role:
        settings["role"] = role
    given = conninfo_to_dict(uri).get("options")
    options = " ".join([str(given)] * bool(given) + [f"-c {name}={value}" for name, value in settings.items()])
    return make_conninfo(uri, options=options, application_name=f"galen-{schema}", connect_timeout=5)
