"""Downloads from a server on this machine: whole and right, or nothing at all."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading

import pytest

import fastdl.datasets as datasets
from fastdl.datasets import _sources
from fastdl.errors import DataError

ARCHIVE = "cifar-10-binary.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.pages[path]``: bytes, a status code, or bytes to break off half-way."""

    def do_GET(self):
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path, 404)
        if isinstance(page, int):
            self.send_error(page)
            return
        content, sent = page if isinstance(page, tuple) else (page, len(page))
        self.send_response(200)
        if sent is not None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked = {}, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def published(idx_files):
    """The four files as a mirror has them: name to bytes."""
    return {f"{name}.gz": gzip.compress(content) for name, content in idx_files.items()}


@pytest.fixture
def publish(monkeypatch, server):
    """``publish(name, files, *folders)`` makes folders of the server the mirrors of a data set.

    Every folder has all files; a test spoils single pages of it afterwards.
    """

    def publish(name, files, *folders):
        base = f"http://127.0.0.1:{server.server_port}"
        source = _sources.SOURCES[name]._replace(
            mirrors=tuple(f"{base}/{folder}/" for folder in folders),
            md5={file: hashlib.md5(content).hexdigest() for file, content in files.items()},
        )
        monkeypatch.setitem(_sources.SOURCES, name, source)
        for folder in folders:
            for file, content in files.items():
                server.pages[f"/{folder}/{file}"] = content

    return publish


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


FIRST = "train-images-idx3-ubyte.gz"


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_downloads_once(name, server, publish, published, cache, assert_data_set):
    publish(name, published, "a")
    splits = datasets.load(name)
    assert_data_set(splits, (1, 28, 28), 3, 2)
    assert splits[0][1].tolist() == [7, 0, 9]
    assert files_in(cache) == sorted(published)
    assert (cache / name / FIRST).read_bytes() == published[FIRST]
    assert datasets.is_local(name)
    datasets.load(name)
    assert len(server.asked) == 4


def test_shows_a_bar_per_file(publish, published, capfd):
    publish("mnist", published, "a")
    datasets.mnist()
    bars = capfd.readouterr().err
    assert all(name in bars for name in published)
    assert "100%" in bars


def test_cifar_archive(cifar_files, publish, cache, assert_data_set):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in cifar_files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    publish("cifar10", {ARCHIVE: buffer.getvalue()}, "a")
    assert_data_set(datasets.cifar10(), (3, 32, 32), 10, 2)
    assert files_in(cache) == [ARCHIVE]


def test_only_what_the_cache_lacks(server, publish, published, idx_files, cache, write):
    publish("mnist", published, "a")
    plain = {name: idx_files[name] for name in list(idx_files)[:2]}
    write(cache / "mnist", plain)
    datasets.mnist()
    assert server.asked == ["/a/t10k-images-idx3-ubyte.gz", "/a/t10k-labels-idx1-ubyte.gz"]


def test_size_unknown_to_the_server(server, publish, published, assert_data_set):
    publish("mnist", published, "a")
    server.pages[f"/a/{FIRST}"] = (published[FIRST], None)
    assert_data_set(datasets.mnist(), (1, 28, 28), 3, 2)


SPOILED = {
    "gone": lambda content: 404,
    "broken server": lambda content: 500,
    "other bytes": lambda content: b"x" * len(content),
    "longer": lambda content: content + b"\0",
    "a web page": lambda content: b"<html>log in first</html>",
    "broken off": lambda content: (content, len(content) // 2),
    "nothing": lambda content: b"",
}


@pytest.mark.parametrize("case", SPOILED)
def test_next_mirror(case, server, publish, published, cache):
    publish("mnist", published, "a", "b")
    server.pages[f"/a/{FIRST}"] = SPOILED[case](published[FIRST])
    datasets.mnist()
    assert server.asked[:2] == [f"/a/{FIRST}", f"/b/{FIRST}"]
    assert (cache / "mnist" / FIRST).read_bytes() == published[FIRST]
    assert files_in(cache) == sorted(published)


@pytest.mark.parametrize("case", SPOILED)
def test_no_mirror_left(case, server, publish, published, cache):
    publish("mnist", published, "a", "b")
    for folder in "ab":
        server.pages[f"/{folder}/{FIRST}"] = SPOILED[case](published[FIRST])
    with pytest.raises(DataError) as caught:
        datasets.mnist()
    reasons = [line for line in str(caught.value).splitlines() if "download: " in line]
    assert len(reasons) == 2
    assert f"/a/{FIRST}: " in reasons[0]
    assert f"/b/{FIRST}: " in reasons[1]
    assert "FASTDL_DATA_DIR" in str(caught.value)
    assert files_in(cache) == []
    assert not datasets.is_local("mnist")


def test_reasons_say_what_happened(server, publish, published):
    publish("mnist", published, "a", "b", "c")
    content = published[FIRST]
    server.pages[f"/a/{FIRST}"] = 404
    server.pages[f"/b/{FIRST}"] = b"other"
    server.pages[f"/c/{FIRST}"] = (content, 100)
    with pytest.raises(DataError) as caught:
        datasets.mnist()
    message = str(caught.value)
    assert "HTTP Error 404" in message
    other, right = hashlib.md5(b"other").hexdigest(), hashlib.md5(content).hexdigest()
    assert f"MD5 is {other}, expected {right}" in message
    assert f"the transfer stopped after 100 of {len(content)} bytes" in message


def test_later_file_fails(server, publish, published, cache):
    publish("mnist", published, "a")
    server.pages["/a/t10k-labels-idx1-ubyte.gz"] = 404
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte\)"):
        datasets.mnist()
    assert len(files_in(cache)) == 3  # kept: the next try needs one file only
    server.pages["/a/t10k-labels-idx1-ubyte.gz"] = published["t10k-labels-idx1-ubyte.gz"]
    datasets.mnist()
    assert len(server.asked) == 5


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_interrupted(interruption, monkeypatch, publish, published, cache):
    publish("mnist", published, "a", "b")
    seen = []

    def interrupt(bar, size):
        seen.extend(files_in(cache))
        raise interruption

    monkeypatch.setattr("tqdm.tqdm.update", interrupt)
    with pytest.raises(interruption):
        datasets.mnist()
    [part] = seen  # the bytes were on their way
    assert part.endswith(".part")
    assert files_in(cache) == []


def test_server_that_stops_answering(monkeypatch, publish, published, cache):
    publish("mnist", published, "a")
    answer_now = threading.Event()
    monkeypatch.setattr("fastdl.datasets._download.TIMEOUT_S", 0.05)
    monkeypatch.setattr(Handler, "do_GET", lambda self: answer_now.wait(10))
    with pytest.raises(DataError, match="timed out"):
        datasets.mnist()
    answer_now.set()
    assert files_in(cache) == []
