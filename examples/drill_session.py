"""The stop, drilled on the session of `make run`: its firm, agents and orders, and 1,000 halts.

    python examples/drill_session.py [ROUNDS]

Makes an engine under build/ with the policy of firm.yaml, fresh keys for its six venues, and three
operators of whom two resume. What ends a session by itself (rates, daily and rolling limits) is
raised, so that it is signed without a pause while the drill lasts; everything else is judged as in
the session. Then it runs `zcp drill`, which sends nothing, and `zcp drill verify`.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
EXAMPLES = TOP / "examples"
sys.path.insert(0, str(TOP))  # the venues' keys are made in examples/

from examples.six_venues import engine_keys  # noqa: E402
from sentinel import Signer  # noqa: E402
from sentinel._cli import main as zcp  # noqa: E402
from sentinel._people import Founders  # noqa: E402
from sentinel.config import create_engine  # noqa: E402


def without_ends(policy: str) -> str:
    """The policy with rates, daily and rolling limits that no drill reaches."""
    lines = []
    for line in policy.splitlines():
        raised = re.sub(r"\b\d[\d_]*/(s|min|h)\b", "10000/s", line)
        if "window" in line or "daily_limit" in line:
            raised = re.sub(r"\b\d[\d_]*[kM] USD", "1000000M USD", raised)
        lines.append(raised)
    return "\n".join(lines) + "\n"


def main() -> int:
    """Makes the engine, drills a copy of it, and checks the report; the drill's exit status."""
    rounds = sys.argv[1] if len(sys.argv) > 1 else "1000"
    build = TOP / "build"
    build.mkdir(exist_ok=True)
    top = Path(tempfile.mkdtemp(prefix="drill-", dir=build))
    directory, secret = top / "engine", secrets.token_hex(16)
    now = time.time_ns()
    create_engine(directory, secret.encode(), now_ns=now, authority=Founders.of(operators=(3, 2)))
    engine_keys(directory, secret.encode())
    with Signer.open(directory, passphrase=secret) as signer:
        text = without_ends((EXAMPLES / "firm.yaml").read_text())
        signer.load_policy(text, file="firm.yaml", base=EXAMPLES)
    (top / "passphrase").write_text(secret)
    (top / "passphrase").chmod(0o600)
    os.environ["ZCP_PASSPHRASE_FILE"] = str(top / "passphrase")
    people = directory / "keys" / "people"
    status = zcp(
        [
            *("drill", "--dir", str(directory), "--rounds", rounds, "--out", str(top)),
            *("--orders", str(EXAMPLES / "session.jsonl")),
            *("--key", str(people / "operator-1.key"), "--key", str(people / "operator-3.key")),
        ]
    )
    for report in top.glob("drill-*.md"):
        status |= zcp(
            ["drill", "verify", str(report), "--expect", str(directory / "expectation.json")]
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
