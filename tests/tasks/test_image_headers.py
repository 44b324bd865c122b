"""What the check says of an image by its header is what a run reads: turned by EXIF, deep,
thin, small.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tasks.base import DataError
from tasks.data import read_bgr, read_image
from tasks.faults import Fault
from tasks.images import ImageCheck, image_size
from tests import devkit, imagekit, posekit
from tests.tasks.test_bad_images import FORMATS, chunk, content, looked_at

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
NO_ENTRY = b"II*\0\x08\0\0\0\0\0\0\0\0\0"


def entry(orientation: int, kind: int = 3, order: str = "<") -> bytes:
    """EXIF that holds an orientation alone, in a field of a type (1 byte, 3 short, 4 long)."""
    form = {1: "Bxxx", 3: "Hxx", 4: "I"}[kind]
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    field = struct.pack(order + "HHI" + form, 0x0112, kind, 1, orientation)
    return head + struct.pack(order + "H", 1) + field + struct.pack(order + "I", 0)


def app1(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def jpeg(*segments: bytes) -> bytes:
    whole = content("JPEG")
    return whole[:2] + b"".join(segments) + whole[2:]


def png(*, before: bytes = b"", after: bytes = b"") -> bytes:
    whole = content("PNG")
    end = whole.rindex(b"IEND") - 4
    return whole[:33] + before + whole[33:end] + after + whole[end:]


EXIF, ADOBE = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0" + XMP
TURNED = {  # orientation 6 in a form that is followed
    "short": jpeg(app1(EXIF + entry(6))),
    "of Motorola's order": jpeg(app1(EXIF + entry(6, order=">"))),
    "beside XMP": jpeg(app1(ADOBE), app1(EXIF + entry(6))),
    "png": png(before=chunk(b"eXIf", entry(6))),
    "webp": content("WEBP", exif=entry(6)),
    "tiff": content("TIFF", tiffinfo={0x0112: 6}),
}
STRAIGHT = {  # one that is not, or none
    "XMP alone": jpeg(app1(ADOBE)),
    "XMP beside EXIF without": jpeg(app1(ADOBE), app1(EXIF + NO_ENTRY)),
    "EXIF without, then XMP": jpeg(app1(EXIF + NO_ENTRY), app1(ADOBE)),
    "XMP 6 and EXIF 1": jpeg(app1(ADOBE), app1(EXIF + entry(1))),
    "orientation 9": jpeg(app1(EXIF + entry(9))),
    "a byte": jpeg(app1(EXIF + entry(6, 1))),
    "broken": jpeg(app1(EXIF + b"broken")),
    "cut": jpeg(app1(EXIF + entry(6)[:-6])),
    "after a first EXIF without": jpeg(app1(EXIF + NO_ENTRY), app1(EXIF + entry(6))),
    "png, behind the pixels": png(after=chunk(b"eXIf", entry(6))),
    "png, XMP": png(before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "webp, XMP": content("WEBP", xmp=XMP),
    "gif": content("GIF"),
}


@pytest.mark.parametrize("name", [*TURNED, *STRAIGHT])
def test_header_pixels_and_reading_agree_on_the_orientation(tmp_path: Path, name: str) -> None:
    path = tmp_path / "image"
    path.write_bytes((TURNED | STRAIGHT)[name])
    right = (18, 24) if name in TURNED else (24, 18)
    assert looked_at(path, full=False) == looked_at(path, full=True) == (right, [])
    assert read_image(path).shape == (right[1], right[0], 3)
    if name != "tiff":  # turned by OpenCV itself
        assert read_image(path, upright=False).shape == (18, 24, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_opencv_and_pil_turn_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "image.png"
    path.write_bytes(content("PNG", exif=exif))
    assert np.array_equal(read_bgr(path), cv2.imread(str(path), cv2.IMREAD_COLOR))
    with Image.open(path) as image:
        assert np.array_equal(read_image(path), np.asarray(ImageOps.exif_transpose(image)))
        assert np.array_equal(read_image(path, upright=False), np.asarray(image))


# ------------------------------------------------- boxes on the image before or after it was turned


def first_scene(root: Path, **exif: object) -> Path:
    """COCO's scenes at `root`, whose first image (120 x 90) is stored lying on its side."""
    devkit.make_coco(root)
    path = root / "images/000012.jpg"
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(path, **exif)
    return path


def coco_faults(root: Path, full: bool) -> list[str]:
    lists = {"train": ["images:train.json"], "test": ["images:test.json"]}
    return [str(fault) for fault in devkit.detection(root, format="coco", **lists).check(full)]


@pytest.mark.parametrize("full", [False, True])
def test_xmp_that_is_not_followed_is_named(tmp_path: Path, full: bool) -> None:
    path = first_scene(tmp_path, exif=NO_ENTRY, xmp=XMP)
    faults = [fault for fault in coco_faults(tmp_path, full) if "size" in fault]
    assert len(faults) == 2  # of either json
    for fault in faults:
        assert (
            "the image's size (90, 120) (width, height) (its XMP says orientation 6, which is not"
            in fault
        )
        assert "do not correct the json's size alone" in fault
    path.unlink()


@pytest.mark.parametrize("full", [False, True])
def test_exif_is_named_where_the_annotation_is_of_stored_pixels(tmp_path: Path, full: bool) -> None:
    """To correct the size alone, as was advised, would leave every box on the image as it lies."""
    path = devkit.make_coco(tmp_path) / "images/000012.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)
    for fault in (faults := coco_faults(tmp_path, full)):
        assert (
            "the image's size (90, 120) (width, height) as its EXIF orientation 6 turns it" in fault
        )
        assert (
            f"exiftool -Orientation= '{path}'" in fault
            and "do not correct the json's size alone" in fault
        )
    assert len(faults) == 2
    with Image.open(path) as image:
        image.save(path)  # without EXIF, as the message advises
    assert coco_faults(tmp_path, full) == []


# ---------------------------------------------------------------- deep values


def deep_png(path: Path, top: int, seed: int = 0, alpha: bool = False) -> None:
    pixels = np.random.default_rng(seed).integers(
        0, top + 1, (32, 32, 4 if alpha else 3), dtype=np.uint16
    )
    pixels[..., 3:] = 65535
    assert cv2.imwrite(str(path), pixels)


def seen(paths: list[Path], full: bool = False) -> list[Fault]:
    look = ImageCheck(full)
    return [fault for path in paths for fault in look.size(path)] + list(look.together())


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_values_of_fewer_bits_in_16_are_a_fault(tmp_path: Path, bits: int, alpha: bool) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for seed, path in enumerate(paths):
        deep_png(path, (1 << bits) - 1, seed, alpha)
    assert read_image(paths[0]).max() == ((1 << bits) - 1) >> 8
    for full in (False, True):
        (fault,) = seen(paths, full)
        assert "but got 3 such images without one above" in str(fault) and str(paths[0]) in str(
            fault
        )
    deep_png(paths[1], 65535, alpha=alpha)  # the others then are dark scenes
    assert seen(paths) == seen(paths, full=True) == []


def test_images_of_8_bits_may_be_dark(tmp_path: Path) -> None:
    for name, (form, options) in FORMATS.items():
        path = tmp_path / name
        Image.new("RGB", (24, 18)).save(path, form, **options)
        assert seen([path], full=True) == [], name


@pytest.mark.parametrize("top, kind", [(15, "u1"), (4095, ">u2")])
@pytest.mark.parametrize("magic, channels", [(b"P5", 1), (b"P6", 3)])
def test_a_pnm_says_its_range_and_opencv_does_not_follow(
    tmp_path: Path, top: int, kind: str, magic: bytes, channels: int
) -> None:
    path, pixels = (
        tmp_path / "image.ppm",
        np.random.default_rng(0).integers(0, top + 1, (18, 24, channels)),
    )
    path.write_bytes(magic + b"\n24 18\n%d\n" % top + pixels.astype(kind).tobytes())
    (fault,) = seen([path])
    assert fault.kind == "dark images" and read_image(path).max() == 15
    path.write_bytes(magic + b"\n24 18\n255\n" + (pixels * (255 / top)).astype("u1").tobytes())
    assert seen([path]) == []


@pytest.mark.parametrize("task", ["classification", "voc", "coco", "pose"])
def test_each_task_names_deep_values(tmp_path: Path, task: str) -> None:
    if task == "classification":
        adapter = imagekit.classification(imagekit.make_folder(tmp_path))
    elif task == "pose":
        adapter = posekit.pose(posekit.make_mpii(tmp_path))
    elif task == "voc":
        adapter = devkit.detection(devkit.make_voc(tmp_path))
    else:
        lists = {"train": ["images:train.json"], "test": ["images:test.json"]}
        adapter = devkit.detection(devkit.make_coco(tmp_path), format="coco", **lists)
    assert adapter.check() == []
    for path in [*tmp_path.rglob("*.jpg"), *tmp_path.rglob("*.png")]:
        with Image.open(path) as image:
            shallow = np.asarray(image.convert("RGB")).astype(np.uint16)
        path.write_bytes(cv2.imencode(".png", shallow << 4)[1].tobytes())
    faults = adapter.check()
    assert faults and all("nearly black; scale the values" in str(fault) for fault in faults)


# ---------------------------------------------------------------- thin and small


@pytest.mark.parametrize("width, height", [(60_000, 1), (1, 60_000), (201, 1)])
def test_a_thin_image_is_known_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    """Resized to a shorter side of 256 pixels, as classification does, 60000 x 1 would
    take 11.8 GB.
    """
    path = tmp_path / "image.png"
    Image.new("RGB", (width, height)).save(path)
    for full in (False, True):
        (fault,) = image_size(path, full)
        assert f"at most 200 times the shorter one, but got {width} x {height}; cut it" in str(
            fault
        )
    with pytest.raises(DataError, match=f"but got {width} x {height}"):
        read_image(path)


def test_as_thin_as_may_be(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new("RGB", (200, 1)).save(path)
    assert looked_at(path, full=True) == ((200, 1), []) and read_image(path).shape == (1, 200, 3)


@pytest.mark.parametrize("augmentation", ["ssd", "mmdet", "flip"])
@pytest.mark.parametrize("width, height", [(1, 1), (200, 3), (3, 200), (2, 2), (4, 4), (200, 1)])
def test_small_and_thin_images_survive_every_augmentation(
    tmp_path: Path, augmentation: str, width: int, height: int
) -> None:
    """A crop of .3 of 3 pixels is of none, and torchvision divides by it."""
    devkit.make_coco(tmp_path)
    Image.new("RGB", (width, height), "red").save(tmp_path / "images/000012.jpg")
    lists = {"train": ["images:train.json"], "test": ["images:test.json"]}
    for split in ("train.json", "test.json"):
        data = devkit.read_json(tmp_path / split)
        data["images"][0].update(width=width, height=height)
        data["annotations"][0].update(bbox=[0, 0, width, height], area=width * height)
        data["annotations"][1].update(bbox=[0, 0, width, height], area=width * height)
        devkit.write_json(tmp_path / split, data)
    task = devkit.detection(tmp_path, format="coco", augmentation=augmentation, **lists)
    assert task.check(full=True) == []
    dataset = task.dataset("train")
    for _ in range(40):
        sample = dataset[0]
        assert sample["inputs"].shape == (3, 128, 128)
        boxes = sample["data_samples"].gt_instances.bboxes.tensor
        assert len(boxes) > 0 and bool((boxes[:, 2:] > boxes[:, :2]).all())
    assert task.thumbnail(0).size[0] >= 1 and max(task.thumbnail(0).size) == 256


# ---------------------------------------------------------------- kinds of pixels


KINDS = {
    "PNG": ("1", "L", "P", "LA", "RGBA"),
    "TIFF": ("1", "L", "P", "LA", "PA", "RGBA", "CMYK", "YCbCr"),
    "JPEG": ("L", "CMYK", "YCbCr"),
    "GIF": ("1", "L", "P", "RGBA"),
    "BMP": ("1", "L", "P", "RGBA"),
    "WEBP": ("L", "RGBA"),
}


@pytest.mark.parametrize(
    "form, mode", [(form, mode) for form, modes in KINDS.items() for mode in modes]
)
def test_pixels_of_every_kind_are_read_as_pil_reads_them(
    tmp_path: Path, form: str, mode: str
) -> None:
    """Palettes, gray, CMYK; of transparent pixels the colour itself is taken."""
    path, ramp = tmp_path / "image", np.add.outer(np.arange(0, 180, 10), np.arange(24) * 3)
    smooth = Image.fromarray(ramp.astype(np.uint8)).convert("L" if mode in ("LA", "PA") else "RGB")
    smooth.convert(mode).save(path, form)
    assert looked_at(path, full=True) == ((24, 18), [])
    with Image.open(path) as image:
        right = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(read_image(path).astype(int) - right).mean() < 3


def test_classification_takes_thin_images(tmp_path: Path) -> None:
    """At the limit a view is small.

    Past it, the shorter side's 256 pixels would be met by 51,200 and more.
    """
    imagekit.make_folder(tmp_path)
    path = tmp_path / "train/bird/000.png"
    Image.new("RGB", (200, 1), "red").save(path)
    adapter = imagekit.classification(tmp_path, input_size=32, augmentation="resized_crop")
    assert adapter.check(full=True) == []
    for split in ("train", "pool"):
        image, _ = adapter.dataset(split)[0]
        assert image.shape == (3, 32, 32) and image[0].float().mean() > 250
    assert adapter.thumbnail(0).size[0] == max(adapter.thumbnail(0).size)
    Image.new("RGB", (201, 1), "red").save(path)
    (line,) = imagekit.classification(tmp_path, input_size=32, augmentation="resized_crop").check()
    assert "at most 200 times the shorter one, but got 201 x 1" in line


@pytest.mark.parametrize("orientation, told", [(1, 0), (3, 1), (4, 1), (6, 1)])
def test_an_orientation_that_no_size_shows_is_told(
    tmp_path: Path, orientation: int, told: int
) -> None:
    """Turned by 180 degrees, or square: whether boxes are of the pixels as stored, nothing
    in the data says.
    """
    path, exif = devkit.make_coco(tmp_path) / "images/000007.jpg", Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:  # 64 x 64
        image.save(path, exif=exif)
    lists = {"train": ["images:train.json"], "test": ["images:test.json"]}
    task = devkit.detection(tmp_path, format="coco", **lists)
    assert task.check() == []
    said = [note for note in task.notes() if "turned by EXIF, and of the same size (1 such" in note]
    assert len(said) == told and all(note.startswith(str(path)) for note in said)
