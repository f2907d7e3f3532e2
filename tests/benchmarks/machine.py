"""The machine and the versions that figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("grpcio", "protobuf", "psycopg", "sqlalchemy", "uvloop")


def describe(data_folder: Path) -> dict[str, str]:
    """Returns what matters of this machine; `data_folder` is where PostgreSQL keeps its data."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores shared by server, PostgreSQL and load generator",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, data on {_file_system(data_folder)}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _file_system(folder: Path) -> str:
    """Returns the type of the file system: on one in memory nothing is durable."""
    mounted = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(mounted, key=lambda part: len(part.mountpoint)).fstype if mounted else "an unknown file system"
