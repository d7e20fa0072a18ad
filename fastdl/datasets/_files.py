"""Where the files of a data set are: the user's folder, the cache, or a download into the cache."""

import os
from pathlib import Path

import numpy as np

from fastdl.errors import DataError

from ._download import download
from ._sources import SOURCES, Source

DATA_DIR = "FASTDL_DATA_DIR"
CACHE_DIR = "FASTDL_CACHE_DIR"


def is_local(name: str) -> bool:
    """Whether one folder on this machine has all files of the data set."""
    return _find_local(name) is not None


def folder(name: str) -> Path:
    """Where the files of the data set are; if they are nowhere yet, where a download puts them."""
    found = _find_local(name)
    return next(iter(found.values())).parent if found else _folders(name)[-1]


def read(name: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Images uint8 (N, C, H, W) and labels uint8 (N,): training, then test."""
    files = _find_local(name) or _download_missing(name)
    return SOURCES[name].format.read(files)


def _find_local(name: str) -> dict[str, Path] | None:
    source_format = SOURCES[name].format
    for folder in _folders(name):
        found = source_format.find(folder)
        if len(found) == len(source_format.FILES):
            return found
    return None


def _folders(name: str) -> list[Path]:
    """The folders to look in, in this order; the last one is the cache."""
    folders = []
    if chosen := os.environ.get(DATA_DIR):
        data_dir = Path(chosen).expanduser()
        folders.append(data_dir / name)
        if _may_hold_directly(data_dir, name):
            folders.append(data_dir)
    return [*folders, _cache_dir() / name]


def _may_hold_directly(folder: Path, name: str) -> bool:
    """MNIST and Fashion-MNIST name their files alike: only the folder's name tells them apart."""
    is_fashion = "fashion" in folder.resolve().name.lower()
    return {"mnist": not is_fashion, "fashion_mnist": is_fashion}.get(name, True)


def _cache_dir() -> Path:
    if chosen := os.environ.get(CACHE_DIR):
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("fastdl"))


def _download_missing(name: str) -> dict[str, Path]:
    """Complete the cache and return its files; a file that it has already is kept."""
    source = SOURCES[name]
    cache = _folders(name)[-1]
    try:
        for file in source.format.to_download(source.format.find(cache)):
            urls = [mirror + file for mirror in source.mirrors]
            download(urls, cache / file, md5=source.md5[file])
    except DataError as error:
        raise DataError(_explain_missing(name, source, str(error))) from error
    return source.format.find(cache)


def _explain_missing(name: str, source: Source, failure: str) -> str:
    looked_in = [f"{folder} ({_state(folder, source)})" for folder in _folders(name)]
    now = os.environ.get(DATA_DIR) or "not set"
    return "\n".join(
        [
            f"{name}: the files are not on this machine and the download failed",
            f"  needed: {', '.join(source.format.FILES)} ({source.format.FORMS})",
            *(f"  looked in: {line}" for line in looked_in),
            *(f"  download: {line}" for line in failure.splitlines()),
            f"  set {DATA_DIR} to the folder that holds the files (now: {now})",
        ]
    )


def _state(folder: Path, source: Source) -> str:
    if not os.path.isdir(folder):
        return "no such folder"
    if not os.access(folder, os.R_OK | os.X_OK):
        return "no permission to read it"
    found = source.format.find(folder)
    if not found:
        return "has none of them"
    return "lacks " + ", ".join(file for file in source.format.FILES if file not in found)
