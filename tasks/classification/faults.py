"""Every fault of a folder of images or of CIFAR's files, each with the file and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from torchvision.datasets.utils import check_integrity

from models.process.text import nearest, one_line, reason, shown
from tasks.classification.sources import CIFAR, CIFAR_SIDE, FOLDERS, Format, Others, download_cifar
from tasks.faults import Fault, Reading, Size, path_fault
from tasks.images import ImageCheck
from tasks.litter import listing

LAYOUT = "the layout is data_root/{train,test}/<class>/<image>"
OTHERS = "Rename it or take it away, or leave such folders out: task.others='drop'"
OTHERWISE = "take the file away"
LOOSE = (
    "move it into its class's folder, or take it away; where nothing can be moved, make a folder "
    "of links to the class "
    "folders (ln -s SHARE/train/*/ mine/train/) and name it as task.data_root"
)
SIZES = (
    "resize the images, set task.input_size, or take images of any size with "
    "task.augmentation=resized_crop"
)


def folder_faults(
    root: Path,
    classes: Sequence[str] | None,
    side: int | None,
    *,
    others: Others = "fault",
    full: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Fault]:
    """All faults of both splits.

    Args:
        root: the folder, `data_root`.
        classes: the names of the setting; None takes train's folders for them.
        side: width and height that every image must have in pixels; None if any size will do.
        others: folders of other classes are a fault, or are left out.
        full: decode every image; without, headers are read (about 4 s for 60,000 images).
        progress: wraps the list of images that is gone through, as tqdm does.
    """
    return list(_folder_faults(Path(root).absolute(), classes, side, others, full, progress))


def _folder_faults(
    root: Path,
    classes: Sequence[str] | None,
    side: int | None,
    others: Others,
    full: bool,
    progress: Callable[[Iterable], Iterable],
) -> Iterator[Fault]:
    fault = path_fault(root, "data_root", LAYOUT)
    if fault is not None:
        yield fault
        return
    found = {}
    for split, name in FOLDERS.items():
        found[split] = yield from _listed(root / name, f"{split} folder", LAYOUT)
    if others == "drop":
        known = [home.name for home in found["train"]] if classes is None else classes
        found = {
            split: [h for h in homes if h.name in known or h.is_file()]
            for split, homes in found.items()
        }
    if all(found.values()):
        yield from _class_faults(root, found, classes)
    look = ImageCheck(full)
    for split, homes in found.items():
        files: list[Path] = []
        for home in homes:
            files += yield from _class_files(home, split)
        yield from _image_faults(files, side, look, progress)
        if split == "test" and homes and not files and all(home.is_dir() for home in homes):
            came = f"none in {len(homes)} class folders"
            yield Fault(
                "no test images",
                str(root / FOLDERS[split]),
                "an image at least to test on",
                came,
                LAYOUT,
            )
    yield from look.together()


def _class_files(home: Path, split: str) -> Reading[list[Path]]:
    """What is in a class's folder.

    That of test may be empty: the other classes are still judged.
    """
    if home.is_file():
        yield Fault("loose file", str(home), "class folders alone", "a file", LOOSE)
        return []
    remedy = f"put images there or take it away; {LAYOUT}"
    return (yield from _listed(home, "class folder", remedy, may_be_empty=split == "test"))


def _listed(
    folder: Path, what: str, remedy: str, may_be_empty: bool = False
) -> Reading[list[Path]]:
    """What is in a folder; a fault where it is none or there is nothing in it."""
    fault = path_fault(folder, what, remedy)
    if fault is None:
        try:
            found = listing(folder)
            if found or may_be_empty:
                return (yield from _named(found))
            fault = Fault(
                f"empty {what}", str(folder), f"something in the {what}", "an empty folder", remedy
            )
        except OSError as error:
            fault = Fault(
                f"unreadable {what}",
                str(folder),
                f"a {what} that can be read",
                reason(error),
                remedy,
            )
    yield fault
    return []


def _named(paths: list[Path]) -> Reading[list[Path]]:
    """Those whose name can be a line of a text."""
    for path in paths:
        if not one_line(path.name):
            came = shown(path.name)
            yield Fault(
                "file name",
                str(path),
                "a name in one line of UTF-8",
                came,
                f"rename it, or {OTHERWISE}",
            )
    return [path for path in paths if one_line(path.name)]


def _class_faults(
    root: Path, found: dict[str, list[Path]], classes: Sequence[str] | None
) -> Iterator[Fault]:
    folders = {
        split: [home.name for home in homes if home.is_dir()] for split, homes in found.items()
    }
    known = tuple(folders["train"] if classes is None else classes)
    if classes is None and len(known) < 2:
        yield Fault(
            "classes",
            str(root / FOLDERS["train"]),
            "at least 2 class folders",
            shown(list(known)),
            LAYOUT,
        )
    whose = "a class of train" if classes is None else "a class of the setting task.classes"
    for split, names in folders.items():
        for name in names:
            if name not in known:
                where, what = str(root / FOLDERS[split] / name), f"{nearest(name, known)} {OTHERS}"
                yield Fault(
                    "unknown class", where, f"a folder named after {whose}", shown(name), what
                )
    for name in known:  # without test images a class's accuracy is no number, and a note says so
        if name not in folders["train"]:
            where = str(root / FOLDERS["train"] / name)
            yield Fault(
                "missing class",
                where,
                f"a folder of images of {whose}",
                "nothing at this path",
                f"put images there, or leave {name!r} out everywhere",
            )


def _image_faults(
    files: list[Path], side: int | None, look: ImageCheck, progress: Callable[[Iterable], Iterable]
) -> Iterator[Fault]:
    wrong: dict[Path, Size] = {}
    for path in progress(files):
        size = yield from look.size(path, OTHERWISE)
        if side is not None and size is not None and size != (side, side):
            wrong[path] = size
    if len(wrong) < len(files):
        for path, size in wrong.items():
            yield Fault(
                "image size", str(path), f"{side} x {side} pixels", "{} x {}".format(*size), SIZES
            )
    elif wrong:  # not a file is wrong but the setting: one line for all of them
        (size, count), *_ = Counter(wrong.values()).most_common()
        came = f"none of {len(files)} such images, {count} of them are {size[0]} x {size[1]}"
        yield Fault(
            "image size", str(files[0].parents[1]), f"images of {side} x {side} pixels", came, SIZES
        )


def cifar_faults(form: Format, root: Path, side: int | None, download: bool) -> list[str]:
    """What is missing of CIFAR, after a download where `download` says so.

    The three ways to get it.
    """
    data = CIFAR[form]
    home = Path(root).absolute() / data.base_folder
    faults = []
    if side not in (None, CIFAR_SIDE):
        faults.append(
            f"task.input_size: expected {CIFAR_SIDE} for {form!r}, but got {side}; or resize its "
            "images with "
            "task.augmentation=resized_crop"
        )
    bad = _bad_files(form, home)
    if not bad:
        return faults
    why = download_cifar(form, root) if download else None
    bad = _bad_files(form, home) if download else bad
    if bad or why:
        tried = f"; the download of {data.url} failed ({why})" if why else ""
        ways = "" if download else "set task.download=True, "
        faults.append(
            f"{home}: expected the files of {form!r} with torchvision's MD5, but got "
            f"{', '.join(bad)}{tried}; {ways}"
            f"put {data.url} there by other means and unpack it, or take a folder of images "
            "(task.format=folder)"
        )
    return faults


def _bad_files(form: Format, home: Path) -> list[str]:
    data = CIFAR[form]
    listed = [*data.train_list, *data.test_list, (data.meta["filename"], data.meta["md5"])]
    states = {name: _state(home / name, md5) for name, md5 in listed}
    return [f"{name} {state}" for name, state in states.items() if state]


def _state(path: Path, md5: str) -> str:
    """What is wrong with a file, or nothing."""
    if not path.is_file():
        return "missing"
    try:
        return "" if check_integrity(str(path), md5) else "damaged"
    except OSError as error:
        return f"unreadable ({reason(error)})"
