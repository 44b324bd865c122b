"""A labeling project whose commands are killed at random moments, again and again, and compared
with one that nobody killed:  python -m tests.label_torture

A project is made, three batches go out and come back. Each command is ended by SIGKILL (shortly
after a random one of its own file operations, so in the midst of writing), by SIGTERM or by Ctrl-C,
and given again until it comes to its end or has done its last act. After every kill each file must
be whole; in the end all bytes must be those of the undisturbed project, times aside.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import annotator, torture
from tests.tools.label import projectkit
from tests.tools.label.projectkit import Bench
from tools import al_label

WAYS = ("kill at a file", "SIGTERM", "Ctrl-C")
WEIGHTS = (8, 1, 1)
SHARE = 0.6  # of the starts that are ended
FORMS = {"classes": ("csv", "label-studio", "cvat"), "boxes": ("label-studio", "coco", "voc")}
OPTIONS = ("training.epochs=1", "training.start=warm", "label.validation=2")
ENDED = {"kill at a file": (-9,), "SIGTERM": (130, -15), "Ctrl-C": (130, -2, 70)}


@dataclass
class Found:
    """What the kills showed.

    Args:
        ended: how often each command was ended, in each way.
        trials: projects that came to their end.
        wrong: what is not as it should be.
    """

    ended: Counter = field(default_factory=Counter)
    trials: int = 0
    wrong: list[str] = field(default_factory=list)


def steps(made: Bench) -> Iterator[tuple[str, list[str]]]:
    """The commands of a project in their order; an answer is made when its turn comes."""
    options = [*OPTIONS, f"label.first={'cover' if made.kind == 'boxes' else 'typiclust'}"]
    where = ["--images", str(made.photos), "--run", str(made.run), "--cfg-options", *options]
    yield "init", ["init", str(made.config), *where]
    for place, form in enumerate(FORMS[made.kind]):
        count = ["--count", str(6 - place), "--export", form]
        yield "next", ["next", str(made.run), *count]
        keys = [one.key for one in annotator.newest(made.run).choices]
        for part in (keys[:3], keys):
            person = made.person(only=frozenset(part), skipped=frozenset(keys[-1:]))
            out = [str(one) for one in made.export(form, person)]
            yield "add", ["add", str(made.run), *out]


def outcome(folder: Path) -> dict[str, bytes | str]:
    """All that a project has, by file: bytes, times aside."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name.startswith("rounds/") or name in (".lock", "begun"):
            continue
        found[name] = path.read_bytes()
        if name == "curve.json":
            content = json.loads(path.read_text())
            content["rows"] = [
                {key: value for key, value in row.items() if "seconds/" not in key}
                for row in content["rows"]
            ]
            found[name] = json.dumps(content)
    for home in sorted((folder / "rounds").glob("*")):
        found |= {f"{home.name}: {name}": value for name, value in torture.outcome(home).items()}
    return found


def project(
    made: Bench, found: Found, rng: random.Random, kills: int, counts: dict[int, int]
) -> bool:
    """Make a project, whose commands are killed up to so many times; whether all ended well.

    Args:
        made: of which there is no project yet.
        found: is added to.
        rng: of the moments.
        kills: at most; with 0 the file operations of each command are counted.
        counts: of file operations, by the place of the command.
    """
    for place, (part, command) in enumerate(steps(made)):
        before = _gone_out(made)
        while True:
            killed = kills > 0 and rng.random() < SHARE
            way = rng.choices(WAYS, WEIGHTS)[0] if killed else None
            at = rng.randint(1, max(1, counts.get(place, 1))) if way == WAYS[0] else 0
            count = made.root / "count"
            child = torture.spawn(command, made.run, at, count, al_label.main)
            status = torture.wait(child, 120 if way in (None, WAYS[0]) else rng.uniform(0, 1.5))
            if status is None and way in ("SIGTERM", "Ctrl-C"):
                os.killpg(child, signal.SIGTERM if way == "SIGTERM" else signal.SIGINT)
                status = torture.wait(child, torture.PATIENCE)
            if status is None:
                torture.kill(child, whole_group=True)
                found.wrong.append(f"{part} still ran ({way}); see {made.run}.log")
                return False
            if status == 0:
                counts.setdefault(place, int(count.read_text()))
                break
            found.wrong += torture.broken(made.run) if made.run.exists() else []
            if way is None or status not in ENDED[way]:
                found.wrong.append(f"{part} ended with {status} ({way}); see {made.run}.log")
            if found.wrong:
                return False
            found.ended[part, way] += 1
            kills -= 1
            if part != "add" and _gone_out(made) > before:
                break  # it was killed after its last act, which the user sees by `status`
    return True


def _gone_out(made: Bench) -> int:
    """How many commands have done their last act: init, and a `next` for each batch."""
    if not (made.run / "images.json").exists():
        return 0
    return 1 + len(made.project.batches)


def run(kind: str, work: Path, kills: int, seed: int, most: int) -> Found:
    """As many kills as asked for, in as many projects as that takes.

    Args:
        kind: of labels.
        work: a folder that is new.
        kills: in all.
        seed: of the moments.
        most: kills of one project.
    """
    found, rng, counts = Found(), random.Random(f"{kind} {seed}"), dict[int, int]()
    made = projectkit.bench(work, kind)
    if not project(made, found, rng, 0, counts):
        return found
    expected = outcome(made.run)
    while found.ended.total() < kills and not found.wrong:
        shutil.move(made.run, work / f"before{found.trials}")
        for path in work.glob("back*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not project(made, found, rng, min(most, kills - found.ended.total()), counts):
            break
        came = outcome(made.run)
        differ = [name for name in {**expected, **came} if expected.get(name) != came.get(name)]
        found.trials += 1
        print(
            f"{kind}: {found.ended.total()} kills; {'OTHER' if differ else 'the same'}", flush=True
        )
        if differ:
            found.wrong.append(f"{made.run} differs from {work / 'before0'} in {differ}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; 1 where a project ended differently, whose folders are kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="in all (default: %(default)s)")
    parser.add_argument("--most", type=int, default=10, help="of a project (default: %(default)s)")
    parser.add_argument("--kind", choices=FORMS, default="classes")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    arguments = parser.parse_args(argv)
    from tools.label import session  # before it forks: it takes seconds to import

    assert session.main
    work = Path(tempfile.mkdtemp(prefix="losstap-label-torture-"))
    found = run(arguments.kind, work, arguments.kills, arguments.seed, arguments.most)
    for (part, way), count in sorted(found.ended.items()):
        print(f"{part}, {way}: {count}")
    for line in found.wrong:
        print(f"WRONG: {line}")
    if not found.wrong:
        print(f"{found.trials} projects with {found.ended.total()} kills ended the same")
        shutil.rmtree(work)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
