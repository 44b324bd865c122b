"""Standard streams whose failures do not end a command.

Neither a character that cannot be encoded nor a closed or full stream ends it.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

# exit status of a command that succeeded and could not print its output: EX_IOERR of sysexits.h
LOST = 74
INSTEAD = "losstap.instead"  # the name under which codecs know `instead`
SIGNS = {
    "±": "+-",
    "−": "-",
    "–": "-",
    "…": "...",
    "×": "x",
    "∞": "inf",
    "·": "-",
    "━": "-",
    "•": "*",
    "⋮": ":",
}


class Stream(io.TextIOWrapper):
    """A standard stream whose failures do not end a command.

    The first failure of a write, such as a full disk or a reader that has ended, is reported on
    stderr, and the rest of the output is dropped.

    Attributes:
        lost: whether output was lost that a reader would have needed.
    """

    lost = False

    def write(self, text: str, /) -> int:
        """Write as to any file, but raise nothing if that fails."""
        try:
            return super().write(text)
        except OSError as error:
            self._go_on_without(error)
            return len(text)

    def flush(self) -> None:
        """Flush as any file, but raise nothing if that fails."""
        try:
            super().flush()
        except OSError as error:
            self._go_on_without(error)

    def _go_on_without(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # otherwise the rest of the buffer would fail again, at the latest at the process's end
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()
        if self is not sys.stdout:
            return
        self.lost = error.errno != errno.EPIPE  # `| head -1` has read all that it needs
        print(
            f"{Path(sys.argv[0]).name}: standard output cannot be written to ({error.strerror}): "
            "further output is lost; the command goes on, and files are written",
            file=sys.stderr,
            flush=True,
        )


def command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a command's `main` and end the process with the exit status that it returns.

    The status is `LOST` if the command succeeds but standard output cannot be written.

    Args:
        main: gets the arguments without the program's name.
    """
    sys.stdout = _steady(sys.stdout)
    sys.stderr = _steady(sys.stderr)
    _keep_closed()
    sys.exit(outcome(main, sys.argv[1:]))


def outcome(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Any:
    """Run a command's `main`, and return the exit status, or the text in its place.

    The status is `LOST` if the command succeeds but standard output cannot be written.
    """
    status: Any
    try:
        status = main(arguments)
    except SystemExit as end:  # of argparse, among others
        status = end.code
    sys.stdout.flush()
    if not status and getattr(sys.stdout, "lost", False):
        status = LOST
    return status


def instead(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that the encoding of a terminal or file does not have.

    This is an error handler of `codecs`.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    plain = (SIGNS.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in bad)
    return "".join(plain), error.end


codecs.register_error(INSTEAD, instead)


def _steady(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed, as by `>&-`
        return open(os.devnull, "w", encoding="utf-8")
    stream.flush()
    by_line = not isinstance(stream, io.TextIOWrapper) or stream.line_buffering
    return Stream(stream.buffer, stream.encoding, INSTEAD, line_buffering=by_line)


def _keep_closed() -> None:
    """Open the closed ones of the three standard descriptors, so that no file becomes one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
