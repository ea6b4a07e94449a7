"""Where lazily served layers come from: one small protocol, implemented outside this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LayerRequest:
    """What containerd tells about a layer that it is about to unpack.

    Digests have the form `sha256:<64 lower-case hex digits>`. A field is empty where the client
    does not say; only `chain_id` is always there.
    """

    image_ref: str
    """As the client wrote it, not normalised: `name:tag` or `name@digest`."""
    manifest_digest: str
    layer_digest: str
    chain_id: str
    """Of this layer and all below it (OCI image specification, "Layer ChainID")."""
    parent_chain: str
    """Chain ID of the layer below."""
    labels: Mapping[str, str]
    """Everything that came, unverified."""
    bottom: bool
    """No layer is below this one."""


@dataclass(frozen=True, slots=True)
class LayerMount:
    """A layer that is mounted and stays so until it is released."""

    layer: str
    """What the provider calls it; kept with the snapshot and handed back."""
    size: int
    """Bytes to report as the snapshot's disk usage."""
    inodes: int


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A container is about to start on an image whose layers are served lazily.

    Image fields are those of the topmost layer's `LayerRequest`.
    """

    image_ref: str
    manifest_digest: str
    layers: tuple[str, ...]
    """What the provider calls the layers, from the top down."""
    labels: Mapping[str, str]
    """Of the container's snapshot, unverified."""


class ContainerLabels(Protocol):
    """Knows the containers whose snapshots we have."""

    async def labels(self, key: str) -> Mapping[str, str] | None:
        """Return what a container has for its snapshot's labels; `key` is the snapshot's.

        None if it is not there yet, so that to ask again makes sense. Never raises for trouble of
        its own: then there are none.
        """
        ...


class LayerProvider(Protocol):
    """Serves image layers without unpacking them.

    Called concurrently, also for the same layer. Every method may be cancelled, and is when it
    exceeds its time-out. `provide` and `release` of one layer never run at the same time, and
    whatever `provide` handed out is either stored with a snapshot or released.
    """

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        """Mount the layer and return what it is called.

        None: not ours to serve, containerd should unpack it. Any `BootseerError`: we should but
        cannot; containerd unpacks it too, and a warning says why.
        """
        ...

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        """Return, by layer, what the container gets in its place: the same tree, mounted so that
        its start is faster, or recorded. They are stored with the snapshot and released like
        layers. Never raises for trouble of its own: then there are none.
        """
        ...

    def withdraw(self, stand_in: str) -> None:
        """Note that the container was given something else before it started; release follows.

        Never blocks and never raises.
        """
        ...

    async def release(self, layer: str) -> None:
        """Forget the layer: the last snapshot that used it is gone. Unknown ones are ignored."""
        ...

    def path(self, layer: str) -> Path:
        """Return the directory where the layer's tree is, or will be, mounted. Never blocks."""
        ...

    async def ensure(self, layer: str) -> None:
        """Make sure that the layer is mounted. Cheap when it is."""
        ...
