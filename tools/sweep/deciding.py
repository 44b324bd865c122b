"""Add paired seeds to a sweep until a comparison of two strategies is decided, or hopeless."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from models.process.stopping import asked
from tools.compare.sequential import Look, levels, looked, schedule, simulated
from tools.display.sheet import Column, Sheet
from tools.experiment.options import ConfigError
from tools.record.files import SMALL, RunFolderError, parsed, text
from tools.record.writing import write_whole
from tools.sweep.jobs import Job
from tools.sweep.local import Place, Process
from tools.sweep.schedule import run
from tools.sweep.table import area

EFFECTS = (0.0, 0.5, 0.8, 1.0, 1.5)  # true differences of a plan, in their standard deviations


@dataclass(frozen=True)
class Question:
    """What is to be decided, and when it is looked at.

    Args:
        first: leg.
        second: leg.
        seeds: all that may be run, in order.
        looks: numbers of seeds.
        file: which keeps this, and what was seen.
        metric: of the task, whose area is compared.
        lower: whether less of it is better.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    looks: tuple[int, ...]
    file: Path
    metric: str
    lower: bool

    @property
    def most(self) -> int:
        """Seeds in the end."""
        return self.looks[-1]

    @property
    def plan(self) -> dict[str, Any]:
        """What must be the same at every look."""
        names = ("first", "second", "metric", "seeds", "looks")
        return {name: _listed(getattr(self, name)) for name in names}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def question(arguments: argparse.Namespace, jobs: Sequence[Job]) -> Question:
    """Return what is asked.

    Args:
        arguments: options of `al_sweep.py`; `seeds` are all that may be run.
        jobs: of all seeds.

    Raises:
        ConfigError: if a strategy is not in the sweep, or it was asked with other looks before.
    """
    by_name = {job.dotted: job.leg for job in jobs}
    known = ", ".join(by_name)
    by_name |= {job.leg: job.leg for job in jobs}
    given = arguments.until_decided
    legs = sorted({by_name[name] for name in given if name in by_name})
    if len(legs) < 2:
        raise ConfigError(
            "--until-decided", [f"expected two of {known}, but got {given[0]} and {given[1]}"]
        )
    first, second = legs  # in either order it is one question
    looks = schedule(arguments.first_look, arguments.max_seeds, arguments.look_every)
    file = jobs[0].folder.path.parents[1] / f"decided-{first}-{second}.json"
    one = Question(
        first, second, tuple(arguments.seeds), looks, file, jobs[0].metric, jobs[0].lower
    )
    if file.exists():
        _same_looks(one)
    return one


def _same_looks(one: Question) -> None:
    """Refuse looks that were chosen after others.

    Raises:
        ConfigError: naming what differs.
    """
    try:
        before = parsed(text(one.file, SMALL))["plan"]
        differing = [key for key, value in one.plan.items() if before[key] != value]
    except (RunFolderError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            str(one.file), [f"is damaged ({error}); restore it, or remove it to begin anew"]
        ) from error
    if differing:
        lines = [f"{key}: {before[key]} there, {one.plan[key]} now" for key in differing]
        lines.append(
            "looks that are chosen after others do not keep the level: take the same, or remove "
            "the file and begin with other seeds"
        )
        raise ConfigError(str(one.file), lines)


def decide(
    one: Question,
    jobs: Sequence[Job],
    place: Place,
    running: dict[Job, Process],
    console: Console,
) -> tuple[list[Job], list[Job]]:
    """Run seed by seed, and say after each look what is known.

    Args:
        one: what is asked.
        jobs: of all seeds.
        place: where they run.
        running: as of `tools.sweep.schedule.run`.
        console: gets a line a look.

    Returns:
        The jobs up to the last look, and those of them that failed.

    Raises:
        ConfigError: if a run has no area.
    """
    some: list[Job] = []
    for pairs in one.looks:
        some = [job for job in jobs if job.seed in one.seeds[:pairs]]
        failed = run(some, place, running, console)
        if failed or asked():
            return some, failed
        found = looked(_differences(one, some), one.looks, one.most)
        content = {"plan": one.plan, "looks": [asdict(look) for look in found]}
        write_whole(one.file, (json.dumps(_finite(content), indent=1) + "\n").encode())
        console.print(told(one, found[-1]))
        if found[-1].verdict:
            break
    return some, []


def _finite(value: Any) -> Any:
    """Replace what is not a number, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _differences(one: Question, jobs: Sequence[Job]) -> list[float]:
    """Return the differences of the areas, first - second, in the order of the seeds."""
    found = {(job.leg, job.seed): area(job) for job in jobs}
    lacking = [f"{leg}, seed {seed}" for (leg, seed), value in found.items() if math.isnan(value)]
    if lacking:
        raise ConfigError(
            "--until-decided",
            [f"{name}: expected {one.metric} in every cycle, but one has none" for name in lacking],
        )
    seeds = [seed for seed in one.seeds if (one.first, seed) in found]
    return [found[one.first, seed] - found[one.second, seed] for seed in seeds]


def told(one: Question, look: Look) -> str:
    """Return what is known at a look, in a sentence."""
    better, worse = one.first, one.second
    if (look.mean < 0) != one.lower:
        better, worse = worse, better
    which = "smaller" if one.lower else "larger"
    p = "no p, as all differences are the same"
    if not math.isnan(look.p):
        p = f"p = {look.p:.2g}, decided from {look.limit:.2g} on"
    seen = f"{better} is ahead of {worse} by {abs(look.mean):.4g} in area ({p})"
    if look.mean == 0:
        seen = f"{one.first} and {one.second} have the same area ({p})"
    after = f"after {look.pairs} of at most {one.most} seeds"
    chance = f"the chance that {one.most} seeds decide is {look.chance:.0%}"
    if look.verdict == "decided":
        size = f"{abs(look.mean):.4g} (p = {look.p:.2g}, limit {look.limit:.2g})"
        return f"decided {after}: {better} has a {which} area than {worse}, by {size}"
    if look.verdict == "hopeless":
        return f"hopeless {after}: {seen}; {chance}"
    if look.verdict == "undecided":
        return f"undecided {after}: {seen}"
    return f"{after}: {seen}; {chance}"


def planned(one: Question, console: Console) -> None:
    """Print the looks, and what comes of 1,000 simulated comparisons of some effects."""
    ends = levels(one.looks, one.most)
    console.print(
        "looks: "
        + ", ".join(f"{n} seeds (p {end:.2g})" for n, end in zip(one.looks, ends, strict=True))
    )
    columns = ("true difference / its sd", "decided", "hopeless", "seeds on average")
    sheet = Sheet(*(Column(name) for name in columns))
    for effect in EFFECTS:
        found = simulated(effect, one.looks, one.most)
        sheet.add(
            f"{effect:g}", f"{found.decided:.1%}", f"{found.hopeless:.1%}", f"{found.pairs:.1f}"
        )
    sheet.print(console)
