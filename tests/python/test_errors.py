"""Goal: every status and reason has an exception, advice and a line in the docs, and none is stale.

Method: the tables of the core are read with an own pattern; generated files are made again.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from sentinel import _advice, errors
from sentinel._status import REASON_CODE, REASON_TEXT, STATUS_TEXT, Reason, Status

TOP = Path(__file__).resolve().parents[2]
HEADERS = TOP / "core" / "include" / "sentinel"
STATUSES = re.findall(
    r"^SENTINEL_STATUS\((\w+), +(0x\w+),", (HEADERS / "status.def").read_text(), re.MULTILINE
)
REASONS = re.findall(
    r'^SENTINEL_REASON\((\w+), +(\d+), "(\w+)"', (HEADERS / "reason.def").read_text(), re.MULTILINE
)


def test_the_tables_are_those_of_the_core() -> None:
    assert {name: int(number, 16) for name, number in STATUSES} == {s.name: s for s in Status}
    assert {name: int(number) for name, number, _ in REASONS} == {r.name: r for r in Reason}
    assert {int(number): code for _, number, code in REASONS} == REASON_CODE
    assert set(STATUS_TEXT) == set(Status)
    assert set(REASON_TEXT) == set(Reason)


def test_generated_files_are_fresh() -> None:
    script = TOP / "tests" / "golden" / "make_status.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_status_and_reason_has_advice() -> None:
    assert set(_advice.STATUS) == {name for name, _ in STATUSES} - {"OK"}
    assert set(_advice.REASON) == {name for name, _, _ in REASONS}


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_each_status_raises_its_exception_with_diagnostics(status: Status) -> None:
    with pytest.raises(errors.SentinelError) as caught:
        errors.raise_status(status, "engine/log", errno=13)
    error = caught.value
    assert type(error) is errors.exception_of(status)
    assert error.status == status
    lines = error.diagnostics().split("\n")
    assert lines[0].startswith(f"engine/log: {STATUS_TEXT[status]} (Permission denied)")
    assert lines[1].startswith("likely cause: ")
    assert lines[2].startswith("next step: ")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.USAGE_STATE, errors.UsageError),
        (Status.FORMAT_RANGE, errors.PolicyInvalid),
        (Status.POLICY_SEQUENCE, errors.PolicyInvalid),
        (Status.POLICY_ABSENT, errors.EngineHalted),
        (Status.AUDIT_CORRUPT, errors.AuditCorrupt),
        (Status.AUDIT_FULL, errors.AuditError),
        (Status.KEY_PASSPHRASE, errors.KeyFileError),
        (Status.CRYPTO_VERIFY, errors.VerificationFailed),
        (Status.IO_LOCKED, errors.EngineLocked),
        (Status.IO_SPACE, errors.StorageError),
        (Status.INTERNAL, errors.InternalError),
    ],
)
def test_statuses_map_to_the_documented_exceptions(
    status: Status, kind: type[errors.SentinelError]
) -> None:
    assert errors.exception_of(status) is kind


def test_an_unknown_status_is_an_internal_error() -> None:
    assert errors.exception_of(0x7777) is errors.InternalError
    with pytest.raises(errors.InternalError, match="unknown status 0x7777"):
        errors.raise_status(0x7777)


def test_exit_statuses_do_not_collide_with_the_shell_or_each_other() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_status for kind in kinds if issubclass(kind, errors.SentinelError)}
    assert 0 not in codes
    assert max(codes) < 126
    assert errors.PolicyDenied.exit_status == 3


def denied() -> errors.PolicyDenied:
    return errors.PolicyDenied(
        "value_cap",
        record=7,
        epoch=1,
        reasons=["value_cap", "rate_limit"],
        failed=[
            errors.FailedConstraint(
                type="value_cap",
                node="firm",
                name="max_value",
                value=600,
                bound=500,
                value_text="600 USD",
                bound_text="500 USD",
                suggestion="make the order smaller",
                max_allowed="500 USD",
                retry_after_ns=1,
            ),
            errors.FailedConstraint("rate_limit", "firm", "", 2, 1, retry_after_ns=2_500_000_000),
        ],
    )


def test_a_denial_names_every_failed_constraint() -> None:
    text = denied().diagnostics()
    assert "refused: the value is above the cap for one action (value_cap), record 7" in text
    assert "failed: value_cap 'max_value' of firm: 600 USD, bound 500 USD" in text
    assert "  make the order smaller" in text
    assert "failed: rate_limit of firm: 2, bound 1" in text
    assert denied().number == Reason.VALUE_CAP
    assert denied().reasons == ("value_cap", "rate_limit")


def test_a_denial_says_how_much_and_how_long() -> None:
    assert denied().max_allowed == "500 USD"
    assert denied().retry_after == timedelta(seconds=2.5)
    assert denied().failed[0].retry_after == timedelta(microseconds=1)  # rounded up


def test_time_helps_only_if_it_heals_every_failure() -> None:
    failed = [*denied().failed, errors.FailedConstraint("sides", "firm", "sides", 1, 4)]
    assert errors.PolicyDenied("side_not_allowed", failed=failed).retry_after is None
    assert errors.PolicyDenied("kill_switch").retry_after is None


def test_a_failed_signature_names_reason_and_status() -> None:
    error = errors.SigningFailed("audit_failed", status=Status.IO_SPACE, record=3, epoch=1)
    assert "audit_failed" in str(error)
    assert STATUS_TEXT[Status.IO_SPACE] in str(error)
    assert "make room" in error.next_step
    assert "writable" in errors.SigningFailed("audit_failed").next_step


def test_a_config_error_names_its_place_and_what_follows() -> None:
    later = errors.ConfigError("two", file="p.yaml", line=4, column=2)
    error = errors.ConfigError(
        "one", file="p.yaml", line=3, column=7, next_step="write 1", also=[later]
    )
    assert str(error) == "p.yaml:3:7: one"
    assert error.diagnostics() == "p.yaml:3:7: one\nnext step: write 1\np.yaml:4:2: two"
    assert str(errors.ConfigError("x")) == "<text>: x"


def test_an_invalid_order_carries_the_advice_of_its_reason() -> None:
    error = errors.OrderInvalid("bad price", reason=Reason.TICK)
    assert error.next_step == _advice.REASON["TICK"]
    assert errors.OrderInvalid("bad").next_step == ""
