"""CIFAR-10 and CIFAR-100 as torchvision has them: checked, downloaded, and read."""

from __future__ import annotations

from pathlib import Path

from mmengine.dist import barrier, is_main_process
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity

from models.process.text import reason
from tasks.classification.sources import Format, Images

FORMS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
SIDE = 32  # of the images in pixels


def read(form: Format, root: Path, split: str) -> tuple[Images, tuple[str, ...]]:
    """A split of CIFAR in the order of its files, and the names of the classes in label order.

    Raises:
        RuntimeError: if torchvision finds files missing or with another MD5.
    """
    data = FORMS[form](str(root), train=split == "train")
    return Images(tuple(int(label) for label in data.targets), held=data.data), tuple(data.classes)


def download(form: Format, root: Path) -> str | None:
    """Download, check and unpack missing files, by torchvision and on one process.

    Return why it failed, or None.
    """
    why = None
    if is_main_process():
        try:
            FORMS[form](str(root), download=True)
        except Exception as error:  # addresses, archives and disks fail in many ways
            why = f"{type(error).__name__}: {error}"
    barrier()
    return why


def faults(form: Format, root: Path, side: int | None, downloads: bool) -> list[str]:
    """Report missing files of CIFAR, after a download if `downloads` is set.

    The fault names the three ways to get them.
    """
    data = FORMS[form]
    home = Path(root).absolute() / data.base_folder
    found = []
    if side not in (None, SIDE):
        found.append(
            f"task.input_size: expected {SIDE} for {form!r}, but got {side}; or resize its "
            "images with task.augmentation=resized_crop"
        )
    bad = _bad_files(form, home)
    if not bad:
        return found
    advice = "set task.download=True, "
    if downloads:
        error = download(form, root)
        bad = _bad_files(form, home)
        if not bad and not error:
            return found
        advice = f"the download of {data.url} failed ({error}); " if error else ""
    found.append(
        f"{home}: expected the files of {form!r} with torchvision's MD5, but got "
        f"{', '.join(bad)}; {advice}put {data.url} there by other means and unpack it, or take a "
        "folder of images (task.format=folder)"
    )
    return found


def _bad_files(form: Format, home: Path) -> list[str]:
    data = FORMS[form]
    listed = [*data.train_list, *data.test_list, (data.meta["filename"], data.meta["md5"])]
    states = {name: _state(home / name, md5) for name, md5 in listed}
    return [f"{name} {state}" for name, state in states.items() if state]


def _state(path: Path, md5: str) -> str:
    """How a file differs from the expected one; empty if it does not."""
    if not path.is_file():
        return "missing"
    try:
        return "" if check_integrity(str(path), md5) else "damaged"
    except OSError as error:
        return f"unreadable ({reason(error)})"
