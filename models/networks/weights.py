"""Weights trained elsewhere: find, download and check them before any training.

Downloads are torch hub's, with its cache and its checksum by the first digits of a SHA-256, which
file names hold; pooch compares whole checksums alone.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor

from models.process.files import sha256
from models.process.text import nearest

# what mmdet's configs call it -> where else it is, for when the first address fails; the end of a
# file's name is the beginning of its SHA-256, so any address will do
MIRRORS = {
    "open-mmlab://vgg16_caffe": (
        "https://s3.ap-northeast-2.amazonaws.com/open-mmlab/pretrain/third_party/"
        "vgg16_caffe-292e1171.pth"
    ),
}
# scheme of a name -> mmengine's function that lists the zoo
ZOOS = {
    "torchvision": "get_torchvision_models",
    "open-mmlab": "get_external_models",
    "openmmlab": "get_external_models",
    "mmcls": "get_mmcls_models",
}
TIMEOUT = 15  # seconds until an address counts as not reachable


class WeightsError(Exception):
    """Weights that are missing or not the right ones.

    The message names the place that was searched and what to do.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{reason}. Put the file on this machine and give its path "
            "(`task.pretrained=/path/to/weights.pth`), "
            "or train from random weights (`task.pretrained=None`; needs more labels and epochs)."
        )


def locate(source: str, cache: Path | None = None) -> Path:
    """The local file of some weights, downloaded on first use.

    Args:
        source: a path, an http(s) address, or a name that mmdet's configs use.
        cache: where downloads are kept; torch hub's folder by default.

    Raises:
        WeightsError: if there is no such file, or the address cannot be reached or sends
            something else.
    """
    addresses, path = _place(source, cache)
    if not addresses and not path.is_file():
        raise WeightsError(
            f"Expected weights in the file {path.absolute()}, but there is no such file"
        )
    if not path.is_file():
        _download_from_one(addresses, path)
    return path


def hashes(setting: str, sources: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of each file of weights that is on this machine; see `tasks.base.Pinned`.

    Args:
        setting: that names them; of several, each is told with its source.
        sources: see `locate`. Nothing is downloaded.

    Raises:
        WeightsError: if mmengine's zoos have no such name.
        OSError: if a file cannot be read.
    """
    found = {}
    for source in dict.fromkeys(sources):
        _, path = _place(source, None)
        if path.is_file():
            name = setting if len(sources) == 1 else f"{setting} ({source})"
            found[name] = sha256(path)
    return found


def _place(source: str, cache: Path | None) -> tuple[list[str], Path]:
    """Where weights can be downloaded from, if they can, and where they are on this machine."""
    address = _address(source)
    if urlparse(address).scheme not in ("http", "https"):
        return [], Path(source).expanduser()
    folder = cache or Path(torch.hub.get_dir()) / "checkpoints"
    mirrors = [MIRRORS[source]] if source in MIRRORS else []
    return [address, *mirrors], folder / Path(urlparse(address).path).name


def _address(source: str) -> str:
    """The address that a name of mmengine's model zoos stands for; anything else as it is.

    Raises:
        WeightsError: if the zoo has no such name.
    """
    zoo, _, name = source.partition("://")
    if zoo not in ZOOS or not name:
        return source
    from mmengine.runner import checkpoint  # it knows the names of all zoos

    known = getattr(checkpoint, ZOOS[zoo])()
    if name not in known:
        raise WeightsError(
            f"Expected weights that {zoo} has, but got {source!r}; {nearest(name, tuple(known))}"
        )
    return known[name]


def _download_from_one(addresses: Sequence[str], target: Path) -> None:
    """Try one address after the other; the error names all of them."""
    reasons = []
    for address in addresses:
        try:
            return _download(address, target)
        except WeightsError as error:
            reasons.append(error.reason)
    raise WeightsError("; ".join(reasons))


def _download(address: str, target: Path) -> None:
    checksum = re.search(r"-([0-9a-f]{8,64})$", target.stem)  # a name's end may also be a word
    try:
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length", -1))
        target.parent.mkdir(parents=True, exist_ok=True)
        # beside, then renamed
        torch.hub.download_url_to_file(address, str(target), checksum and checksum[1])
        if size not in (-1, target.stat().st_size):
            received = target.stat().st_size
            target.unlink()
            raise OSError(f"expected {size} bytes, but got {received}")
    # RuntimeError: torch's for a wrong checksum
    except (OSError, HTTPException, RuntimeError) as error:
        raise WeightsError(f"Could not download {address} to {target}: {error}") from error


def missing(path: Path, expected: Mapping[str, Tensor]) -> list[str]:
    """Names in `expected` that the file lacks or holds in another shape.

    Reading runs no code from the file.

    Raises:
        WeightsError: if the file holds no weights.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files of other programs
        raise WeightsError(
            f"Expected a checkpoint of torch in {path}, but it cannot be read "
            f"({type(error).__name__})"
        ) from error
    if isinstance(state, Mapping):
        state = state.get("state_dict", state)
    return lacking(state, expected)


def lacking(state: object, expected: Mapping[str, Tensor]) -> list[str]:
    """Names in `expected` that weights lack or hold in another shape."""
    held = state if isinstance(state, Mapping) else {}
    return [
        name
        for name, tensor in expected.items()
        if getattr(held.get(name), "shape", None) != tensor.shape
    ]
