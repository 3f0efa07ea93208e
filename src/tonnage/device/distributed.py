"""Torch's distributed checkpoints (DCP), read as data.

A checkpoint may come from anybody. Torch's own reader takes its index (`.metadata`) with `pickle`, which runs what a
file says, and values that are no tensors with `weights_only=False`, which does as well. Here an index may hold the
classes of an index and nothing else, its parts lie in the folder itself, and every value is read with
`weights_only=True`.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.metadata import Metadata

INDEX = "torch.distributed.checkpoint.metadata"

HELD: Mapping[str, tuple[str, ...]] = {
    INDEX: (
        "Metadata", "MetadataIndex", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata",
        "TensorProperties", "StorageMeta", "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.serialization": ("_get_layout",),
    "torch": ("Size",),
    "pathlib": ("Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"),
    "pathlib._local": ("Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"),
}  # fmt: skip
"""What an index of torch 2.13 is made of, by module; formats of elements (`torch.float32`) besides."""

MOST_INDEX = 64 * 2**20
"""Largest index that is read [byte]."""


class Unsafe(ValueError):
    """A checkpoint that holds what is no data."""


class _IndexUnpickler(pickle.Unpickler):
    """Takes the classes of an index."""

    def find_class(self, module: str, name: str) -> Any:
        """The class, if an index may hold it."""
        import torch

        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        if name not in HELD.get(module, ()):
            raise Unsafe(f"its index names {module[:60]}.{name[:60]}, which is no part of one")
        return super().find_class(module, name)


def index(path: Path) -> Metadata:
    """The index in a file. Raises Unsafe for one that holds anything else."""
    from torch.distributed.checkpoint.metadata import Metadata

    if path.stat().st_size > MOST_INDEX:
        raise Unsafe(f"its index has more than {MOST_INDEX:,} bytes")
    with path.open("rb") as file:
        try:
            found = _IndexUnpickler(file).load()
        except (Unsafe, OSError):
            raise
        except Exception as error:  # whatever a damaged pickle raises
            raise Unsafe(f"its index cannot be read: {type(error).__name__}") from None
    if not isinstance(found, Metadata) or not isinstance(found.storage_data, dict):
        raise Unsafe("its index is none")
    for part in found.storage_data.values():
        name = str(part.relative_path)
        if os.path.basename(name) != name or name in ("", ".", ".."):  # noqa: PTH119 (a name, as it is written)
            raise Unsafe(f'its index names "{name[:60]}", which is not in its folder')
    return found


def reader(folder: Path) -> FileSystemReader:
    """Torch's reader of a folder, with an index that is read as data."""
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.metadata import StorageMeta

    class DataReader(FileSystemReader):
        def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
            rank = kwargs.get("rank")
            found = index(Path(str(self._get_metadata_path(rank))))
            if found.storage_meta is None:
                found.storage_meta = StorageMeta()
            found.storage_meta.load_id = self.load_id
            return found

    return DataReader(folder)


def load(held: dict[str, Any], folder: Path, *, alone: bool) -> None:
    """The values of a checkpoint into those that are held, by one process or by all of a group.

    Raises Unsafe for a checkpoint that holds what is no data.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

    class DataPlanner(DefaultLoadPlanner):
        def load_bytes(self, read_item: Any, value: Any) -> None:
            from torch.distributed.checkpoint._nested_dict import set_element

            name = read_item.dest_index.fqn
            found = data(value)
            if self.flatten_state_dict:
                set_element(self.original_state_dict, self.mappings[name], found)
            else:
                self.state_dict[name] = found

    dcp.load(held, storage_reader=reader(folder), planner=DataPlanner(), no_dist=alone)


def data(value: Any) -> object:
    """One value that was saved by torch, and nothing that runs. Raises Unsafe."""
    import torch

    try:
        found: object = torch.load(value, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise Unsafe(f"it holds what is no data: {' '.join(str(error).split())[:80]}") from None
    return found
