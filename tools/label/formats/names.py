"""The image of the pool that a name in an export means."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote

from tools.label.labels import PoolImage

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
        *(".gif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)
UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio's, before the name of an uploaded file
Index = dict[str, list[str]]


class Names:
    """The pool's images by the names that tools give them.

    Args:
        images: the pool by key; a copy's key leads to the image that has another one.
    """

    def __init__(self, images: Mapping[str, PoolImage]) -> None:
        self._images = images

    def find(self, name: str) -> tuple[str, ...]:
        """The keys that a name can mean: one, or none, or several.

        The key itself comes first; then a path of which the key is the end, or which is the end
        of the image's path; then the file's name alone, if no other image has it. URLs, Windows'
        separators and Label Studio's prefix of uploads are understood; a name without an image's
        suffix means whichever image it is with one.
        """
        if name in self._images:
            return (name,)
        composed = self._indexes[0]
        forms = _forms(_composed(name))
        for path in forms:
            if path in composed:
                return self._own(tuple(composed[path]))
            found = self._named(path)
            if found:
                return self._own(found)
        for path in map(_before_upload, forms):  # no folders: any image of the name could be meant
            found = self._named(path) if path else ()
            if found:
                return self._own(found)
        return ()

    def content(self, key: str) -> str:
        """The hash of an image's bytes, which copies share."""
        return self._images[key].sha256

    def _own(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Of several keys those of no copies; if all are copies, one of each image."""
        own = tuple(key for key in keys if self._images[key].key == key)
        return own or tuple({self.content(key): key for key in keys}.values())

    def _named(self, path: str) -> tuple[str, ...]:
        """The keys of the images with the name at a path's end."""
        _, *others = self._indexes
        name = path.rpartition("/")[2]
        for index in others:
            if name in index:
                return self._nearest(path, index[name])
        return ()

    @cached_property
    def _indexes(self) -> tuple[Index, Index, Index, Index]:
        """The keys by their path, their name, that without suffix, and that of an upload."""
        composed, by_name, by_stem, by_uploaded = (defaultdict(list) for _ in range(4))
        for key in self._images:
            path = _composed(key)
            name = path.rpartition("/")[2]
            composed[path].append(key)
            by_name[name].append(key)
            by_stem[stem(name)].append(key)
            by_uploaded[_uploaded(name)].append(key)
        return composed, by_name, by_stem, by_uploaded

    def _nearest(self, path: str, keys: list[str]) -> tuple[str, ...]:
        """Of keys with the same name those whose folders agree with the path's; or else all."""
        above = PurePosixPath(path).parts[:-1]
        shared: dict[str, int] = {}
        for key in keys:
            inside = PurePosixPath(_composed(key)).parts[:-1]
            whole = PurePosixPath(_composed(self._images[key].path.as_posix())).parts[:-1]
            if _ends(whole, above) or _ends(above, inside):
                shared[key] = max(_common(above, whole), _common(above, inside))
        if not shared:
            return tuple(keys)
        most = max(shared.values())
        return tuple(key for key, count in shared.items() if count == most)


def stem(name: str) -> str:
    """A name or a path without the suffix, if that is an image's.

    >>> stem("a/b.v2.jpg"), stem("b.v2")
    ('a/b.v2', 'b.v2')
    """
    suffix = PurePosixPath(name).suffix
    if suffix.lower() in SUFFIXES:
        return name[: -len(suffix)]
    return name


def _forms(name: str) -> list[str]:
    """A name as a path, as it is and with a URL's escapes."""
    plain = _tidy(name.replace("\\", "/"))
    local = re.search(r"/data/local-files/?\?(?:[^#]*&)?d=([^&#]*)", name)
    path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*", "", name)
    if local:
        plain = local[1]
    elif path != name:
        plain = _tidy(re.split("[?#]", path, maxsplit=1)[0])
    decoded = _tidy(_composed(unquote(plain)).replace("\\", "/"))
    forms = [plain, decoded]
    if local or path != name:
        forms.reverse()
    return forms


def _before_upload(path: str) -> str:
    """The name of a file before Label Studio put its prefix there; empty without that."""
    last = path.rpartition("/")[2]
    return UPLOAD.sub("", last) if UPLOAD.match(last) else ""


def _tidy(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _uploaded(name: str) -> str:
    """A file's name as Label Studio stores it after an upload."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _ends(longer: tuple[str, ...], shorter: tuple[str, ...]) -> bool:
    return not shorter or longer[-len(shorter) :] == shorter


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count
