"""examples/aws: what a stack of it would allow, refuse and start.

Goal: a reader can copy it, and it lets no more be done than docs/enclave.md says. Method: cfn-lint,
with its own copies of AWS's schemas and no network; the template resolved with parameters and its
statements judged one by one; its script parsed by bash; the units read.
No stack was ever made of it here.
"""

from __future__ import annotations

import configparser
import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_template import AWS, Template
from fake_kms import FakeKms

from sentinel._doctor import allocator_pools
from sentinel._enclave_store import LOBBY_SECONDS
from sentinel.attestation import AWS_ROOT_G1

UNITS = sorted(AWS.glob("*.service"))
PCR0, PCR8 = "ab" * 48, "ef" * 48
ADMINISTRATOR = "arn:aws:iam::111122223333:role/key-administrators"
CFN_LINT = [sys.executable, "-c", "from cfnlint.runner import main; main()"]
OPENING = {"kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:ReEncryptFrom"}
ROLE = "arn:aws:iam::444455556666:role/sentinel-parent"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/0123"
TEMPLATES = ("key.yaml", "parent.yaml")


def key(**given: Any) -> Template:
    return Template(
        "key.yaml",
        **{"Pcr0": PCR0, "KeyAdministratorArn": ADMINISTRATOR, "ParentRoleArn": ROLE, **given},
    )


def parent(**given: Any) -> Template:
    return Template("parent.yaml", **given)


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    """cfn-lint, where no proxy could be reached if it asked for anything."""
    unreachable = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(
        [*CFN_LINT, "-r", "eu-central-1", "us-east-1", "-t", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | unreachable,
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_cfn_lint_finds_nothing(name: str) -> None:
    done = lint(AWS / name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("KeySpec: ECC_NIST_P384", "KeySpec: ECC_NIST_P38", "E3030"),
        ("RetentionInDays: 365", "RetentionInDays: 366", "E3030"),
        ("KeyUsage: KEY_AGREEMENT", "KeyUses: KEY_AGREEMENT", "E3002"),
    ],
)
def test_cfn_lint_would_find_it(tmp_path: Path, right: str, wrong: str, rule: str) -> None:
    (text,) = [text for name in TEMPLATES if right in (text := (AWS / name).read_text())]
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(right, wrong))
    done = lint(broken)
    assert done.returncode != 0
    assert rule in done.stdout


def statements(template: Template) -> list[dict[str, Any]]:
    found = template.resource("RootKey")["KeyPolicy"]["Statement"]
    assert all(isinstance(each["Principal"], dict) for each in found)
    return list(found)


def actions(statement: dict[str, Any]) -> set[str]:
    found = statement["Action"]
    return {found} if isinstance(found, str) else set(found)


def test_the_key_opens_for_the_role_and_the_measured_image_alone() -> None:
    allowed = [each for each in statements(key()) if each["Effect"] == "Allow"]
    opening = [each for each in allowed if actions(each) & OPENING or "*" in str(each["Action"])]
    assert len(opening) == 1
    (only,) = opening
    assert only["Principal"] == {"AWS": ROLE}
    assert actions(only) == {"kms:DeriveSharedSecret"}
    condition = {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0}}
    assert only["Condition"] == condition


def test_without_a_document_or_with_another_image_it_is_denied_to_everybody() -> None:
    denied = [each for each in statements(key()) if each["Effect"] == "Deny"]
    by_action = {action: each for each in denied for action in actions(each)}
    assert {*by_action} == {"kms:DeriveSharedSecret", "kms:CreateGrant", "kms:PutKeyPolicy"}
    assert all(each["Principal"] == {"AWS": "*"} for each in denied)
    condition = {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0}}
    assert by_action["kms:DeriveSharedSecret"]["Condition"] == condition
    assert "Condition" not in by_action["kms:CreateGrant"]
    assert "Condition" not in by_action["kms:PutKeyPolicy"]


def test_a_signed_image_needs_both_registers() -> None:
    found = statements(key(Pcr8=PCR8))
    allow = next(each for each in found if each["Effect"] == "Allow" and actions(each) & OPENING)
    assert allow["Condition"]["StringEqualsIgnoreCase"] == {
        "kms:RecipientAttestation:PCR0": PCR0,
        "kms:RecipientAttestation:PCR8": PCR8,
    }
    deny = [each for each in found if each["Effect"] == "Deny" and actions(each) & OPENING]
    assert [each["Condition"] for each in deny] == [
        {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0}},
        {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR8": PCR8}},
    ], "one statement for each: a statement denies only where all of its conditions hold"


def test_nobody_may_write_another_policy_and_administrators_may_not_use_the_key() -> None:
    allowed = [each for each in statements(key()) if each["Effect"] == "Allow"]
    principals = [each["Principal"]["AWS"] for each in allowed]
    assert principals == [ROLE, ADMINISTRATOR], "the account is not among them"
    administration = actions(allowed[1])
    assert not administration & (OPENING | {"kms:CreateGrant", "kms:PutKeyPolicy"})
    assert not any("*" in action for action in administration)
    assert key().resource("RootKey")["BypassPolicyLockoutSafetyCheck"] is True


def asked(template: Template, context: dict[str, str], principal: str = ROLE) -> bool:
    """Whether the fake KMS, which judges statements by itself, would open the key."""
    policy = template.resource("RootKey")["KeyPolicy"]
    kms = FakeKms(policy, AWS_ROOT_G1, lambda: dt.datetime.now(dt.UTC), principal)
    return kms._allows("kms:DeriveSharedSecret", context)


def registers(**values: str) -> dict[str, str]:
    return {f"kms:RecipientAttestation:{name}": value for name, value in values.items()}


def test_a_kms_that_judges_by_itself_opens_it_for_that_image_alone() -> None:
    right, other = registers(PCR0=PCR0, PCR8=PCR8), registers(PCR0=PCR8, PCR8=PCR8)
    assert asked(key(), right)
    assert asked(key(), registers(PCR0=PCR0.upper()))
    assert not asked(key(), {}), "no document"
    assert not asked(key(), other)
    assert not asked(key(), right, ADMINISTRATOR)
    assert not asked(key(), right, ROLE + "-other")
    assert asked(key(Pcr8=PCR8), right)
    assert not asked(key(Pcr8=PCR8), registers(PCR0=PCR0)), "not signed"
    assert not asked(key(Pcr8=PCR8), registers(PCR0=PCR0, PCR8=PCR0)), "signed by others"


def test_a_statement_more_would_still_open_it_for_no_other_image() -> None:
    """The denials alone: as if IAM, or a slip in the policy, allowed everything to everybody."""
    template = key(Pcr8=PCR8)
    careless = {"Effect": "Allow", "Principal": "*", "Action": "kms:DeriveSharedSecret"}
    template.body["Resources"]["RootKey"]["Properties"]["KeyPolicy"]["Statement"].append(careless)
    assert asked(template, registers(PCR0=PCR0, PCR8=PCR8), ADMINISTRATOR)
    assert not asked(template, {}, ADMINISTRATOR)
    assert not asked(template, registers(PCR0=PCR8, PCR8=PCR8), ADMINISTRATOR)
    assert not asked(template, registers(PCR0=PCR0), ADMINISTRATOR)


def test_the_key_is_for_key_agreement_made_by_kms_in_one_region_and_kept() -> None:
    found = key().resource("RootKey")
    assert (found["KeySpec"], found["KeyUsage"]) == ("ECC_NIST_P384", "KEY_AGREEMENT")
    assert (found["MultiRegion"], "Origin" in found) == (False, False)
    assert found["PendingWindowInDays"] == 30
    assert key().body["Resources"]["RootKey"]["DeletionPolicy"] == "Retain"
    rows = parent().body["Resources"]
    assert rows["Store"]["DeletionPolicy"] == "Snapshot"
    assert rows["Logs"]["DeletionPolicy"] == "Retain"


def test_the_parents_role_may_do_no_more_than_named() -> None:
    template = parent(RootKeyArns=[KEY, KEY + "4"], SessionManager="no")
    (opening, logs) = template.resource("ParentPolicy")["PolicyDocument"]["Statement"]
    assert (actions(opening), opening["Resource"]) == ({"kms:DeriveSharedSecret"}, [KEY, KEY + "4"])
    assert opening["Condition"] == {"Null": {"kms:RecipientAttestation:PCR0": "false"}}
    assert logs["Resource"] == "<Logs.Arn>"
    assert template.resource("ParentRole")["ManagedPolicyArns"] == []
    assert len(parent().resource("ParentPolicy")["PolicyDocument"]["Statement"]) == 1, "no key yet"
    image = "arn:aws:s3:::images/sentinel.eif"
    wider = parent(ImageObjectArn=image).resource("ParentPolicy")
    fetch = wider["PolicyDocument"]["Statement"][1]
    assert (actions(fetch), fetch["Resource"]) == ({"s3:GetObject"}, image)


def test_nothing_comes_in() -> None:
    template = parent(WitnessCidr="10.1.2.3/32")
    group = template.resource("ParentSecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert template.of_type("AWS::EC2::SecurityGroupIngress") == []
    assert [(rule["FromPort"], rule["CidrIp"]) for rule in group["SecurityGroupEgress"]] == [
        (443, "0.0.0.0/0"),
        (8700, "10.1.2.3/32"),
    ]
    assert len(parent().resource("ParentSecurityGroup")["SecurityGroupEgress"]) == 1


def test_the_instance_has_enclaves_and_gives_its_role_by_tokens_alone() -> None:
    found = parent().resource("Parent")
    assert found["EnclaveOptions"] == {"Enabled": True}
    assert "HibernationOptions" not in found
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    assert found["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert all(row["Ebs"]["Encrypted"] for row in found["BlockDeviceMappings"])
    assert parent().resource("Store")["Encrypted"]


def script() -> str:
    return str(parent(EnclaveMemory=640, EnclaveCpus=4).resource("Parent")["UserData"])


def test_the_script_is_one_that_bash_reads_and_ec2_takes() -> None:
    done = subprocess.run(
        ["bash", "-n"], input=script(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert script().startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in script()
    assert len(script().encode()) < 16 << 10, "EC2 takes 16 KiB of user data"
    assert "<" not in script().split("cat >")[0], "every name is a parameter's"


def between(text: str, begin: str) -> str:
    return text.split(begin + " <<'END'\n", 1)[1].split("\nEND\n", 1)[0]


def test_what_the_script_writes_is_read_by_those_who_read_it() -> None:
    (pool,) = allocator_pools(between(script(), "cat >/etc/nitro_enclaves/allocator.yaml"))
    assert (pool["memory_mib"], pool["cpus"]) == (640, 4)
    agent = "cat >/opt/aws/amazon-cloudwatch-agent/etc/sentinel.json"
    files = json.loads(between(script(), agent))["logs"]["logs_collected"]["files"]
    assert {row["log_group_name"] for row in files["collect_list"]} == {"<Logs>"}


def test_every_change_of_the_key_is_told() -> None:
    rule = key().resource("KeyChangesRule")
    assert rule["EventPattern"]["detail"]["resources"] == {"ARN": ["<RootKey.Arn>"]}
    assert {"PutKeyPolicy", "CreateGrant", "ScheduleKeyDeletion"} <= {
        *rule["EventPattern"]["detail"]["eventName"]
    }
    assert rule["Targets"] == [{"Id": "people", "Arn": "<KeyChanges>"}]


# --- the units ------------------------------------------------------------------------------------

HARDENED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "DevicePolicy": "closed",
    "RestrictNamespaces": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
    "LimitCORE": "0",
}


def unit(path: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(path)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_hardened_and_run_as_nobody_in_particular(path: Path) -> None:
    service = unit(path)["Service"]
    assert {name: service[name] for name in HARDENED} == HARDENED
    assert service["User"] == "sentinel"
    assert "SystemCallFilter" in service
    assert service["Restart"] in {"always", "on-failure"}


def test_the_enclaves_unit_starts_what_the_command_takes() -> None:
    found = unit(AWS / "sentinel-enclave.service")
    words = found["Service"]["ExecStart"].split()
    assert words[:3] == ["/opt/sentinel/bin/zcp", "enclave", "run"]
    assert found["Service"]["KillMode"] == "process", "a watcher's end is not the enclave's"
    assert found["Unit"]["RequiresMountsFor"] == "/var/lib/sentinel"
    assert "nofail" in script(), "a volume that is missing keeps nobody out"
    lines = (AWS / "enclave.env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    for name, value in values.items():
        words = [word.replace(f"${{{name}}}", value) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", *words[1:], "--dry-run"],
        capture_output=True,
        text=True,
        check=True,
    )
    config = json.loads(done.stdout)
    assert (config["memory_mib"], config["enclave_cid"]) == (512, 16)
    assert parent().parameters["EnclaveMemory"] == config["memory_mib"]
    assert parent().parameters["EnclaveCpus"] == config["cpu_count"]


def test_the_keepers_unit_is_ready_with_options_that_the_command_has() -> None:
    found = unit(AWS / "sentinel-keeper.service")
    assert "PartOf" not in found["Unit"], "it outlives the enclave, and brings the engine up again"
    assert found["Service"]["Type"] == "notify"
    assert int(found["Service"]["WatchdogSec"]) > LOBBY_SECONDS, "a log takes time to be given back"
    words = found["Service"]["ExecStart"].replace("\\\n", " ").split()
    assert words[:3] == ["/opt/sentinel/bin/zcp", "enclave", "keep"]
    lines = (AWS / "enclave.env").read_text().splitlines()
    names = {line.split("=", 1)[0] for line in lines if not line.startswith("#")}
    assert set(re.findall(r"\$\{(\w+)\}", " ".join(words))) <= names
    told = subprocess.run(
        [sys.executable, "-m", "sentinel", "enclave", "keep", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    given = {"--connect", "--session-key"}  # of zcp itself
    options = {word for word in words if word.startswith("--")} - given
    assert {word for word in options if word not in told} == set()
