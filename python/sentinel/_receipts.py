"""Making receipts: the log's hashes, a head over them, and what leads from record to root."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import _core
from ._enums import Purpose
from ._receipt_enclave import EnclaveProof, named_document
from ._record import Record, RecordType
from .audit import find_record, read_log
from .config import Installed
from .errors import AuditError, KeyFileError, UsageError
from .receipt import Head, build_receipt, make_head


class ReceiptMaker:
    """Keeps the hashes of the log, so that each receipt reads only what is new."""

    def __init__(self, directory: Path, genesis: bytes, engine_id: bytes) -> None:
        self._directory = directory
        self._genesis = genesis
        self._engine_id = engine_id
        self._leaves: list[bytes] = []
        self._policies: dict[bytes, bytes] = {}
        self._epoch = 0
        self._named: dict[int, Record] = {}  # what names the enclave's document, by epoch
        self._lock = threading.Lock()

    def make(self, number: int, sign: Callable[[Head], bytes]) -> dict[str, Any]:
        """The receipt of an order's record; `sign` signs the head.

        Raises UsageError when the record is about something else, AuditError when it is absent.
        """
        with self._lock:
            self._read()
            if number >= len(self._leaves):
                raise AuditError(f"there is no record {number}; the log has {len(self._leaves)}")
            record = find_record(self._directory, number)
            if record.type is not RecordType.ORDER:
                raise UsageError(
                    f"record {number} is of the type {record.type.name.lower()}; receipts are of "
                    "orders",
                    next_step="zcp audit show NUMBER shows any record",
                )
            unsigned = make_head(self._engine_id, self._epoch, self._leaves)
            head = make_head(self._engine_id, self._epoch, self._leaves, sign(unsigned))
            policy = self._policies.get(record.policy_hash)
            enclave = self._enclave(record)
            return build_receipt(record.raw, policy, self._genesis, head, self._leaves, enclave)

    def _enclave(self, record: Record) -> EnclaveProof | None:
        named = self._named.get(record.epoch)
        if named is None or named.number > record.number:
            return None
        try:
            raw = (self._directory / "bundles" / named_document(named).hex()).read_bytes()
        except FileNotFoundError:
            return EnclaveProof(named, None)
        return EnclaveProof(named, raw)

    def _read(self) -> None:
        for record in read_log(self._directory, len(self._leaves)):
            self._leaves.append(record.hash)
            self._epoch = record.epoch
            self._note(record)

    def _note(self, record: Record) -> None:
        """Which record took which policy; of two that took the same the first."""
        if record.type is RecordType.BUNDLE and record.subject[:2] == b"\2\0":
            self._policies.setdefault(record.subject[24:56], record.raw)
        elif named_document(record):
            self._named.setdefault(record.epoch, record)


def receipt_key(ring: _core.Keyring) -> int:
    """The id of the engine's identity key. Raises KeyFileError when there is none."""
    for key in ring.list():
        if key.purpose == Purpose.RECEIPT:
            return key.id
    raise KeyFileError("the keyring has no identity key")


def make_receipt(installed: Installed, ring: _core.Keyring, number: int) -> dict[str, Any]:
    """The receipt of one record, with the engine's key but without being its writer."""
    maker = ReceiptMaker(installed.directory, installed.genesis.raw, installed.engine_id)
    key = receipt_key(ring)
    return maker.make(number, lambda head: ring.sign_frame(key, "sentinel-head-v1", head.digest))


__all__ = ["ReceiptMaker", "make_receipt", "receipt_key"]
