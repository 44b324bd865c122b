"""`al_label.py next`: choose a batch, and write it for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from acquisition.step import Step
from models.process.seeding import stream
from models.process.text import abridged, headline
from tools.deploy.trained import Trained
from tools.display.console import Plain
from tools.label import spread
from tools.label.batches import Batch, Choice
from tools.label.drafts import drafts, network_of
from tools.label.labels import LabelError
from tools.label.looks import twins
from tools.label.project import Project
from tools.label.rounds import Chosen, choose

DRAWN = "drawn at random, to see what the choice is worth"
SLICE = "of the validation slice, drawn at random: never trained on, it gives the curve"


def choose_batch(
    project: Project, count: int, console: Plain, ray: str | None = None
) -> tuple[Project, Batch]:
    """Choose the next batch, which goes out when `batches.write` has written its file.

    Args:
        project: with the folder as it is now.
        count: images that are asked for, at most; 0 trains alone.
        console: gets notes, and a line on what was trained.
        ray: address of a Ray cluster that scores the pool; None is this process.

    Returns:
        The project with the batch, and the batch; it is empty where nothing is left to ask for.

    Raises:
        LabelError: if nothing is left to ask for, or too little is labeled.
        ConfigError: if something does not fit together.
    """
    number = len(project.batches)
    slice = [image for image in project.open if image.sha256 in project.slice][:count]
    choices = [Choice(image.sha256, image.key, "validation", SLICE) for image in slice]
    model = ""
    trained = False
    last = project.batches[-1] if project.batches else None
    stale = last is None or not last.trained or last.labels != project.labels.number
    left = count - len(choices)
    if (left and project.candidates) or (not choices and stale and project.learnt()):
        chosen = choose(project, number, left, console, ray)
        found, model = _chosen(project, number, chosen, console)
        choices += found
        trained = chosen.trained
    if not count and not trained:
        raise LabelError(
            "--count 0: expected labels outside of the validation slice that no network was "
            "trained on yet, but got none; add some"
        )
    if not choices and not trained:
        raise LabelError(
            f"{project.path}: expected images that nobody labeled or has, but all "
            f"{len(project.index.present):,} are labeled, skipped or waiting; add what came back"
        )
    batch = Batch(number, project.labels.number, trained, model, tuple(choices))
    return replace(project, batches=(*project.batches, batch)), batch


def _chosen(
    project: Project, number: int, chosen: Chosen, console: Plain
) -> tuple[list[Choice], str]:
    """The strategy's choices and the random ones, with predictions; and whose these are."""
    settings = project.experiment.label
    found = [
        Choice(image.sha256, image.key, "strategy", _reason(rank, chosen, shares), signals)
        for rank, (image, signals, shares) in enumerate(
            zip(chosen.images, chosen.signals, chosen.shares, strict=True), 1
        )
    ]
    found += [Choice(image.sha256, image.key, "random", DRAWN) for image in chosen.random]
    found = _marked(project, found, settings.twins, console)
    if not chosen.trained:
        return found, ""
    folder = project.round(number)
    one = network_of(chosen.experiment, folder)
    if spread.read(folder) is None:
        seed = project.experiment.seed
        spread.write(folder, spread.halves(chosen.experiment, one.network, seed))
    images = [project.images[choice.sha256] for choice in found]
    shapes = drafts(one, images, project.labeling, settings.drafts)
    blind = _blind(project, number, found, settings.blind)
    return [
        replace(choice, drafts=shapes[choice.sha256], blind=choice.sha256 in blind)
        for choice in found
    ], _model(one, number)


def _model(one: Trained, number: int) -> str:
    return f"{type(one.network).__name__} of round {number}"


def _reason(rank: int, chosen: Chosen, shares: Mapping[str, float]) -> str:
    """Why the strategy chose an image, in words."""
    parts = [
        f"{name.replace('_', ' ')} above {100 * share:.1f}% of the pool"
        for name, share in shares.items()
    ]
    last = chosen.steps[-1]
    if not parts or len(last.needs) and not set(last.needs) & set(shares):
        parts.append(_in_words(last))
    return f"rank {rank} of {chosen.candidates:,}: {'; '.join(parts)}"


def _in_words(step: Step) -> str:
    """What a step does, in the first sentence of its docstring."""
    text = headline(type(step).__doc__).partition(". ")[0].rstrip(".")
    words = text.rpartition(": ")[2]
    return words[:1].lower() + words[1:]


def _marked(project: Project, found: list[Choice], how: str, console: Plain) -> list[Choice]:
    """Point out near duplicates, or leave all but the first of them for later."""
    alike = twins([project.images[choice.sha256] for choice in found])
    marked = [replace(choice, twin=alike.get(choice.sha256, "")) for choice in found]
    same = [f"{choice.key} = {choice.twin}" for choice in marked if choice.twin]
    if same and how == "leave out":
        console.print(
            f"note: {len(same)} picks look almost like an earlier one and are left for later: "
            f"{abridged(same, 3)}"
        )
        return [choice for choice in marked if not choice.twin]
    if same:
        console.print(
            f"note: {len(same)} picks look almost like an earlier one: {abridged(same, 3)}; "
            'label.twins="leave out" leaves them for later'
        )
    return marked


def _blind(project: Project, number: int, found: Sequence[Choice], share: float) -> frozenset[str]:
    """The images that go out without predictions, drawn at random."""
    order = stream(project.experiment.seed, number, "blind").permutation(len(found))
    return frozenset(found[i].sha256 for i in order[: round(share * len(found))].tolist())
