"""Who commands the engine, verified exhaustively: tests/spin/humans.pml (docs/model.md).

Goal: in every order of steps of the model, with a kill between any two of them, no assertion fails
and what people want comes about; and the verifier would see a mistake. Method: Spin's verifier over
all states; then each planted mistake (-DBUG=n), which it must find in the property that it breaks.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

MODEL = Path(__file__).resolve().parents[1] / "spin" / "humans.pml"
SAFETY, HALTS, COMES_THROUGH = "safety", "halts", "comes_through"

# What breaks, and a word of the assertion (or the cycle) that shows it.
BUGS = {
    1: ("one operator resumes", SAFETY, "slot=="),
    2: ("the same operator counts twice", SAFETY, "slot=="),
    3: ("a drain replaces a halt", SAFETY, "seen_halted"),
    4: ("a restart forgets the stop", SAFETY, "seen_halted"),
    5: ("a halt is recorded without its mode", SAFETY, "seen_halted"),
    6: ("a restart gives a lease", SAFETY, "seen_lease"),
    7: ("an answer to another request counts", SAFETY, "seen_by"),
    8: ("the same approver counts twice", SAFETY, "seen_by"),
    9: ("a drain lets everything through", SAFETY, "seen_draining"),
    10: ("nobody asks for the lease", SAFETY, "seen_lease"),
    11: ("a used id is signed again", SAFETY, "seen_signed"),
    12: ("an expired request is signed", SAFETY, "seen_dead"),
    13: ("one approver is enough", SAFETY, "seen_by"),
    14: ("the signature goes out before its record", SAFETY, "seen_signed"),
    15: ("a restart takes the frame again", SAFETY, "kept.took"),
    16: ("a halt has no effect until a restart", SAFETY, "seen_halted"),
    17: ("a rejection is lost", SAFETY, "seen_dead"),
    18: ("what was taken back stays open", SAFETY, "seen_dead"),
    19: ("an order does not look at the stop word", SAFETY, "slot!="),
    20: ("a restart empties the spool", HALTS, "acceptance cycle"),
    21: ("asking again begins anew", COMES_THROUGH, "acceptance cycle"),
}


class Verified(NamedTuple):
    """What the verifier printed."""

    errors: int
    states: float
    text: str


def verify(directory: Path, claim: str, *, bug: int = 0, optimize: str = "-O0") -> Verified:
    """Generates, compiles and runs the verifier of the model."""
    calm = int(claim != SAFETY)
    generate = ("spin", f"-DBUG={bug}", f"-DCALM={calm}", "-a", str(MODEL))
    flags = ("-DSAFETY", "-DNOCLAIM") if claim == SAFETY else ("-DNFAIR=4",)
    build = ("cc", optimize, "-w", "-DMEMLIM=2000", *flags, "-o", "pan", "pan.c")
    words = () if claim == SAFETY else ("-a", "-f", "-N", claim)
    for command in (generate, build):
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)
    done = subprocess.run(
        ("./pan", "-m100000", *words),
        cwd=directory, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    errors = re.search(r"errors: (\d+)", done.stdout)
    states = re.search(r"([\d.e+]+) states, stored", done.stdout)
    assert errors is not None, done.stdout + done.stderr
    assert states is not None, done.stdout
    for cut_off in ("max search depth too small", "out of memory", "Search not completed"):
        assert cut_off not in done.stdout or int(errors[1]), done.stdout
    return Verified(int(errors[1]), float(states[1]), done.stdout)


def show(claim: str, found: Verified, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nspin: {claim}: errors: {found.errors}, {found.states:,.0f} states")


def test_no_order_of_steps_breaks_an_assertion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = verify(tmp_path, SAFETY, optimize="-O2")
    show(SAFETY, found, capsys)
    assert found.errors == 0, found.text
    assert found.states > 100_000


@pytest.mark.long
@pytest.mark.parametrize("claim", [HALTS, COMES_THROUGH])
def test_what_people_want_comes_about(
    claim: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = verify(tmp_path, claim, optimize="-O2")
    show(claim, found, capsys)
    assert found.errors == 0, found.text
    assert found.states > 100_000


@pytest.mark.parametrize(
    "bug", [pytest.param(n, marks=[] if n in {1, 8, 14, 21} else pytest.mark.long) for n in BUGS]
)
def test_a_planted_mistake_is_found(bug: int, tmp_path: Path) -> None:
    words, claim, sign = BUGS[bug]
    found = verify(tmp_path, claim, bug=bug)
    assert found.errors > 0, words
    shown = [line for line in found.text.splitlines() if line.startswith("pan:1:")]
    assert shown, found.text
    assert sign in shown[0], words
