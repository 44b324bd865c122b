"""Standard streams that a command outlives.

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

# the exit status of a command that did its work and could not say so: EX_IOERR of sysexits.h
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
    """A standard stream that a command outlives.

    At the first failure of a write, such as a disk that is full or a reader that has gone, it is
    said on stderr, and the rest goes nowhere.

    Attributes:
        lost: whether text was lost that somebody would have read.
    """

    lost = False

    def write(self, text: str, /) -> int:
        """As of any file; raises nothing if there is no room."""
        try:
            return super().write(text)
        except OSError as error:
            self._go_on_without(error)
            return len(text)

    def flush(self) -> None:
        """As of any file; the same."""
        try:
            super().flush()
        except OSError as error:
            self._go_on_without(error)

    def _go_on_without(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # what lies in the buffer would else fail again, at the end of the process too
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()
        if self is not sys.stdout:
            return
        self.lost = error.errno != errno.EPIPE  # `| head -1` has read what it wanted
        what = (
            f"standard output cannot be written to ({error.strerror}): what is said from here "
            "on is lost"
        )
        print(
            f"{Path(sys.argv[0]).name}: {what}; all else goes on, and files are written",
            file=sys.stderr,
            flush=True,
        )


def command(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a command's `main` and end the process with the exit status that it returns.

    That is `LOST` where all went well but standard output could not be written.

    Args:
        main: gets the arguments without the program's name.
    """
    sys.stdout, sys.stderr = _steady(sys.stdout), _steady(sys.stderr)
    _keep_closed()
    status: Any
    try:
        status = main(sys.argv[1:])
    except SystemExit as end:  # of argparse, among others
        status = end.code
    sys.stdout.flush()
    sys.exit(LOST if not status and getattr(sys.stdout, "lost", False) else status)


def instead(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a terminal or file has no code for.

    An error handler of `codecs`.
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
    buffered = stream.line_buffering if isinstance(stream, io.TextIOWrapper) else True
    return Stream(stream.buffer, stream.encoding, INSTEAD, line_buffering=buffered)


def _keep_closed() -> None:
    """Open what is closed of the three standard descriptors: a file of the run must not
    become one of them.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
