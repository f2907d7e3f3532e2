"""One readable log of many programs: each line under its program's name on our output, and in a file of its own."""

import os
import sys
from pathlib import Path
from typing import TextIO

FILE_BYTES_MAX = 10 * 1024 * 1024
LINE_BYTES_MAX = 256 * 1024
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
STACK = "galen"


class MergedLog:
    """Takes lines of programs. Files live in `folder`; each has one predecessor (`.log.1`), so that none grows without end."""

    def __init__(self, folder: Path, output: TextIO = sys.stdout, *, coloured: bool = False, width: int = 11) -> None:
        self._folder = folder
        self._output: TextIO | None = output
        self.coloured = coloured
        self._width = width
        self._files: dict[str, _BoundedFile] = {}
        self._colours: dict[str, int] = {}

    def say(self, text: str) -> None:
        """A line of the stack itself."""
        self.write(STACK, text)

    def write(self, name: str, line: str) -> None:
        """A line of a program. JSON carries its service's name already and passes as it is."""
        self._show(line if line.startswith("{") and not self.coloured else f"{self._prefix(name)} {line}")
        if name not in self._files:
            self._files[name] = _BoundedFile(self._folder / f"{name}.log")
        self._files[name].append(line)

    def show(self, text: str) -> None:
        """Text for the reader only, such as the banner."""
        self._show(text)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{self._width}}|"
        if not self.coloured:
            return padded
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{padded}\x1b[0m"

    def _show(self, text: str) -> None:
        """A reader who went away (`galen up | head`) must not stop the stack."""
        if self._output is None:
            return
        try:
            print(text, file=self._output, flush=True)
        except (BrokenPipeError, ValueError):
            self._output = None


class _BoundedFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8", errors="replace")

    def append(self, line: str) -> None:
        if self._file.tell() > FILE_BYTES_MAX:
            self._file.close()
            self._path.replace(self._path.with_suffix(".log.1"))
            self._file = self._path.open("a", encoding="utf-8", errors="replace")
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class LineReader:
    """Reads a pipe without blocking and hands its lines to the log. A line longer than 256 KiB is cut in pieces."""

    def __init__(self, descriptor: int, name: str, log: MergedLog) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._name = name
        self._log = log
        self._rest = b""

    def read_available(self) -> bool:
        """Pass on what is there. Returns False at the end of the pipe."""
        while True:
            try:
                chunk = os.read(self.descriptor, 65536)
            except BlockingIOError:
                return True
            if not chunk:
                self._pass_on(self._rest)
                self._rest = b""
                return False
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._pass_on(line)
            if len(self._rest) > LINE_BYTES_MAX:
                self._pass_on(self._rest)
                self._rest = b""

    def _pass_on(self, line: bytes) -> None:
        if text := line.decode(errors="replace").rstrip("\r"):
            self._log.write(self._name, text)
