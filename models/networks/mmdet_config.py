"""mmdet's configs of detectors: found, read, and fitted to a task's classes and weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config, ConfigDict

from models.networks import mmcv_ops
from models.process.text import nearest

mmcv_ops.install()

import mmdet  # noqa: E402  # after `install`

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs"
BOX_HEADS = ("bbox_head", "roi_head")  # whose `num_classes` are the task's


class DetectorError(ValueError):
    """A config that is none of a detector of boxes, or one that cannot be trained here."""


@dataclass(frozen=True)
class Blueprint:
    """What a config says of a detector.

    Args:
        name: the config's, or the model's type where the model is given as a dict.
        model: mmdet's, with the config's own number of classes and weights.
        size: (width, height) in pixels that images are resized to, as the test pipeline says; None
            if it does not.
        keep_ratio: whether they keep their ratio and are padded.
        pad: colour (B, G, R) of what is padded; the mean of the normalisation, so 0 after it,
            unless the config names one.
        checkpoint: address of the whole detector's weights; None if the config names none.
    """

    name: str
    model: ConfigDict
    size: tuple[int, int] | None
    keep_ratio: bool
    pad: tuple[int, int, int]
    checkpoint: str | None


def blueprint(config: str | Mapping[str, Any]) -> Blueprint:
    """Read a config.

    Args:
        config: a name among those that mmdet brings, such as
            ``"retinanet/retinanet_r50_fpn_1x_coco.py"``, the path of a file, or the dict of a
            model.

    Raises:
        DetectorError: if there is no such config, it cannot be read, or it is none of a detector.

    Examples:
        >>> found = blueprint("retinanet/retinanet_r18_fpn_1x_coco.py")
        >>> found.model.type, found.size, found.keep_ratio
        ('RetinaNet', (1333, 800), True)
    """
    if isinstance(config, Mapping):
        whole, name = Config(dict(model=copy.deepcopy(dict(config)))), str(config.get("type"))
        path = None
    else:
        path = _path(config)
        name = config
        try:
            whole = Config.fromfile(str(path))
        except Exception as error:  # a config is Python, and its bases may be anywhere
            raise DetectorError(
                f"expected a config of mmdet in {path}, but it cannot be read "
                f"({type(error).__name__}: {str(error)[:200]})"
            ) from error
    model = whole.get("model")
    if not isinstance(model, Mapping) or not isinstance(model.get("type"), str):
        raise DetectorError(f"expected a config with `model = dict(type=...)`, but {name} has none")
    _refuse(name, model)
    size, keep_ratio, pad = _resizing(whole, model)
    return Blueprint(name, model, size, keep_ratio, pad, _checkpoint(whole, path))


def as_data(plan: Blueprint) -> dict[str, Any]:
    """All that a blueprint says, as data that JSON holds; classes and functions by their names."""
    return {key: _plain(value) for key, value in vars(plan).items() if key != "name"}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)


def _path(config: str) -> Path:
    given = Path(config).expanduser()
    for path in (given, CONFIGS / given):
        if path.is_file():
            return path.absolute()
    folder = CONFIGS / given.parent
    beside = tuple(sorted(path.name for path in folder.glob("*.py")))
    hint = f"those of mmdet are in {CONFIGS}"
    if beside and folder != CONFIGS:
        hint = nearest(given.name, beside)
    raise DetectorError(f"expected a config of mmdet or a file, but got {config!r}; {hint}")


def _refuse(name: str, model: Mapping[str, Any]) -> None:
    """Raise for models whose losses need more than boxes."""
    heads = [model.get("roi_head") or {}, model]
    if any(head.get("mask_head") for head in heads):
        raise DetectorError(f"{name} learns masks, and the data have boxes alone")
    for key in ("language_model", "teacher_config", "detector", "semi_train_cfg"):
        if model.get(key) is not None:
            raise DetectorError(f"{name} needs more than images and boxes (its `{key}`)")
    if model.get("roi_head") and not model.get("rpn_head"):
        raise DetectorError(f"{name} needs proposals that another network made")
    if not any(model.get(key) for key in BOX_HEADS):
        raise DetectorError(f"{name} has no head that predicts boxes of classes")


def _resizing(
    whole: Config, model: Mapping[str, Any]
) -> tuple[tuple[int, int] | None, bool, tuple[int, int, int]]:
    """Size, `keep_ratio` and colour of the padding, by the test pipeline and the normalisation."""
    steps = {step["type"]: step for step in _test_pipeline(whole) if isinstance(step, Mapping)}
    resize = steps.get("Resize") or steps.get("FixScaleResize") or {}
    scale = resize.get("scale")
    size = None
    if isinstance(scale, list | tuple) and len(scale) == 2:
        size = (int(max(scale)), int(min(scale)))
    colour = (steps.get("Pad") or {}).get("pad_val")
    if isinstance(colour, Mapping):
        colour = colour.get("img")
    if colour is None:
        images = model.get("data_preprocessor") or {}
        colour = images.get("mean") or (0, 0, 0)
        if images.get("bgr_to_rgb"):
            colour = tuple(reversed(colour))
    blue, green, red = (round(float(value)) for value in colour)
    return size, bool(resize.get("keep_ratio", True)), (blue, green, red)


def _test_pipeline(whole: Config) -> list:
    loaded = (whole.get("test_dataloader") or {}).get("dataset") or {}
    return loaded.get("pipeline") or whole.get("test_pipeline") or []


def _checkpoint(whole: Config, path: Path | None) -> str | None:
    """Where the config's own results came from: its `load_from`, or the table beside it."""
    if whole.get("load_from"):
        return whole.load_from
    if path is None or CONFIGS not in path.parents:
        return None
    return _addresses(path.parent / "metafile.yml").get(path.name)


@cache
def _addresses(table: Path) -> dict[str, str]:
    """Of each config of a folder, by file name."""
    if not table.is_file():
        return {}
    models = (yaml.safe_load(table.read_text(encoding="utf-8")) or {}).get("Models") or []
    return {Path(m["Config"]).name: m["Weights"] for m in models if m.get("Weights")}


def of_classes(model: Mapping[str, Any], count: int) -> ConfigDict:
    """A copy of a model whose heads of boxes tell `count` classes apart."""
    model = ConfigDict(copy.deepcopy(dict(model)))
    for key in BOX_HEADS:
        for part in parts(model.get(key)):
            if "num_classes" in part:
                part["num_classes"] = count
    return model


def parts(value: Any) -> Iterator[dict]:
    """All dicts in a config's value, at any depth, from the outermost one on."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(inner, list | tuple) or isinstance(value, dict):
        for item in inner:
            yield from parts(item)


def pretrained_parts(model: Mapping[str, Any]) -> list[dict]:
    """The `init_cfg` dicts that name weights, such as those of a backbone by ImageNet."""
    return [part for part in parts(model) if part.get("type") == "Pretrained"]
