"""The mirror of a run folder in Weights & Biases (wandb 0.31).

The files of the run folder are the truth; W&B shows them and can be rebuilt from them. Hence two
rules: nothing that goes wrong in W&B stops a run, and a Tracker first sends those of the finished
rows that W&B does not know: online those that the server lacks, offline those that no file of the
run holds. wandb is imported inside functions only, so that a run with tracking disabled needs no
wandb at all.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from PIL import Image, ImageOps

from tools.mirror import fragments
from tools.mirror.modes import silence

if TYPE_CHECKING:
    import wandb

X_AXIS = "labeled"  # number of labeled images
QUERIED = "queried"  # key of the pictures of queried images
Picture = tuple[Image.Image, str]  # and its caption
THUMBNAIL = (256, 256)  # pixels
# seconds; without a probe wandb needs 25 to 100 s to notice that there is no network
PROBE_TIMEOUT = 3.0
# Settings that keep wandb quiet, fast and bounded (times in seconds). The x_ settings are private
# to wandb: those that a version does not know are left out.
SETTINGS: dict[str, Any] = {
    "console": "off",
    "symlink": False,
    "use_dot_wandb": False,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "x_save_requirements": False,
    "x_disable_stats": True,
    "x_disable_meta": True,
    "x_disable_machine_info": True,
    "init_timeout": 15.0,
    "finish_timeout": 60.0,
    "finish_timeout_raises": True,
    # 15 by default: a killed run would lose its last cycles
    "x_transaction_log_flush_interval": 1.0,
    "x_file_stream_transmit_interval": 2.0,
}


@dataclass(frozen=True)
class Identity:
    """The names and the config of a run in W&B."""

    project: str  # one for all: PROJECT
    group: str  # config name, e.g. "det_ssd_voc"
    strategy: str  # job type
    seed: int
    tags: tuple[str, ...]
    config: dict[str, Any]  # flat: task, network, ..., strategy, seed; values JSON-able

    def new_id(self) -> str:
        """Draw an id that no run has yet, of at most 64 characters that W&B accepts.

        It is kept in the run's folder. A run that is made anew with the same settings has another
        id: in one W&B run both would have rows for each cycle.
        """
        text = re.sub("[^A-Za-z0-9_-]+", "-", f"{self.group}-{self.strategy}-s{self.seed}")
        return f"{text[:55]}-{secrets.token_hex(4)}"  # cut the text, never what tells runs apart


class Tracker:
    """The mirror of one run folder in W&B.

    Nothing that goes wrong in W&B ever stops a run: the first failure prints one line with the
    reason and how to rebuild, then tracking is off and every later call does nothing.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        mode: str,
        rows: Sequence[Mapping[str, Any]],
        say: Callable[[str], None] = print,
        pictures: Callable[[int], Sequence[Picture]] = lambda cycle: (),
        fallback: bool = True,
    ) -> None:
        """Open the run in `folder`/wandb, and send those finished `rows` that W&B does not know.

        `say` prints a line, such as where the run goes. `pictures` gives a cycle's images and
        captions; it is called when they are sent, and may fail like W&B itself. With `fallback` a
        run that cannot be online goes offline; without it that is a failure like any other.
        Afterwards `sent` is the number of rows sent so far, and `failed` whether tracking is off.
        """
        self._folder = folder.resolve()
        self._identity, self._say = identity, say
        self._home = self._folder / "wandb"
        self._run: wandb.Run | None = None
        self._filled = False  # whether W&B has all rows that there are
        self._pictures, self._fallback = pictures, fallback
        self.sent = 0
        self.failed = False
        if mode == "disabled":
            say("W&B: disabled")
            return
        with self._guard("cannot start"):
            self._prepare()
            self._id = fragments.kept_id(self._folder) or identity.new_id()
            fragments.keep_id(self._folder, self._id)
            torn = fragments.tidy(self._folder)
            if torn:
                say(
                    f"W&B: {torn} offline files that a kill tore are written anew, with all of "
                    "their rows"
                )
            known = fragments.held(self._folder, self._id)
            if mode == "online":
                self._run = self._start_online()
            else:
                self._run = self._start("offline")
            self._run.define_metric(X_AXIS, hidden=True)
            # never wandb's own step: a resume shifts it
            self._run.define_metric("*", step_metric=X_AXIS)
            if not self._run.offline:
                known = set(range(int(self._run.summary.get("cycle", -1)) + 1))
            try:
                for row in rows:
                    if row["cycle"] not in known:
                        self._send(self._run, row)
                self._filled = True
            except KeyboardInterrupt:
                # the caller has no tracker yet, and wandb's threads would go on
                self.finish({}, exit_code=1)
                raise

    def cycle(self, row: Mapping[str, Any]) -> None:
        """Send one cycle: the flat `row` without None values, and its pictures under "queried"."""
        with self._guard("cannot log"):
            if self._run is not None:
                self._send(self._run, row)

    def _send(self, run: wandb.Run, row: Mapping[str, Any]) -> None:
        # one call, so that all share one x
        run.log({**_present(row), **_gallery(self._pictures(row["cycle"]))})
        self.sent += 1

    def finish(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """Write `summary` as the run's final numbers and close the run.

        Waits at most a minute for uploads. wandb's own process writes the last bytes of an offline
        file some 10 ms later, before this process can exit.
        """
        with self._guard("cannot finish"):
            if self._run is not None:
                run = self._run
                run.summary.update(_present(summary))
                run.finish(exit_code=exit_code)
                if self._filled and not run.offline:
                    fragments.mark_sent({self._place, *fragments.fragments(self._folder, run.id)})
        self._run = None

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:  # wandb's teardown may call sys.exit
            self._run = None
            self.failed = True
            self._say(
                f"W&B: {what}, tracking is off ({_reason(error)}). The run goes on; its rows are "
                f"in {self._folder / 'metrics.jsonl'}, and the same command, started again, sends "
                "those that W&B lacks."
            )

    def _prepare(self) -> None:
        silence()
        # by default in the home folder
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_ARTIFACT_DIR"):
            os.environ.setdefault(name, str(self._home / "data"))

    def _start_online(self) -> wandb.Run:
        """Start an online run, or an offline one if the server cannot be reached or refuses."""
        import wandb

        try:
            _probe(wandb.setup().settings.base_url)
            return self._start("online")
        except (Exception, SystemExit) as error:
            if not self._fallback:
                raise
            self._say(f"W&B: cannot go online ({_reason(error)}), going offline")
            wandb.teardown()  # or the failed attempt keeps the run id in use
            return self._start("offline")

    def _start(self, mode: Literal["online", "offline"]) -> wandb.Run:
        import wandb

        who = self._identity
        settings = {
            name: value for name, value in SETTINGS.items() if name in wandb.Settings.model_fields
        }
        run = wandb.init(
            mode=mode,
            dir=str(self._folder),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(**settings),
            project=who.project,
            group=who.group,
            job_type=who.strategy,
            name=f"{who.group}/{who.strategy}/s{who.seed}",
            # in a sweep wandb takes the agent's WANDB_RUN_ID for id
            id=self._id,
            config=dict(who.config),
            tags=[tag[:64] for tag in who.tags if tag],  # W&B refuses longer and empty ones
        )
        place = self._place = Path(run.dir).resolve().parent
        # wandb falls back to the temporary folder without a message
        if self._home not in place.parents:
            run.finish(exit_code=1)
            raise OSError(f"expected wandb to write below {self._home}, but it chose {place}")
        fragments.keep_id(self._folder, run.id)
        waiting = [file for file in fragments.unsent(self._folder, run.id) if file != place]
        upload = f"wandb sync {shlex.join(str(file) for file in [*waiting, place])}"
        if mode == "online":
            self._say(f"W&B: online, {run.url}")
        else:
            self._say(f"W&B: offline; to upload: {upload}")
        return run


def _probe(url: str) -> None:
    """Raise OSError if no connection to `url` can be made.

    Behind a proxy nothing is tried, as only wandb itself can connect.
    """
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return
    parts = urlsplit(url)
    default = 80 if parts.scheme == "http" else 443
    port = parts.port or default
    try:
        socket.create_connection((parts.hostname or "", port), timeout=PROBE_TIMEOUT).close()
    except OSError as error:
        raise OSError(f"no connection to {url}: {error}") from error


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}


def _gallery(images: Sequence[Picture]) -> dict[str, Any]:
    """Return the images as captioned jpg thumbnails, padded to one size; empty if there are none.

    wandb warns of mixed sizes.
    """
    if not images:
        return {}
    import wandb

    small = [(ImageOps.pad(image.convert("RGB"), THUMBNAIL), caption) for image, caption in images]
    return {
        QUERIED: [wandb.Image(image, file_type="jpg", caption=caption) for image, caption in small]
    }


def _reason(error: BaseException) -> str:
    """Return the error in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
