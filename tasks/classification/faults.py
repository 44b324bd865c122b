"""Every fault of a folder of images or of a csv, each with the file and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from models.process.text import nearest, one_line, reason, shown
from tasks.classification.sources import FOLDERS, UNLABELED, Others
from tasks.classification.tables import Reader, read_table, unlearned
from tasks.faults import Fault, Reading, Size, path_fault
from tasks.images import ImageCheck
from tasks.litter import listing

LAYOUT = "the layout is data_root/{train,test}/<class>/<image>"
OTHERS = "Rename it or take it away, or leave such folders out: task.others='drop'"
OTHERWISE = "take the file away"
LOOSE = (
    "move it into its class's folder, or take it away; where nothing can be moved, make a folder "
    "of links to the class folders (ln -s SHARE/train/*/ mine/train/) and name it as task.data_root"
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
        progress: wraps the list of images, as tqdm does.
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
    content = {}
    for split, name in FOLDERS.items():
        content[split] = yield from _listed(root / name, f"{split} folder", LAYOUT)
    if others == "drop":
        known = classes
        if known is None:
            known = [home.name for home in content["train"]]
        for split, homes in content.items():
            content[split] = [h for h in homes if h.name in known or h.is_file()]
    if all(content.values()):
        yield from _class_faults(root, content, classes)
    look = ImageCheck(full)
    for split, homes in content.items():
        files: list[Path] = []
        for home in homes:
            files += yield from _class_files(home, split)
        yield from _image_faults(files, side, look, progress)
        if split == "test" and homes and not files and all(home.is_dir() for home in homes):
            yield Fault(
                "no test images",
                str(root / FOLDERS[split]),
                "an image at least to test on",
                f"none in {len(homes)} class folders",
                LAYOUT,
            )
    yield from look.together()


def _class_files(home: Path, split: str) -> Reading[list[Path]]:
    """The files in a class's folder.

    A test folder may be empty: the other classes are still judged.
    """
    if home.is_file():
        yield Fault("loose file", str(home), "class folders alone", "a file", LOOSE)
        return []
    remedy = f"put images there or take it away; {LAYOUT}"
    return (yield from _listed(home, "class folder", remedy, may_be_empty=split == "test"))


def _listed(
    folder: Path, what: str, remedy: str, may_be_empty: bool = False
) -> Reading[list[Path]]:
    """The files in a folder; a fault if it is not a folder or is empty."""
    fault = path_fault(folder, what, remedy)
    if fault is None:
        try:
            paths = listing(folder)
            if paths or may_be_empty:
                return (yield from _named(paths))
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
    """The paths whose name is one line of text; the others are faults."""
    for path in paths:
        if not one_line(path.name):
            yield Fault(
                "file name",
                str(path),
                "a name in one line of UTF-8",
                shown(path.name),
                f"rename it, or {OTHERWISE}",
            )
    return [path for path in paths if one_line(path.name)]


def _class_faults(
    root: Path, content: dict[str, list[Path]], classes: Sequence[str] | None
) -> Iterator[Fault]:
    folders = {
        split: [home.name for home in homes if home.is_dir()] for split, homes in content.items()
    }
    train = root / FOLDERS["train"]
    if classes is None:
        whose = "a class of train"
        known = tuple(folders["train"])
        if len(known) < 2:
            expected = "at least 2 class folders"
            yield Fault("classes", str(train), expected, shown(list(known)), LAYOUT)
    else:
        whose = "a class of the setting task.classes"
        known = tuple(classes)
    for split, names in folders.items():
        for name in names:
            if name not in known:
                where = str(root / FOLDERS[split] / name)
                expected = f"a folder named after {whose}"
                remedy = f"{nearest(name, known)} {OTHERS}"
                yield Fault("unknown class", where, expected, shown(name), remedy)
    for name in known:  # without test images a class's accuracy is NaN, which a note reports
        if name not in folders["train"]:
            yield Fault(
                "missing class",
                str(train / name),
                f"a folder of images of {whose}",
                "nothing at this path",
                f"put images there, or leave {name!r} out everywhere",
            )


def table_faults(
    tables: Mapping[str, Path],
    how: Reader,
    side: int | None,
    *,
    full: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
    notes: list[str] | None = None,
) -> list[Fault]:
    """All faults of the csv files of both splits and of their images.

    Args:
        tables: the csv of each split, "train" and "test".
        how: they are read.
        side: as in `folder_faults`; `full` and `progress`, too.
        notes: gets a line for each thing that is valid but unusual.
    """
    found = _table_faults(tables, how, side, full, progress, [] if notes is None else notes)
    return list(dict.fromkeys(found))


def _table_faults(
    tables: Mapping[str, Path],
    how: Reader,
    side: int | None,
    full: bool,
    progress: Callable[[Iterable], Iterable],
    notes: list[str],
) -> Iterator[Fault]:
    fault = path_fault(how.root, "data_root", "data_root is the folder of the images")
    if fault is not None:
        yield fault
        return
    look = ImageCheck(full)
    for split, path in tables.items():
        rows = yield from read_table(path, how)
        notes += rows.notes
        yield from _image_faults(list(rows.paths), side, look, progress, path)
        fault = unlearned(how.classes, rows.labels, path)
        if split == "test" or not rows.labels or fault is None:
            continue
        if how.unlabeled == "fault":
            yield fault
        elif set(rows.labels) != {UNLABELED}:  # else a note says that none has a class
            notes.append(f"pool: {fault.came}; nothing of them can be learned")
    yield from look.together()


def _image_faults(
    files: list[Path],
    side: int | None,
    look: ImageCheck,
    progress: Callable[[Iterable], Iterable],
    listed: Path | None = None,
) -> Iterator[Fault]:
    """The faults of images, which are `listed` in a file, or else in class folders."""
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
    elif wrong:  # the setting is wrong, not the files: one line for all of them
        (size, count), *_ = Counter(wrong.values()).most_common()
        value = f"none of {len(files)} such images, {count} of them are {size[0]} x {size[1]}"
        yield Fault(
            "image size",
            str(listed or files[0].parents[1]),
            f"images of {side} x {side} pixels",
            value,
            SIZES,
        )
