"""Imported before everything else: switches off gRPC's fork handlers, which C-core reads from the environment when it is first loaded.

Tests start programs while servers and channels run in the same process. The child only ever execs, so it needs no handlers; with them the
parent or the child dies now and then (abort, segmentation fault).
"""

from __future__ import annotations

import os

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
