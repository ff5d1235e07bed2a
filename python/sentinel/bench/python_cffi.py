"""The installed library through cffi, in ABI mode: what a binding costs that nobody compiled.

Only what is measured; a whole binding of the headers is in the source tree's tests.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

from .._enums import Environment
from ..errors import raise_status
from .peer import PeerMissing
from .peers_python import need

__all__ = ["CffiCore", "CffiEngine"]

LIBRARIES: Final = ("build/core/release/libsentinel.so", "libsentinel.so")
"""Of a source tree, and installed; before both, what SENTINEL_LIB names."""
OUTCOME_BYTES: Final = 16_384
"""More than a sentinel_outcome has."""
ALLOWED: Final = 1
HEADER: Final = """
    typedef struct {
        const char *passphrase;
        size_t passphrase_size;
        uint64_t segment_bytes, state_bytes_min, snapshot_every;
        uint32_t nonces;
        uint8_t durability, snapshot_risk, reserved[2];
    } sentinel_engine_options;
    int sentinel_order_check(uint16_t *reason, const void *order, size_t size, uint8_t environment);
    int sentinel_engine_open(void **engine, const char *directory,
                             const sentinel_engine_options *options, int64_t now_ns);
    void sentinel_engine_close(void *engine, int64_t now_ns);
    void *sentinel_engine_context(void *engine);
    int sentinel_session_open(uint64_t *session, const void *context, uint32_t agent);
    int sentinel_engine_sign(void *engine, uint8_t *outcome, uint64_t *session, const void *order,
                             size_t size, int64_t now_ns);
    int sentinel_engine_fill(void *engine, uint32_t *made);
"""


class CffiCore:
    """The library. Raises PeerMissing where there is no cffi, or no library."""

    def __init__(self) -> None:
        cffi, _ = need("cffi", "cffi")
        self.ffi: Any = cffi.FFI()
        self.ffi.cdef(HEADER)
        self.lib: Any = self._library()
        self._reason = self.ffi.new("uint32_t *")

    def _library(self) -> Any:
        named = os.environ.get("SENTINEL_LIB")
        for name in (named,) if named else LIBRARIES:
            path = str(Path(name).resolve()) if Path(name).exists() else name
            try:
                return self.ffi.dlopen(path)
            except OSError:
                continue
        raise PeerMissing("name libsentinel.so in SENTINEL_LIB (make build, or make install)")

    def buffer(self, data: bytes) -> Any:
        """Bytes of C's, which live as long as the answer."""
        return self.ffi.new("uint8_t[]", data)

    def check(self, order: Any) -> int:
        """What `_core.order_check` is: the status and the reason of an order's form."""
        reason = self.ffi.cast("uint16_t *", self._reason)
        status: int = self.lib.sentinel_order_check(reason, order, len(order), Environment.TEST)
        return status or int(self._reason[0])

    def open(self, directory: Path, passphrase: bytes, nonces: int, agent: int) -> CffiEngine:
        """Becomes an engine's writer, for one agent; its pools begin full."""
        return CffiEngine(self, directory, passphrase, nonces, agent)


class CffiEngine:
    """One engine through cffi, and one agent's session."""

    def __init__(
        self, core: CffiCore, directory: Path, passphrase: bytes, nonces: int, agent: int
    ) -> None:
        ffi, self._lib = core.ffi, core.lib
        secret = ffi.new("char[]", passphrase)
        options = ffi.new("sentinel_engine_options *")
        options.passphrase, options.passphrase_size = secret, len(passphrase)
        options.nonces, options.snapshot_risk, options.durability = nonces, 1, 2
        engine = ffi.new("void **")
        self._raise(
            self._lib.sentinel_engine_open(engine, os.fsencode(directory), options, time.time_ns())
        )
        self._engine = engine[0]
        self._session = ffi.new("uint64_t[4]")
        self._outcome = ffi.new("uint8_t[]", OUTCOME_BYTES)
        self._made = ffi.new("uint32_t *")
        self.order = ffi.new("uint8_t[]", 384)
        self._action_id = ffi.cast("uint64_t *", self.order + 16)
        self._size = 0
        context = self._lib.sentinel_engine_context(self._engine)
        self._raise(self._lib.sentinel_session_open(self._session, context, agent))
        while self.fill():
            pass

    @staticmethod
    def _raise(status: int) -> None:
        if status:
            raise_status(status, "cffi")

    def stamp(self, order: bytes) -> None:
        """The order that is signed again and again."""
        self._size = len(order)
        self.order[0 : len(order)] = order

    def fill(self) -> int:
        """Adds a batch of nonces to each pool that has room; how many in all."""
        self._raise(self._lib.sentinel_engine_fill(self._engine, self._made))
        made: int = self._made[0]
        return made

    def sign(self, order: Any) -> None:
        """One signature under the next action id. Raises ValueError when it is refused."""
        self._action_id[0] += 1
        status = self._lib.sentinel_engine_sign(
            *(self._engine, self._outcome, self._session, order, self._size, time.time_ns())
        )
        if status or self._outcome[0] != ALLOWED:
            raise ValueError(f"refused: status {status}, reason {self._outcome[2]}")

    def close(self) -> None:
        """Safe to call again."""
        if self._engine is not None:
            self._lib.sentinel_engine_close(self._engine, time.time_ns())
            self._engine = None
