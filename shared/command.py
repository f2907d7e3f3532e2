"""The command line of a service: `python -m services.<name> COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

from shared.observability.logging import configure_logging
from shared.processor import NoSuchProcessor, stay_on
from shared.settings import CommonSettings, load_settings

S = TypeVar("S", bound=CommonSettings)


def run_command(
    service: str, settings: type[S], commands: Mapping[str, Callable[[S], None]], *, migrate: Callable[[], None] | None = None
) -> int:
    """Runs the command that the process was started with.

    `commands` get the service's settings, read from the environment; `migrate` needs a database and nothing else of them.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}", epilog=_settings_help(settings))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=[*commands, *(["migrate"] if migrate else [])])
    command = parser.parse_args().command
    if command == "migrate" and migrate:
        migrate()
        return 0
    loaded = load_settings(settings)
    stay_where_told(loaded)
    flush_log = configure_logging(service, output=loaded.log_format, level=loaded.log_level)
    try:
        commands[command](loaded)
    finally:
        flush_log()  # the interpreter's own end waits for threads first
    return 0


def stay_where_told(settings: CommonSettings) -> None:
    """Keeps the process on the processor that its settings name, before it starts threads; exits with status 2 if that can't be."""
    if settings.processor is None:
        return
    try:
        stay_on(settings.processor)
    except NoSuchProcessor as error:
        print(f"PROCESSOR: {error}", file=sys.stderr)
        sys.exit(2)


def _settings_help(settings: type[CommonSettings]) -> str:
    fields = settings.model_fields.items()
    lines = (f"  {name.upper():26} {field.description} ({_default(field.is_required(), field.default)})" for name, field in fields)
    return "environment:\n" + "\n".join(lines)


def _default(required: bool, default: object) -> str:
    return "required" if required else f"default: {default}"
