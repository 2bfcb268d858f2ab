"""The protocol of a store: five operations on whole objects, by relative name."""

from typing import Protocol


class Store(Protocol):
    """Objects under one location. Names are relative, with `/` between parts."""

    @property
    def location(self) -> str:
        """The URI this store is rooted at."""
        ...

    def read(self, name: str) -> bytes:
        """All bytes of an object; `NotFound` if there is none."""
        ...

    def create(self, name: str, payload: bytes) -> None:
        """Make an object, whole and durable when this returns; `AlreadyExists` if it is there.

        Atomic: of two racing creates of one name exactly one succeeds, and no reader ever sees a
        part. A `StoreError` other than `AlreadyExists` leaves the outcome unknown: read to find
        out. A network library may repeat a request whose answer was lost, and then `AlreadyExists`
        is about our own object; whoever must know compares what is there (`settle`).
        """
        ...

    def list(self, prefix: str) -> list[str]:
        """Names of all objects below a folder, sorted. Complete for objects created before."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object; no error if it is not there."""
        ...
