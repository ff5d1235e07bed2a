"""The host's call to KMS: it carries a question and an answer, and can read neither's secret.

`boto3` is wanted only here, and only when a call is made (`pip install zcp-sentinel[aws]`).
"""

from __future__ import annotations

from typing import Any, Final

from ._enclave_papers import WrappedRoot, must_be_kms_key
from .errors import EnclaveError, UsageError

ANSWER_BYTES_MAX: Final = 8192
"""What the enclave takes (`KMS_ANSWER_BYTES_MAX`)."""
_SPECS: Final = ("ECC_NIST_P256", "ECC_NIST_P384")


def kms_client(region: str = "", endpoint: str = "") -> Any:
    """A client of KMS. Raises UsageError without boto3."""
    try:
        import boto3
    except ImportError:
        raise UsageError(
            "boto3 is not installed, and KMS cannot be asked without it",
            next_step="pip install zcp-sentinel[aws]",
        ) from None
    return boto3.client("kms", region_name=region or None, endpoint_url=endpoint or None)


def public_key_of(client: Any, key_id: str) -> bytes:
    """The DER public key of a KMS key that can hold a root. Raises EnclaveError.

    KMS must have made the private half itself: of an imported one the account may have a copy.
    """
    told = _call(client, "describe_key", KeyId=key_id).get("KeyMetadata", {})
    problems = key_problems(told)
    if problems:
        raise EnclaveError(
            f"the KMS key cannot hold a root: {'; '.join(problems)}",
            next_step="create one: aws kms create-key --key-spec ECC_NIST_P256 --key-usage"
            " KEY_AGREEMENT --policy file://policy.json --bypass-policy-lockout-safety-check",
        )
    spki: bytes = _call(client, "get_public_key", KeyId=key_id)["PublicKey"]
    must_be_kms_key(spki)
    return spki


def key_problems(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Why a key with this KeyMetadata (DescribeKey) cannot hold a root; none: it can."""
    wanted = {
        "KeyUsage": (("KEY_AGREEMENT",), "it is not for key agreement"),
        "KeySpec": (_SPECS, "it is not on P-256 or P-384"),
        "Origin": (("AWS_KMS",), "KMS did not make it: whoever imported it may have a copy"),
        "KeyState": (("Enabled",), "it is not enabled"),
        "MultiRegion": ((False,), "it is in several regions, each with a policy of its own"),
    }
    return tuple(
        f"{why} ({name} is {metadata.get(name)})"
        for name, (values, why) in wanted.items()
        if metadata.get(name) not in values
    )


def derive_shared_secret(client: Any, key_id: str, wrapped: WrappedRoot, document: bytes) -> bytes:
    """KMS's answer for the enclave that gave this document: CiphertextForRecipient.

    Raises EnclaveError, also where KMS refuses or answers in clear.
    """
    answer = _call(
        client,
        "derive_shared_secret",
        KeyId=key_id,
        KeyAgreementAlgorithm="ECDH",
        PublicKey=wrapped.public_key,
        Recipient={
            "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": document,
        },
    )
    if answer.get("SharedSecret"):
        raise EnclaveError(
            "KMS answered in clear, so whoever asks like this host can read the root",
            cause="the document was ignored: this is no KMS, or one without Nitro",
            next_step="treat the root as known: make a new engine under another KMS key",
        )
    sealed = answer.get("CiphertextForRecipient")
    if not isinstance(sealed, bytes) or not 0 < len(sealed) <= ANSWER_BYTES_MAX:
        raise EnclaveError("KMS gave no CiphertextForRecipient that an enclave would take")
    return sealed


def _call(client: Any, name: str, **arguments: Any) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client, name)(**arguments)
    except ClientError as error:
        told = error.response.get("Error", {})
        raise EnclaveError(
            f"KMS refused {name}: {told.get('Code', 'no code')}: {told.get('Message', '')}",
            cause="the key policy allows it to another image, role or account, or not any more",
            next_step="compare the policy's PCRs with the image's: zcp enclave check-policy,"
            " zcp attest show",
        ) from None
    except BotoCoreError as error:
        raise EnclaveError(
            f"KMS cannot be reached: {error}",
            cause="no network, no region, or no credentials of the instance's role",
            next_step="zcp enclave doctor --online",
        ) from None
    return answer
