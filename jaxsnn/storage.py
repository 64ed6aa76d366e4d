"""Storage of spikes for the backward pass: floats, one byte each, or one bit each."""

from typing import Literal

import jax.numpy as jnp

from jaxsnn.typing import Array, DTypeLike, Sends

Storage = Literal["floats", "bytes", "bits"]
"""`floats` holds any numbers, `bytes` whole numbers in [-128, 127] (signed spikes, counts), `bits` zeros and ones.

Values outside the range of a format are corrupted silently. Networks choose the format by `storage_of`, so that counts
and other numbers are never stored as bits.
"""


def storage_of(sends: Sends, *, pack: bool) -> Storage:
    """The smallest format that holds the values a layer sends; spikes in bits if `pack`."""
    if sends == "spikes":
        return "bits" if pack else "bytes"
    return "bytes" if sends == "counts" else "floats"


def check_storage(how: str) -> None:
    """Raises ValueError unless `how` is one of `Storage`."""
    if how not in ("floats", "bytes", "bits"):
        raise ValueError(f"the storage of spikes must be 'floats', 'bytes' or 'bits', got {how!r}")


def store(x: Array, how: Storage) -> Array:
    """Stores `[N, ...]`; eight samples of the leading axis share a byte where `how` is `"bits"` (N rounded up)."""
    if how == "floats":
        return x
    if how == "bytes":
        return x.astype(jnp.int8)
    bits = jnp.pad(x.astype(jnp.uint8), ((0, -len(x) % 8), *((0, 0),) * (x.ndim - 1)))
    bits = bits.reshape(-1, 8, *x.shape[1:])
    packed = bits[:, 0]
    for place in range(1, 8):
        packed = packed | (bits[:, place] << place)
    return packed


def restore(stored: Array, how: Storage, length: int, dtype: DTypeLike) -> Array:
    """`[N, ...]` as it was, `length` = N; bytes and bits come as int8, to be converted where they are used."""
    if how == "floats":
        return stored.astype(dtype)
    if how == "bytes":
        return stored
    bits = jnp.stack([(stored >> place) & 1 for place in range(8)], 1)
    return bits.reshape(-1, *stored.shape[1:])[:length].astype(jnp.int8)
