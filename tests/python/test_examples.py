"""The examples run: the session, the agent in Python, the engine in C.

The session is cut short here; `make run` plays it whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from engines import MARKS, PASSPHRASE, make_engine

from examples.six_venues import KEYS, MASTER
from sentinel._enums import Algorithm, Venue, label
from sentinel._policy_draft import stable_id

TOP = Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "examples"


def run(*command: str | Path, light: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user would: with keys that cost what live keys cost, unless `light`."""
    environment = {name: v for name, v in os.environ.items() if name != "ZCP_LIGHT_KEYS"}
    environment |= {"ZCP_LIGHT_KEYS": "1"} if light else {}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_session_file_is_what_its_script_writes() -> None:
    written = run(sys.executable, EXAMPLES / "make_session.py")
    assert written.stdout == (EXAMPLES / "session.jsonl").read_text()


def test_session_is_judged_recorded_verified_and_replayed(tmp_path: Path) -> None:
    part = tmp_path / "part.jsonl"
    lines = (EXAMPLES / "session.jsonl").read_text().splitlines(keepends=True)
    part.write_text("".join(lines[:1500]))
    done = run(sys.executable, EXAMPLES / "run_session.py", part, "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    orders = sum(1 for line in lines[:1500] if '"order"' in line)
    assert counts["actions"] == orders
    assert counts["intact"] is True
    assert sum(counts["allowed"].values()) + sum(counts["refused"].values()) == orders
    # What the script broke on purpose was refused for that, and for nothing else.
    assert {"value_cap", "price_collar", "destination_not_allowed", "duplicate"} <= set(
        counts["refused"]
    )
    assert set(counts["allowed"]) == {
        *("maker", "taker", "trend", "hedge", "basis", "arb", "vol", "onchain", "treasurer")
    }
    # Every venue took all that was allowed, cancelled at the end or asked, and nothing twice.
    assert len(counts["sent"]) == 6
    assert sum(counts["sent"].values()) == sum(counts["allowed"].values())
    for venue, sent in counts["sent"].items():
        seen = counts["venues"][venue]
        more = counts["cancelled_last"].get(venue, 0) + counts["asked"].get(venue, 0)
        assert (seen["accepted"], seen["refused"], seen["duplicates"]) == (sent + more, 0, 0)
    # What they answered was fed, and the engine knows that nothing rests and what is held.
    fed = counts["fed"]
    assert fed["reports"] > orders / 2
    assert fed["frames"] < fed["reports"]
    assert (fed["open_orders"], fed["stops"], fed["silent"]) == (0, 0, 0)
    assert fed["positions"] > 15


def test_agent_signs_what_a_new_engine_allows(tmp_path: Path) -> None:
    made = run(sys.executable, "-m", "sentinel", "init", "--dir", tmp_path / "engine")
    assert made.returncode == 0, made.stderr
    done = run(sys.executable, EXAMPLES / "agent.py", tmp_path / "engine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("signed ") == 2
    assert "refused" in done.stdout


def key_command(
    zcp: tuple[str, ...],
    common: tuple[str | Path, ...],
    name: str,
    venue: Venue,
    algorithm: Algorithm,
) -> tuple[str | Path, ...]:
    """`zcp key generate`, for one of the keys that firm.yaml grants."""
    purpose = "venue_master" if name == MASTER else "venue"
    api_key = () if venue is Venue.HYPERLIQUID else ("--api-key", "test")
    words = ("--purpose", purpose, "--venue", label(venue), "--algorithm", label(algorithm))
    return (*zcp, "key", "generate", name, *words, *api_key, *common)


def test_engine_in_c_signs_and_is_refused(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    zcp = (sys.executable, "-m", "sentinel")
    common = ("--dir", engine, "--passphrase-file", passphrase)
    for command in (
        (*zcp, "init", "--environment", "test", *common),
        *(key_command(zcp, common, *row) for row in KEYS),
        (*zcp, "policy", "load", EXAMPLES / "firm.yaml", *common),
        (*zcp, "mark", "set", "BTCUSDT", "50000.00", *common),
    ):
        done = run(*command, light=True)  # a dozen of them
        assert done.returncode == 0, (command, done.stderr)

    program = tmp_path / "program"
    core = TOP / "build" / "core" / "release"
    flags = ("-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{TOP / 'core' / 'include'}")
    built = run(
        "cc",
        *flags,
        EXAMPLES / "engine.c",
        "-o",
        program,
        f"-L{core}",
        "-lsentinel",
        f"-Wl,-rpath,{core}",
    )
    assert built.returncode == 0, built.stderr
    agent = str(stable_id("node", "acme/trading/spot/taker"))
    instrument = str(stable_id("instrument", "BTCUSDT"))
    done = run(program, engine, passphrase, agent, instrument, "50000.00", "3")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert ["signed" in line for line in lines] == [True, True, True, False], done.stdout
    assert "value_cap" in lines[3] or "quantity_cap" in lines[3]
    audited = run(*zcp, "audit", "verify", "--dir", engine)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_the_ladder_is_signed_in_one_call_and_says_what_was_refused(tmp_path: Path) -> None:
    made = make_engine(tmp_path / "engine")
    with made.open() as signer:
        signer.feed_marks(MARKS)
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    done = subprocess.run(
        [
            *(sys.executable, EXAMPLES / "ladder.py", made.directory, "--agent", "maker"),
            *("--instrument", "BTCUSDT", "--price", "65000.00", "--step", "50000", "--count", "8"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ZCP_PASSPHRASE_FILE": str(secret)},
    )
    assert done.returncode == 0, done.stderr
    # Steps of 500: within 5 % of 65,000 are 65,000 to 61,750.
    assert "signed 7 of 8" in done.stdout
    assert "1 refused: the price is too far from the mark (price_collar)" in done.stdout
    assert "symbol=BTCUSDT&side=BUY" in done.stdout
