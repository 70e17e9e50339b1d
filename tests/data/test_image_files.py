"""Downloading: checked, whole or not at all, and an error that says what to do."""

import functools
import gzip
import hashlib
import http.server
import re
import threading

import pytest

from minidl.data import CIFAR10, MNIST, FashionMNIST

from .fakes import STEMS, idx_bytes, mnist_arrays, write_cifar_archive, write_mnist


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; `broken/` announces more bytes than it sends, and `cut/` answers nothing."""

    def do_GET(self):
        if self.path.startswith("/broken/"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        elif not self.path.startswith("/cut/"):
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The address of a server of the files of a fake MNIST, under its name in every dataset."""
    write_mnist(tmp_path / "served")
    write_cifar_archive(tmp_path / "served")
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (tmp_path / "served").iterdir()}
    handler = functools.partial(Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{httpd.server_port}/"
        for kind in (MNIST, FashionMNIST, CIFAR10):
            monkeypatch.setattr(kind, "url", address)
            monkeypatch.setattr(kind, "checksums", {name: sums[name] for name in kind.checksums})
        monkeypatch.delenv("MINIDL_DATA", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(FashionMNIST, "package", None)
        for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(proxy, raising=False)
        yield address
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, CIFAR10])
def test_a_download_gives_the_dataset_and_the_next_one_is_not_needed(server, tmp_path, monkeypatch, kind):
    folder = tmp_path / "new" / "folder"
    dataset = kind(folder, download=True)
    assert (len(dataset), dataset.folder) == (20, folder)
    assert {path.name for path in folder.iterdir()} == set(kind.checksums)
    monkeypatch.setattr(kind, "url", "http://127.0.0.1:1/")
    assert len(kind(folder, download=True)) == len(kind(folder)) == 20


def test_without_a_root_a_download_is_the_full_set_in_the_cache(server, tmp_path, monkeypatch):
    assert FashionMNIST(download=True).folder == tmp_path / "cache/minidl/fashion-mnist"
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path / "data"))
    assert MNIST(download=True).folder == tmp_path / "data/mnist"
    assert len(FashionMNIST()) == 10_000


def test_only_what_is_missing_is_fetched(server, tmp_path):
    write_mnist(tmp_path / "some", packed=False)
    (tmp_path / "some" / STEMS[2]).unlink()
    MNIST(tmp_path / "some", download=True)
    assert {path.name for path in (tmp_path / "some").iterdir()} == {*STEMS[:2], STEMS[3], f"{STEMS[2]}.gz"}


def test_a_file_url_works(server, tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "url", f"{(tmp_path / 'served').as_uri()}/")
    assert len(MNIST(tmp_path / "copy", download=True)) == 20


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("absent/", OSError, "could not download .*404"),
        ("cut/", OSError, "could not download"),
        ("broken/", (OSError, ValueError), "MNIST: .*train-images-idx3-ubyte.gz"),
    ],
)
def test_a_failed_download_leaves_nothing_and_names_folder_and_remedy(server, tmp_path, monkeypatch, path, kind, words):
    monkeypatch.setattr(MNIST, "url", server + path)
    folder = tmp_path / "target"
    with pytest.raises(kind, match=f"{words}.*put train-images-idx3-ubyte.gz into {re.escape(str(folder))} yourself"):
        MNIST(folder, download=True)
    assert list(folder.iterdir()) == []


def test_no_server_at_all(server, tmp_path, monkeypatch):
    monkeypatch.setattr(MNIST, "url", "http://127.0.0.1:1/")
    with pytest.raises(
        OSError, match=f"MNIST: could not download http://127.0.0.1:1/train.*{re.escape(str(tmp_path))}"
    ):
        MNIST(tmp_path / "target", download=True)
    assert list((tmp_path / "target").iterdir()) == []


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=f"MNIST: could not download .*{re.escape(str(tmp_path / 'file'))}"):
        MNIST(tmp_path / "file", download=True)


def test_a_wrong_checksum_keeps_nothing_of_the_file_and_what_was_there(server, tmp_path):
    folder = tmp_path / "target"
    MNIST(folder, download=True)
    (folder / f"{STEMS[1]}.gz").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = gzip.compress(idx_bytes(mnist_arrays()[1][::-1].copy()))
    (tmp_path / "served" / f"{STEMS[1]}.gz").write_bytes(other)
    got, expected = hashlib.md5(other).hexdigest(), MNIST.checksums[f"{STEMS[1]}.gz"]
    with pytest.raises(
        ValueError, match=f"{re.escape(str(folder))}.* has MD5 {got}, expected {expected}.*nothing was kept"
    ):
        MNIST(folder, download=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
