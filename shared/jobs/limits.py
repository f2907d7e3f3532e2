"""How much of a service the job queue takes. Apart from the queue, so that settings can be read without it."""

from __future__ import annotations

# Of the queue's own pool.
CONNECTIONS_MAX = 3
