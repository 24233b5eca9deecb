"""Safetensors files read without the library of that name: header checks, and a digest over values.

The digest is over names, dtypes, shapes and bytes of the tensors in the order of their names: the order inside a
file, its metadata and its division into shards leave it unchanged.
Source: https://github.com/huggingface/safetensors, section "Format" (2026-11).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

DTYPE_BYTES: Mapping[str, int] = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""
CHUNK_BYTES = 1 << 22
"""Looked at in one go; divisible by the size of every dtype."""


class SafetensorsInvalid(ValueError):
    """The file is not a sound safetensors file."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies in a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    """Offset in bytes from the start of the file."""
    end: int


def read_header(path: Path) -> tuple[Tensor, ...]:
    """Tensors of a file, ordered by name.

    Raises:
        SafetensorsInvalid: Too short, a header that is no JSON object, or offsets that do not fit shape and file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise SafetensorsInvalid(f"{path.name} is {size} bytes and states a header of {length} bytes")
        raw = file.read(length)
    try:
        header = json.loads(raw)
        entries = [_tensor(name, entry, 8 + length) for name, entry in header.items() if name != "__metadata__"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SafetensorsInvalid(f"{path.name} has an unreadable header: {error}") from error
    end = 8 + length
    for tensor in sorted(entries, key=lambda one: one.start):
        if tensor.start != end:
            raise SafetensorsInvalid(f"{path.name}: {tensor.name!r} starts at {tensor.start}, expected {end}")
        end = tensor.end
    if end != size:
        raise SafetensorsInvalid(f"{path.name} is {size} bytes, its header accounts for {end}: cut short or padded")
    return tuple(sorted(entries, key=lambda one: one.name))


def tensors_sha256(paths: Sequence[Path], *, finite: bool = False) -> str:
    """Digest over the values of all tensors in these files together; the files are read piece by piece.

    Args:
        paths: The files.
        finite: Also refuse values that are no numbers, or infinite.

    Raises:
        SafetensorsInvalid: A file is not sound, or two files hold a tensor of the same name.
    """
    digest = hashlib.sha256()
    where = [(tensor, path) for path in paths for tensor in read_header(path)]
    where.sort(key=lambda pair: pair[0].name)
    names = [tensor.name for tensor, _ in where]
    if len(set(names)) != len(names):
        raise SafetensorsInvalid("a tensor stands in two files")
    maps: dict[Path, mmap.mmap] = {}
    try:
        for path in paths:
            with path.open("rb") as file:
                maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for tensor, path in where:
            digest.update(json.dumps([tensor.name, tensor.dtype, tensor.shape]).encode())
            with memoryview(maps[path]) as view:
                for start in range(tensor.start, tensor.end, CHUNK_BYTES):
                    with view[start : min(start + CHUNK_BYTES, tensor.end)] as chunk:
                        digest.update(chunk)
                        sound = not finite or _finite(chunk, tensor.dtype)
                    if not sound:
                        raise SafetensorsInvalid(f"{tensor.name!r} holds values that are no numbers, or infinite")
    finally:
        for mapped in maps.values():
            mapped.close()
    return digest.hexdigest()


def _finite(chunk: memoryview, dtype: str) -> bool:
    import numpy as np

    if dtype == "BF16":
        # numpy has none: a value is finite unless all bits of its exponent are set.
        return not bool(((np.frombuffer(chunk, "<u2") & 0x7F80) == 0x7F80).any())
    kind = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}.get(dtype)
    return kind is None or bool(np.isfinite(np.frombuffer(chunk, kind)).all())


def _tensor(name: str, entry: Mapping[str, object], offset: int) -> Tensor:
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not isinstance(shape, list) or not isinstance(offsets, list):
        raise SafetensorsInvalid(f"{name!r} lacks dtype, shape or offsets")
    start, end = (int(number) for number in offsets)
    tensor = Tensor(name, dtype, tuple(int(number) for number in shape), offset + start, offset + end)
    if dtype not in DTYPE_BYTES:
        raise SafetensorsInvalid(f"{name!r} has the unknown dtype {dtype!r}")
    if end - start != prod(tensor.shape) * DTYPE_BYTES[dtype] or start < 0:
        raise SafetensorsInvalid(f"{name!r}: {end - start} bytes do not fit the shape {tensor.shape} of {dtype}")
    return tensor
