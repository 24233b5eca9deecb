"""One file that holds many: a gzipped tar whose last member, `manifest.json`, says the size and digest of each.

Any tar program reads it. What we read is trusted in nothing: only plain files with plain relative names, each once,
each as the manifest says, are taken.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import secrets
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from configs.base_manifest import SHA256
from configs.brand import Strict
from service.errors import ArchiveInvalid

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 256 * 1024 * 1024
CHUNK = 1024 * 1024
LEVEL = 3
"""Of gzip: 6 takes twice as long for some percent; weights do not shrink at all."""

Progress = Callable[[int, int], None]


class File(Strict):
    """One file in an archive."""

    path: str
    size: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern=SHA256)]
    mode: int = Field(ge=0, le=0o777)


class Manifest(Strict):
    """Everything in `manifest.json`."""

    format: Literal["brandvoice-backup"] = "brandvoice-backup"
    schema_: Literal[1] = Field(default=1, alias="schema")
    brandvoice: str
    made_at: AwareDatetime
    with_models: bool
    database: str | None = Field(description="Kind of the database whose rows `brandvoice.db` holds.")
    rows: dict[str, int] = Field(description="By table.")
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


class Writer:
    """Puts files into an archive, one after the other."""

    def __init__(self, tar: tarfile.TarFile, total: int, progress: Progress) -> None:
        self._tar = tar
        self._total = total
        self._progress = progress
        self.files: list[File] = []
        self.done = 0

    def add(self, path: Path, name: str) -> None:
        """Put a file in as it is now; one that only grows meanwhile is kept as it was.

        Raises:
            ArchiveInvalid: It was cut short meanwhile.
        """
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            self._put(file, name, about.st_size, about.st_mode & 0o777, int(about.st_mtime))

    def add_bytes(self, content: bytes, name: str, *, mode: int = 0o600) -> None:
        """Put in a file that was read already."""
        self._put(io.BytesIO(content), name, len(content), mode, int(time.time()))

    def _put(self, file: IO[bytes], name: str, size: int, mode: int, mtime: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, mode, mtime
        reader = _Digesting(file, size, self._advance)
        try:
            self._tar.addfile(member, reader)
        except OSError as error:
            if "unexpected end of data" in str(error):
                raise ArchiveInvalid(f"{name} was cut short while it was read. Run it again.") from error
            raise
        self.files.append(File(path=name, size=size, sha256=reader.hexdigest(), mode=mode))

    def _advance(self, count: int) -> None:
        self.done += count
        self._progress(min(self.done, self._total), self._total)


@contextmanager
def writing(path: Path, *, total: int, progress: Progress) -> Iterator[Writer]:
    """Write an archive beside its place; it is moved there when the block ends well, else nothing is left.

    The block calls `finish` last. It is for the owner's eyes only.

    Raises:
        OSError: It cannot be written; what stood at `path` still does.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
            with (
                gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=LEVEL, filename="", mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                yield Writer(tar, total, progress)
            raw.flush()
            os.fsync(raw.fileno())
        read_manifest(beside)
        os.replace(beside, path)
        sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def finish(writer: Writer, manifest: Manifest) -> None:
    """Put the manifest in, which ends the archive."""
    writer.add_bytes(manifest.model_dump_json(by_alias=True, indent=1).encode(), MANIFEST)


def read_manifest(path: Path, progress: Progress = lambda *_: None) -> Manifest:
    """Read an archive to its end and hold every file to the manifest; nothing is written.

    Raises:
        ArchiveInvalid: With the reason.
        OSError: It cannot be read.
    """
    found: dict[str, tuple[int, str, int]] = {}
    manifest: Manifest | None = None
    whole = path.stat().st_size
    with _reading(path) as (tar, raw):
        for member in tar:
            if manifest is not None:
                raise ArchiveInvalid(f"{path} goes on after its manifest. It is not an archive of ours.")
            name = _checked(path, member, found)
            content = tar.extractfile(member)
            if content is None:
                raise ArchiveInvalid(f"{path} holds {name!r}, which is no plain file.")
            if name == MANIFEST:
                manifest = _manifest(path, content.read(MOST_MANIFEST_BYTES))
                continue
            digest = hashlib.sha256()
            while chunk := content.read(CHUNK):
                digest.update(chunk)
                progress(raw.tell(), whole)
            found[name] = (member.size, digest.hexdigest(), member.mode & 0o777)
    if manifest is None:
        raise ArchiveInvalid(f"{path} has no {MANIFEST} at its end: it is not an archive of ours, or not all of one.")
    said = {one.path: (one.size, one.sha256, one.mode) for one in manifest.files}
    if len(said) != len(manifest.files) or said != found:
        wrong = sorted(name for name in said.keys() | found.keys() if said.get(name) != found.get(name))
        raise ArchiveInvalid(f"{path} is damaged: {', '.join(wrong[:5])} is not as the manifest says. Copy it again.")
    progress(whole, whole)
    return manifest


def extract(path: Path, manifest: Manifest, folder: Path, progress: Progress = lambda *_: None) -> None:
    """Write the files of an archive that `read_manifest` has read into a new folder; they are on disk when it returns.

    Raises:
        ArchiveInvalid: It changed since.
        OSError: They cannot be written.
    """
    said = {one.path: one for one in manifest.files}
    done = 0
    with _reading(path) as (tar, _):
        for member in tar:
            if member.name == MANIFEST:
                break
            one = said.pop(_checked(path, member, {}), None)
            content = tar.extractfile(member)
            if one is None or content is None or member.size != one.size:
                raise ArchiveInvalid(f"{path} changed while it was read.")
            target = folder / one.path
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, one.mode), "wb") as file:
                while chunk := content.read(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
                    done += len(chunk)
                    progress(done, manifest.size)
                file.flush()
                os.fsync(file.fileno())
            # Whatever the umask says.
            target.chmod(one.mode)
            if digest.hexdigest() != one.sha256:
                raise ArchiveInvalid(f"{path} changed while it was read.")
    if said:
        raise ArchiveInvalid(f"{path} changed while it was read.")


def sync_folder(folder: Path) -> None:
    """A rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[tarfile.TarFile, IO[bytes]]]:
    with path.open("rb") as raw:
        try:
            with gzip.GzipFile(fileobj=raw, mode="rb") as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
                yield tar, raw
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, ValueError) as error:
            if isinstance(error, ArchiveInvalid):
                raise
            raise ArchiveInvalid(
                f"{path} cannot be read as a gzipped tar ({type(error).__name__}: {error}): it is none, or not all of "
                "one. Copy it again."
            ) from error


def _checked(path: Path, member: tarfile.TarInfo, found: dict[str, Any]) -> str:
    """The member's name, where it is a plain file that stays below the folder that it is written into."""
    name = member.name
    pure = PurePosixPath(name)
    odd = (
        not member.isreg()
        or member.issparse()
        or pure.is_absolute()
        or str(pure) != name
        or any(part in ("", ".", "..") for part in name.split("/"))
        or "\\" in name
        or "\0" in name
        or name in found
    )
    if odd:
        raise ArchiveInvalid(f"{path} holds {name!r}, which is no plain file of its own below the state folder.")
    return name


def _manifest(path: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if where in ("format", "schema"):
            raise ArchiveInvalid(
                f"{path} was made by another version of brandvoice ({where} {first['input']!r}; this one reads "
                f"1). Restore it with that version."
            ) from error
        raise ArchiveInvalid(f"{path} has a manifest that cannot be read ({where}: {first['msg']}).") from error


class _Digesting:
    """Hands on at most `size` bytes of a file, and digests them."""

    def __init__(self, file: IO[bytes], size: int, advance: Callable[[int], None]) -> None:
        self._file = file
        self._left = size
        self._advance = advance
        self._digest = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        chunk = self._file.read(self._left if count < 0 else min(count, self._left))
        self._left -= len(chunk)
        self._digest.update(chunk)
        self._advance(len(chunk))
        return chunk

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
