"""Which image of the pool a name in an export means."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tools.label.formats.names import Names, stem
from tools.label.formats.nearby import near
from tools.label.labels import PoolImage

KEYS = (
    "a/1.jpg",
    "b/1.jpg",
    "2.jpg",
    "b/2.jpg",
    "c/größe 1 #2.png",
    "c/3.tiff",
    "c/x%20y.jpg",
    "c/d/same.jpg",
    "c/same.png",
    "1a2b3c4d-own.jpg",
)
IMAGES = {key: PoolImage(key, Path("/data/pool") / key, (10, 10), "") for key in KEYS}
NAMES = Names(IMAGES)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/1.jpg", ["a/1.jpg"]),
        ("./a//1.jpg", ["a/1.jpg"]),
        (r"a\1.jpg", ["a/1.jpg"]),
        (r"D:\mine\a\1.jpg", ["a/1.jpg"]),
        ("/elsewhere/b/1.jpg", ["b/1.jpg"]),
        ("1.jpg", ["a/1.jpg", "b/1.jpg"]),
        ("c/1.jpg", ["a/1.jpg", "b/1.jpg"]),
        ("2.jpg", ["2.jpg"]),
        ("/data/pool/2.jpg", ["2.jpg"]),
        ("/data/pool/b/2.jpg", ["b/2.jpg"]),
        ("pool/b/2.jpg", ["b/2.jpg"]),
        ("images/3.tiff", ["c/3.tiff"]),
        ("c/3", ["c/3.tiff"]),
        ("3", ["c/3.tiff"]),
        ("same", ["c/d/same.jpg", "c/same.png"]),
        ("c/d/same", ["c/d/same.jpg"]),
        ("same.png", ["c/same.png"]),
        ("x y.jpg", []),
        ("c/x%20y.jpg", ["c/x%20y.jpg"]),
        ("/data/local-files/?d=pool/a/1.jpg", ["a/1.jpg"]),
        ("/data/local-files/?d=pool/c/gr%C3%B6%C3%9Fe%201%20%232.png", ["c/größe 1 #2.png"]),
        ("http://localhost:8080/data/local-files/?x=1&d=pool/b/1.jpg", ["b/1.jpg"]),
        ("https://x.org/c/gr%C3%B6%C3%9Fe%201%20%232.png?token=a/1.jpg", ["c/größe 1 #2.png"]),
        ("s3://bucket/pool/a/1.jpg", ["a/1.jpg"]),
        ("/data/upload/7/0123abcd-3.tiff", ["c/3.tiff"]),
        ("/data/upload/7/0123abcd-größe_1_2.png", ["c/größe 1 #2.png"]),
        ("/data/upload/7/1a2b3c4d-own.jpg", ["1a2b3c4d-own.jpg"]),
        ("größe_1_2.png", ["c/größe 1 #2.png"]),
        (unicodedata.normalize("NFD", "c/größe 1 #2.png"), ["c/größe 1 #2.png"]),
        ("unknown.jpg", []),
        ("http://[broken/1", ["a/1.jpg", "b/1.jpg"]),
        ("?d=", []),
        ("%", []),
        ("\ud800/\0", []),
        ("/", []),
    ],
)  # fmt: skip
def test_names(name: str, found: list[str]):
    assert sorted(NAMES.find(name)) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("1.jpg", ["1.jpg"]),
        ("/data/upload/3/deadbeef-1.jpg", ["1.jpg", "a/1.jpg"]),  # uploads lose their folders
        ("/data/upload/3/deadbeef-2.jpg", ["a/2.jpg"]),
        ("https://x.org/pool/a/2.jpg?sig=x&d=1.jpg", ["a/2.jpg"]),
        ("https://x.org/data/local-files?a=b&d=pool/a/1.jpg&e=f", ["a/1.jpg"]),
    ],
)
def test_names_of_a_pool_with_folders_and_without(name: str, found: list[str]):
    keys = ("1.jpg", "a/1.jpg", "a/2.jpg")
    names = Names({key: PoolImage(key, Path("/pool") / key, (10, 10), "") for key in keys})
    assert sorted(names.find(name)) == found


@pytest.mark.parametrize(
    ("name", "known"),
    [("a.jpg", "a"), ("a.JPG", "a"), ("a", "a"), ("v1.2", "v1.2"), ("b/v1.2.png", "b/v1.2"), (".jpg", ".jpg"), ("", "")],
)  # fmt: skip
def test_stems(name: str, known: str):
    assert stem(name) == known


@pytest.mark.parametrize(
    ("name", "said"),
    [("x/2.JPG", "did you mean '2.jpg'?"), ("größe 1 #3.png", "did you mean 'c/größe 1 #2.png'?"), ("nothing", "")],
)  # fmt: skip
def test_a_near_name_is_proposed(name: str, said: str):
    assert near(name, KEYS) == said
