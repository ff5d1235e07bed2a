"""Would the schedules of a hostile host notice? The code is broken on purpose, one place a time.

    PYTHONPATH=python:tests/enclave python tests/enclave/hostile_mutants.py --only WORD --count 100

Each mistake is planted in a copy of the tree; schedules must find it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
MUTANTS: dict[str, tuple[str, str, str]] = {
    "orders need no grant": (
        "core/src/gate_grant.c",
        "if (grant->epoch != state->epoch || state->record_count >= grant->record_end) {",
        "if (0) {",
    ),
    "a grant is one record longer": (
        "core/src/gate_grant.c",
        "state->record_count >= grant->record_end",
        "state->record_count > grant->record_end",
    ),
    "a grant of another epoch counts": (
        "core/src/gate_grant.c",
        "grant->epoch != state->epoch || state->record_count",
        "state->record_count",
    ),
    "spending has no end": (
        "core/src/gate_grant.c",
        "grant->spent > grant->spend_end || value > grant->spend_end - grant->spent",
        "0",
    ),
    "what may be hidden is not charged": (
        "core/src/gate_grant.c",
        "made->counted_orders = grant->known_record_end - from;",
        "made->counted_orders = 0;",
    ),
    "no lease is needed": (
        "core/src/gate.c",
        "c->now_ns >= gate_state(context)->lease_until_ns",
        "0",
    ),
    "a record is not written": (
        "core/src/gate_record.c",
        "        if (context->log != NULL) {\n            SENTINEL_TRY(log_append(",
        "        if (context->log != NULL && entry->type != SENTINEL_RECORD_ORDER) {\n"
        "            SENTINEL_TRY(log_append(",
    ),
    "an action id is good twice": (
        "core/src/gate_resolve.c",
        "sentinel_decision_refuse(decision, SENTINEL_REASON_DUPLICATE);",
        "",
    ),
    "associated data of blobs is left out": (
        "enclave/daemon/gcm.c",
        "(int)place->beside_size",
        "8",
    ),
    "the commitment is not compared": (
        "enclave/daemon/root.c",
        "if (!bytes_equal(found32, commitment32, 32)) {",
        "if (!bytes_equal(found32, commitment32, 0)) {",
    ),
    "the root is wrapped in clear": (
        "enclave/daemon/root.c",
        "    bytes_wipe(shared, sizeof shared);\n    bytes_wipe(key32, sizeof key32);\n"
        "    return status;\n}\n\nsentinel_status root_wrapped_check",
        "    memcpy(wrapped->sealed32, secret->secret32, 32);\n    return status;\n}\n\n"
        "sentinel_status root_wrapped_check",
    ),
    "the key of the keys is on the console": (
        "enclave/daemon/lobby.c",
        "bytes_to_hex(l->passphrase, key32, sizeof key32);",
        "bytes_to_hex(l->passphrase, key32, sizeof key32);\n"
        '    (void)fprintf(stderr, "%.20s\\n", l->passphrase);',
    ),
    "a lobby message may be longer than its room": (
        "enclave/daemon/lobby.c",
        "padded > size - sizeof head ||",
        "",
    ),
    "a frame's tag is not looked at": (
        "enclave/daemon/channel.c",
        "EVP_DecryptFinal_ex(side->cipher, none, &written) != 1",
        "0",
    ),
    "one proof is enough": (
        "core/src/frame.c",
        "threshold != 0 && frame->proof_count >= threshold",
        "threshold != 0 && frame->proof_count >= 1",
    ),
    "proofs are not verified": (
        "core/src/frame.c",
        "crypto_sign_verify_detached(",
        "0 * crypto_sign_verify_detached(",
    ),
}


def planted(name: str) -> Path:
    """A copy of the tree with one mistake in it."""
    copy = TOP.parent / f"{TOP.name}-mutant"
    for folder in ("core", "enclave", "tests", "python"):
        shutil.rmtree(copy / folder, ignore_errors=True)
        shutil.copytree(TOP / folder, copy / folder, symlinks=True)
    file, old, new = MUTANTS[name]
    text = (copy / file).read_text()
    assert text.count(old) >= 1, f"{name}: {file} has no such place"
    (copy / file).write_text(text.replace(old, new))
    for other, _, _ in MUTANTS.values():  # the last one's is whole again, and must be built
        os.utime(copy / other)
    keys = TOP / "build" / "daemon" / "fake_rsa.pem"
    (copy / "build" / "daemon").mkdir(parents=True, exist_ok=True)
    shutil.copy(keys, copy / "build" / "daemon" / "fake_rsa.pem")
    return copy


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--count", type=int, default=150)
    words = parser.parse_args()
    missed = 0
    for name in MUTANTS:
        if words.only not in name:
            continue
        copy = planted(name)
        command = [sys.executable, "-W", "ignore", copy / "tests/enclave/hostile_run.py", "--json"]
        done = subprocess.run(
            [*command, "--count", str(words.count), "--stop"],
            env=os.environ | {"PYTHONPATH": f"{copy}/python:{copy}/tests/enclave"},
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            told = json.loads(done.stdout)
            found, after = told["problems"], told["schedules"]
        except ValueError:
            found, after = [done.stderr.strip().splitlines()[-1]], 0
        missed += not found
        print(
            f"{'caught' if found else 'MISSED'} after {after}: {name}: {found[0] if found else ''}"
        )
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
