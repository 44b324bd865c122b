"""tools/cifar_folders.py: the first images of each class, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import CIFAR10

from tests import imagekit
from tests.imagekit import classification
from tools import cifar_folders


def test_the_first_images_of_each_class_are_written(tmp_path: Path, monkeypatch, capsys):
    root = imagekit.make_cifar10(tmp_path / "cifar", monkeypatch)
    out = tmp_path / "out"
    assert cifar_folders.main(["--root", str(root), "--out", str(out), "--per-class", "2"]) == 0
    for split, train in (("train", True), ("test", False)):
        data = CIFAR10(str(root), train=train)
        written = 0
        for label, name in enumerate(data.classes):
            own = [k for k, other in enumerate(data.targets) if other == label][:2]
            paths = sorted((out / split / name).glob("*.png"))
            assert len(paths) == len(own)
            for k, path in zip(own, paths, strict=True):
                assert np.array_equal(np.asarray(Image.open(path)), data.data[k])
            written += len(own)
        assert written > 3
    assert "images" in capsys.readouterr().out
    assert len(classification(out).dataset("pool")) == len(list(out.glob("train/*/*.png")))


def test_what_is_there_is_kept_and_what_is_missing_is_told(tmp_path: Path, capsys):
    arguments = ["--root", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cifar_folders.main(arguments) == 1
    assert f"python tools/prepare_data.py cifar10 --root {tmp_path}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    assert cifar_folders.main(arguments) == 1
    assert f"{tmp_path}/out is there already" in capsys.readouterr().err
