"""Weights from elsewhere, over a server on this machine: found, checked, and refused with
what the user can do.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import socket
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mmengine.runner import checkpoint

from models.networks import ssd, weights
from models.networks.weights import WeightsError, locate, missing

ADVICE = [r"task\.pretrained=/path/to/weights\.pth", r"task\.pretrained=None"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder; counts what is asked for."""

    def do_HEAD(self):
        self.server.asked.append(self.command)
        super().do_HEAD()

    def do_GET(self):
        self.server.asked.append(self.command)
        super().do_GET()

    def log_message(self, *args):
        pass


class Truncating(BaseHTTPRequestHandler):
    """Promises more bytes than it sends."""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(b"x" * 100)

    def log_message(self, *args):
        pass


class Garbled(BaseHTTPRequestHandler):
    """Speaks no HTTP."""

    def do_HEAD(self):
        self.wfile.write(b"hello\r\n")

    do_GET = do_HEAD

    def log_message(self, *args):
        pass


def serve(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = []
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def site(tmp_path):
    """A folder, its address, and the server."""
    folder = tmp_path / "site"
    folder.mkdir()
    server, address = serve(partial(Quiet, directory=str(folder)))
    yield folder, address, server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "home" / "checkpoints"


def left_behind(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.iterdir()) if cache.exists() else []


def refused(source: str, cache: Path, reason: str) -> str:
    """The refusal's text; it says why, and both ways out."""
    with pytest.raises(WeightsError, match=reason) as caught:
        locate(source, cache)
    assert all(re.search(advice, str(caught.value)) for advice in ADVICE)
    return str(caught.value)


# files on this machine


def test_a_local_file_is_used_where_it_is(tmp_path, cache):
    (tmp_path / "own.pth").write_bytes(b"")
    assert locate(str(tmp_path / "own.pth"), cache) == tmp_path / "own.pth"
    assert left_behind(cache) == []


def test_a_local_file_that_is_missing_is_named_with_its_whole_path(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(
        "some/own.pth",
        cache,
        re.escape(f"weights in the file {tmp_path}/some/own.pth, but there is no such file"),
    )


def test_a_folder_is_no_file(tmp_path, cache):
    refused(
        str(tmp_path),
        cache,
        re.escape(f"weights in the file {tmp_path}, but there is no such file"),
    )


def test_a_name_that_the_zoo_lacks(cache):
    refused("open-mmlab://vgg16_cafe", cache, "open-mmlab has, .*did you mean 'vgg16_caffe'")
    refused("torchvision://resnet51", cache, "torchvision has, .*did you mean 'resnet")


def test_a_name_of_no_zoo_is_taken_for_a_file(cache):
    refused("zoo://vgg17", cache, r"file .*zoo:/+vgg17, but there is no such file")


# downloads


def test_download_with_its_checksum(site, cache):
    folder, address, server = site
    content = b"weights" * 1000
    name = f"vgg-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(content)
    found = locate(f"{address}/{name}", cache)
    assert found == cache / name and found.read_bytes() == content
    assert left_behind(cache) == [name]
    assert "GET" in server.asked
    server.asked.clear()
    assert locate(f"{address}/{name}", cache) == found
    assert server.asked == [], "what is there is not asked for again"


def test_download_with_a_wrong_checksum_leaves_nothing(site, cache):
    folder, address, _ = site
    (folder / "vgg-0123abcd.pth").write_bytes(b"other")
    digest = hashlib.sha256(b"other").hexdigest()
    text = refused(f"{address}/vgg-0123abcd.pth", cache, re.escape(f"{address}/vgg-0123abcd.pth"))
    assert '"0123abcd"' in text and digest in text
    assert left_behind(cache) == []


@pytest.mark.parametrize("name", ["plain.pth", "my-weights.pth", "vgg16-caffe.pth", "a-b-.pth"])
def test_download_of_a_name_without_a_checksum(site, cache, name):
    folder, address, _ = site
    (folder / name).write_bytes(b"anything")
    assert locate(f"{address}/{name}?download=true", cache).read_bytes() == b"anything"
    assert left_behind(cache) == [name]


def test_a_name_that_mmdets_configs_use(site, cache, monkeypatch):
    folder, address, _ = site
    (folder / "plain.pth").write_bytes(b"anything")
    monkeypatch.setattr(
        checkpoint, "get_external_models", lambda: {"vgg16_caffe": f"{address}/plain.pth"}
    )
    assert locate("open-mmlab://vgg16_caffe", cache) == cache / "plain.pth"


@pytest.mark.parametrize("works", [True, False])
def test_where_the_first_address_fails_the_second_is_asked(site, cache, monkeypatch, works):
    folder, address, server = site
    digest = hashlib.sha256(b"weights").hexdigest()[:8]
    name = f"vgg16-{digest}.pth"
    if works:
        (folder / "mirror").mkdir()
        (folder / "mirror" / name).write_bytes(b"weights")
    zoo = {"vgg16_caffe": f"{address}/{name}"}
    monkeypatch.setattr(checkpoint, "get_external_models", lambda: zoo)
    mirror = f"{address}/mirror/{name}"
    monkeypatch.setitem(weights.MIRRORS, "open-mmlab://vgg16_caffe", mirror)
    if works:
        assert locate("open-mmlab://vgg16_caffe", cache).read_bytes() == b"weights"
    else:
        text = refused("open-mmlab://vgg16_caffe", cache, "Could not download")
        assert f"{address}/{name}" in text and mirror in text
        assert left_behind(cache) == []


def test_both_known_addresses_have_the_checksum_in_their_names():
    name = "open-mmlab://vgg16_caffe"
    for address in (weights._address(name), weights.MIRRORS[name]):
        assert address.endswith("/vgg16_caffe-292e1171.pth")


def test_the_default_cache_is_torch_hubs(site, tmp_path, monkeypatch):
    folder, address, _ = site
    (folder / "plain.pth").write_bytes(b"anything")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert (
        locate(f"{address}/plain.pth") == tmp_path / "torch" / "hub" / "checkpoints" / "plain.pth"
    )


def test_a_file_that_the_server_does_not_have(site, cache):
    _, address, _ = site
    reason = f"Could not download {address}/vgg.pth to {cache}/vgg.pth: HTTP Error 404"
    refused(f"{address}/vgg.pth", cache, re.escape(reason))
    assert left_behind(cache) == []


def test_an_address_that_cannot_be_reached(cache):
    with socket.socket() as held:  # bound and not listening: nobody else takes the port
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}/vgg-292e1171.pth"
        refused(address, cache, re.escape(f"Could not download {address} to ") + ".*refused")
    assert left_behind(cache) == []


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:port/vgg.pth", "http:///vgg.pth", "http://a b/vgg.pth"]
)
def test_an_address_that_is_none(cache, address):
    refused(address, cache, re.escape(f"Could not download {address} to "))


def test_a_server_that_speaks_something_else(cache):
    server, address = serve(Garbled)
    refused(f"{address}/vgg.pth", cache, re.escape(f"Could not download {address}/vgg.pth"))
    assert left_behind(cache) == []
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["vgg-292e1171.pth", "vgg.pth"])
def test_a_download_that_breaks_off_leaves_nothing(cache, name):
    server, address = serve(Truncating)
    refused(f"{address}/{name}", cache, re.escape(f"Could not download {address}/{name}"))
    assert left_behind(cache) == []
    server.shutdown()
    server.server_close()


# what is in a file


@pytest.fixture(scope="module")
def vgg() -> dict[str, torch.Tensor]:
    """VGG-16's convolutions as mmdet's SSD calls them."""
    state = ssd.ssd300_vgg16(2).backbone.state_dict()
    return {name: value for name, value in state.items() if int(name.split(".")[1]) < 30}


def test_the_names_are_mmdets(vgg):
    # of VGG-16 between ReLUs and poolings
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert set(vgg) == {f"features.{i}.{part}" for i in convolutions for part in ("weight", "bias")}


@pytest.mark.parametrize("wrap", [False, True])
def test_all_is_there(tmp_path, vgg, wrap):
    content = {**vgg, "classifier.0.weight": torch.zeros(2)}  # more than asked for is fine
    torch.save({"state_dict": content, "meta": {}} if wrap else content, tmp_path / "vgg.pth")
    assert len(vgg) == 26 and missing(tmp_path / "vgg.pth", vgg) == []


@pytest.mark.parametrize("wrap", [False, True])
def test_missing_and_other_shaped_tensors_are_named(tmp_path, vgg, wrap):
    content = {k: v for k, v in vgg.items() if k != "features.5.weight"}
    content["features.0.bias"] = torch.zeros(63)
    content["features.2.weight"] = "no tensor"
    torch.save({"state_dict": content} if wrap else content, tmp_path / "vgg.pth")
    assert sorted(missing(tmp_path / "vgg.pth", vgg)) == [
        "features.0.bias",
        "features.2.weight",
        "features.5.weight",
    ]


def test_another_naming_lacks_everything(tmp_path, vgg):
    torch.save({f"backbone.{k}": v for k, v in vgg.items()}, tmp_path / "vgg.pth")
    assert missing(tmp_path / "vgg.pth", vgg) == list(vgg)


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], torch.zeros(2), {}, {"state_dict": None}, {"state_dict": [1]}]
)
def test_a_file_of_torch_without_weights_lacks_everything(tmp_path, vgg, content):
    torch.save(content, tmp_path / "vgg.pth")
    assert missing(tmp_path / "vgg.pth", vgg) == list(vgg)


BROKEN = [b"", b"<html>not found</html>", b"PK\x03\x04broken", pickle.dumps({"a": 1}, 2)[:-3]]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_no_checkpoint(tmp_path, vgg, content):
    (tmp_path / "vgg.pth").write_bytes(content)
    reason = f"a checkpoint of torch in {tmp_path}/vgg.pth, but it cannot be read"
    with pytest.raises(WeightsError, match=re.escape(reason)) as caught:
        missing(tmp_path / "vgg.pth", vgg)
    assert all(re.search(advice, str(caught.value)) for advice in ADVICE)


class Code:
    """Pickles to a call that creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("wrap", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, vgg, wrap):
    mark = tmp_path / "mark"
    (Code(mark).__reduce__()[0])(mark)
    assert mark.exists(), "the code would run"
    mark.unlink()
    content = {**vgg, "features.0.weight": Code(mark)}
    torch.save({"state_dict": content} if wrap else content, tmp_path / "vgg.pth")
    with pytest.raises(
        WeightsError, match=re.escape(f"a checkpoint of torch in {tmp_path}/vgg.pth, but it cannot")
    ):
        missing(tmp_path / "vgg.pth", vgg)
    assert not mark.exists()


def test_lacking_tensors_are_named_by_shape_too():
    needed = {"a": torch.zeros(2), "b": torch.zeros(3)}
    assert weights.lacking({"a": torch.zeros(2), "b": torch.zeros(4)}, needed) == ["b"]
    assert weights.lacking([1], needed) == ["a", "b"]
