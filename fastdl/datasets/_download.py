"""Download one file, whole and checked, or leave nothing behind."""

import os
import secrets
from pathlib import Path

from fastdl.errors import DataError

TIMEOUT_S = 30.0  # for each wait on the network, not for the whole file
CHUNK_SIZE = 1 << 16


def download(urls: list[str], target: Path, *, md5: str) -> None:
    """Put the file at `target`, from the first of `urls` that gives the bytes with this MD5.

    The bytes go to a temporary file beside `target` first, which takes its name when it is complete
    and right, and is removed whatever else happens.

    Raises
    ------
    DataError
        With a line for each URL that says why it failed, or one that says why nothing can be
        written.
    """
    import http.client

    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
    except OSError as error:
        raise DataError(f"{target.parent} cannot be written: {error}") from error
    failures = []
    try:
        for url in urls:
            try:
                got = _transfer(url, part)
                if got == md5:
                    os.replace(part, target)
                    return
                failures.append(f"{url}: MD5 is {got}, expected {md5}")
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{url}: {error}")
    finally:
        part.unlink(missing_ok=True)
    raise DataError("\n".join(failures))


def _transfer(url: str, part: Path) -> str:
    """Write what `url` answers to `part`, with a progress bar; return its MD5."""
    import hashlib
    import urllib.request

    from tqdm import tqdm

    # The published checksums are MD5: they tell damage and a wrong file, not an attacker.
    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": "fastdl"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, part.open("wb") as file:
        total = answer.length  # None where the server does not say
        name = url.rsplit("/", 1)[-1]
        with tqdm(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024) as bar:
            while chunk := answer.read(CHUNK_SIZE):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
        if total is not None and file.tell() != total:
            raise OSError(f"the transfer stopped after {file.tell()} of {total} bytes")
    return digest.hexdigest()
