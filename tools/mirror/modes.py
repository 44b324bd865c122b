"""The modes of the mirror, and which of them holds.

Commands need their names before anything else is imported, so wandb is imported inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

PROJECT = "losstap"
MODES = ("online", "offline", "disabled")
OLD_MODES = {"dryrun": "offline", "run": "online"}  # of WANDB_MODE, which wandb still takes


def resolve_mode(requested: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return one of MODES: that of the command line, of WANDB_MODE, or the default.

    The default is online if the user is logged in, otherwise offline. Needs no network. wandb finds
    the netrc file and its own settings by the process's environment. Raises ValueError for any
    other word.
    """
    given = environ.get("WANDB_MODE", "")
    sources = {"the command line": requested, "WANDB_MODE": OLD_MODES.get(given, given)}
    for source, mode in sources.items():
        if mode and mode not in MODES:
            raise ValueError(
                f"Expected {source} to give a W&B mode ({', '.join(MODES)}), but got {mode!r}."
            )
        if mode:
            return mode
    return "online" if logged_in(environ) else "offline"


def logged_in(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a key for the configured host.

    It may be in the environment, the netrc file or wandb's settings.
    """
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    silence()
    try:
        import wandb

        return wandb.login(prompt=False, verify=False)  # asks neither the user nor the server
    except ImportError:
        return False  # Tracker meets the same error, and reports it
    except Exception:
        return True  # a key that cannot be used: going online fails, and Tracker reports why


def silence() -> None:
    """Keep wandb from printing and from reporting errors to its makers, which it does even offline.

    To be called before the import of wandb.
    """
    os.environ["WANDB_SILENT"] = "true"
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
