"""What to do about each status and each reason: one likely cause, one next step.

Keys are the names in status.def and reason.def; a test fails where one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Advice:
    """A likely cause and the next step, each one sentence without its full stop."""

    cause: str
    next_step: str


_REPORT = "report it with the engine's log; it is a defect of this program"
_BUNDLE_FORM = "compile the policy again with this version and load the result"

STATUS: Final[Mapping[str, Advice]] = MappingProxyType(
    {
        "USAGE_ARGUMENT": Advice("a caller passed a value of the wrong kind or size", _REPORT),
        "USAGE_STATE": Advice(
            "the directory or object already holds something, or is not ready yet",
            "use an empty directory for a new engine, or open the one that exists",
        ),
        "USAGE_ABI": Advice(
            "the extension was built for another version of the core",
            "install one version of both: reinstall the package",
        ),
        "USAGE_CAPACITY": Advice(
            "the memory that was set aside is smaller than what must be stored",
            "give the engine more room and open it again",
        ),
        "FORMAT_SIZE": Advice("the file was cut short, or something was added", _BUNDLE_FORM),
        "FORMAT_MAGIC": Advice("this is a file of another kind", "check the file's name"),
        "FORMAT_VERSION": Advice(
            "another version of the program wrote it",
            "use the version that wrote it, or make it again",
        ),
        "FORMAT_RESERVED": Advice(
            "the bytes were altered, or are of a later version", _BUNDLE_FORM
        ),
        "FORMAT_RANGE": Advice("the bytes were altered, or made by another program", _BUNDLE_FORM),
        "FORMAT_ORDER": Advice("the bytes were altered, or made by another program", _BUNDLE_FORM),
        "FORMAT_REFERENCE": Advice(
            "the bytes were altered; or a node that is halted is missing from the new policy",
            "keep every halted node in the policy (resume it first), then compile and load again",
        ),
        "FORMAT_TEXT": Advice(
            "a name holds a character outside its set", "use letters, digits, '.', '_' and '-' only"
        ),
        "FORMAT_LIMIT": Advice("a table has more rows than its limit", "make the policy smaller"),
        "POLICY_ENGINE": Advice(
            "it was made for another engine",
            "make it for this engine: check --dir and the engine's id",
        ),
        "POLICY_ENVIRONMENT": Advice(
            "it was made for live, test or lab, and the engine is of another of these",
            "make it for the engine's own environment",
        ),
        "POLICY_SEQUENCE": Advice(
            "a newer or equal version is loaded already (or a stale frame was repeated)",
            "give it a number above the loaded one: zcp policy status shows that",
        ),
        "POLICY_EXPIRED": Advice(
            "it is too old, the clocks of the two machines disagree, or the log ran ahead",
            "check the clock, then make and sign it again; where zcp status says that the log's"
            " time is ahead, it says what to do",
        ),
        "POLICY_SIGNATURE": Advice(
            "the bytes were altered, or the keys that signed do not hold this power",
            "sign it again with enough keys of the authority that holds this power",
        ),
        "POLICY_ABSENT": Advice("no policy was loaded yet", "load one: zcp policy load"),
        "POLICY_SEMANTICS": Advice(
            "the bundle was compiled for other rules of deciding", _BUNDLE_FORM
        ),
        "POLICY_ARENA": Advice(
            "the policy needs more memory than the engine set aside when it was opened",
            "open the engine again with more room, or make limits and tables smaller",
        ),
        "POLICY_SCOPE": Advice(
            "the node, venue or instrument is not in the loaded policy",
            "check the name: zcp policy status lists all",
        ),
        "POLICY_ENDPOINT": Advice(
            "signatures of this venue do not cover the endpoint, and the key is good for several"
            " products",
            "give each product a key of its own, or write `endpoint: granted`",
        ),
        "POLICY_STOPPED": Advice(
            "somebody halted it, or its drain has ended, which is a halt",
            "zcp status shows who and why; k of n operators lift it: zcp resume --reason TEXT",
        ),
        "POLICY_APPROVAL": Advice(
            "it was signed, rejected, withdrawn or replaced, it has expired, or you approved it",
            "zcp approvals list shows what waits, and who has approved it",
        ),
        "POLICY_REPORT": Advice(
            "the venue did something else than was signed, the feeder reports wrongly, or a"
            " frame of its is missing",
            "zcp status shows what was stopped and zcp audit show the report; correct the feeder or"
            " state the position, then k of n operators lift it: zcp resume --reason TEXT",
        ),
        "POLICY_LEASE": Advice(
            "the policy has no `lease`, or a shorter one, or the command came after its end",
            "zcp lease gives the longest one allowed, from now on",
        ),
        "POLICY_GRANT": Advice(
            "the witness answered another question or another engine, or was set back itself",
            "ask again; see to the witness when it stays so: nothing is signed without a grant",
        ),
        "POLICY_CLOCK": Advice(
            "the log is ahead of this clock; or, of what would set it back: it went on since that"
            " was drafted, is not ahead, or frames were taken or orders signed in that time",
            "zcp status says which: set it back with zcp command draft resume --clock, draft that"
            " again, wait until that time, or make a new engine with zcp init elsewhere",
        ),
        "AUDIT_FULL": Advice(
            "the log's quota or disk is used up", "make room, then open the engine again"
        ),
        "AUDIT_CORRUPT": Advice(
            "a file of the log was altered, or the medium is failing",
            "keep the directory as it is and run zcp audit verify: it names the place",
        ),
        "AUDIT_FOREIGN": Advice(
            "the log was copied from another engine", "put back the log that belongs to this engine"
        ),
        "AUDIT_TRUNCATED": Advice(
            "the log was rolled back to an earlier state, or its end was lost",
            "put back the newest copy of the log; nothing is signed until then",
        ),
        "AUDIT_END": Advice("the number is above the last record", "ask for an earlier record"),
        "AUDIT_MISMATCH": Advice(
            "the log was written by another version of the rules, or was altered",
            "keep the directory as it is; compare with the version that wrote it",
        ),
        "AUDIT_SNAPSHOT": Advice(
            "the snapshot was altered or belongs to another record",
            "remove the snapshot: the engine rebuilds its state from the log",
        ),
        "AUDIT_FRESHNESS": Advice(
            "this is an old copy of the state directory, or its newest records were lost",
            "put back the newest copy, or have k of n operators accept the gap",
        ),
        "KEY_UNKNOWN": Advice("no key has this id or name", "list the keys: zcp key list"),
        "KEY_PURPOSE": Advice(
            "a key serves one purpose only, fixed when it was made", "make a key for this purpose"
        ),
        "KEY_FULL": Advice(
            "the keyring holds as many keys as it can", "remove a key that is not used"
        ),
        "KEY_WIPED": Advice(
            "the process forked after the engine was opened",
            "open the engine in the process that signs",
        ),
        "KEY_PASSPHRASE": Advice(
            "the passphrase is wrong, or the key file was altered",
            "check --passphrase-file and ZCP_PASSPHRASE_FILE, or put back a good copy of the file",
        ),
        "KEY_INVALID": Advice(
            "the secret has the wrong length, or is no valid key",
            "check the secret and import it again",
        ),
        "KEY_MEMORY": Advice(
            "the limit of locked memory (RLIMIT_MEMLOCK) is too low", "raise it: ulimit -l 1024"
        ),
        "KEY_EXISTS": Advice(
            "a key with this id is in the keyring", "choose another name for the key"
        ),
        "CRYPTO_INIT": Advice("libsodium could not be started", "reinstall the package"),
        "CRYPTO_FAILED": Advice("a library refused the operation", "check the key, then try again"),
        "CRYPTO_VERIFY": Advice(
            "the bytes were altered, or another key signed them", "do not trust these bytes"
        ),
        "IO_OPEN": Advice(
            "the path does not exist, or its permissions forbid it",
            "check --dir, the directory's owner and its permissions",
        ),
        "IO_READ": Advice("the medium failed, or the file was cut short", "check the disk"),
        "IO_WRITE": Advice(
            "the directory is read-only, or the medium failed",
            "check the permissions and the disk, then open the engine again",
        ),
        "IO_SYNC": Advice("the medium failed", "check the disk, then open the engine again"),
        "IO_SPACE": Advice("the disk is full", "make room, then open the engine again"),
        "IO_LOCKED": Advice(
            "a bot or another zcp has this engine open",
            "use the process that holds it, or end that process first",
        ),
        "IO_MEMORY": Advice(
            "the machine is out of memory", "free memory, or make the policy smaller"
        ),
        "INTERNAL": Advice("a rule that this program keeps was broken", _REPORT),
        "ENCLAVE_ABSENT": Advice(
            "there is no /dev/nsm: the program runs on a host, or the kernel lacks the driver",
            "start it inside a Nitro enclave, from the released image",
        ),
        "ENCLAVE_MODULE": Advice(
            "the security module is busy or defective, or another version answered",
            "terminate the enclave and start it again",
        ),
        "ENCLAVE_CLOCK": Advice(
            "the enclave's clock ran off, jumped, or its module answered no more",
            "start the enclave again, which sets its clock; then resume the firm (k of n)",
        ),
        "ENCLAVE_SEAL": Advice(
            "the host altered the blob, or it was sealed before the engine's root was made anew",
            "give the enclave the blob that it handed out last",
        ),
        "ENCLAVE_FOREIGN": Advice(
            "the host mixed up the files of two engines", "give it the files of this engine"
        ),
        "ENCLAVE_TYPE": Advice(
            "the host mixed up two files of the engine", "give it the file that it asks for"
        ),
        "ENCLAVE_STALE": Advice(
            "an older copy was restored, or the host rolled the state back",
            "give it the newest blob and all records after it; if they are lost, k of n operators"
            " accept the gap: zcp resume --help",
        ),
        "ENCLAVE_ANSWER": Advice(
            "the answer is for another document or wrapped root, or did not come from KMS",
            "ask the enclave for a new document, then KMS again: zcp enclave unwrap",
        ),
        "ENCLAVE_COMMITMENT": Advice(
            "the host tried to start the engine with a root of its own making",
            "give it the wrapped root and certificate of its genesis; treat the host as hostile",
        ),
        "ENCLAVE_DOCUMENT": Advice(
            "the enclave was started again since, or the document is of another one",
            "ask for a new document, verify it, and sign again",
        ),
        "ENCLAVE_KMS_KEY": Advice(
            "the public key was fetched from another KMS key",
            "fetch the public key that operators put into the certificate",
        ),
        "ENCLAVE_IMPORT": Advice(
            "it was sealed to another enclave's key, or altered before operators signed it",
            "verify a new document of this enclave and seal the key again",
        ),
    }
)

_LIST = "use one that the list names, or have it added to the policy"
_ORDER = "correct the order"
_LATER = "wait until earlier amounts no longer count, or have the limit raised"

REASON: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NONE": "–",
        "ENGINE_HALTED": "the status that zcp status shows names the remedy",
        "CONTROL_STOP": "the writer applies waiting commands; else see the stop word in zcp status",
        "NO_POLICY": "load a policy: zcp policy load",
        "CLOCK": "set the machine's clock right, then open the engine again",
        "LEASE": "an operator renews the lease: zcp lease",
        "GRANT": "see that the witness is up, and ask it for another grant",
        "ORDER_SIZE": _ORDER,
        "ORDER_VERSION": "use one version of the package on both sides",
        "ORDER_ACTION": _ORDER,
        "ORDER_RESERVED": _ORDER,
        "ORDER_ENUM": _ORDER,
        "ORDER_DECIMAL": "give a positive decimal with at most 18 digits after the point",
        "ORDER_TEXT": "use letters, digits, '.', '_' and '-' only",
        "ORDER_FIELDS": "give exactly the fields that this type of order has",
        "ORDER_LAB_ONLY": "leave the field out; only engines of the environment lab take it",
        "ORDER_RELEASE_MODE": "use the release mode to_agent",
        "AGENT_UNKNOWN": "name an agent of the policy",
        "AGENT_MISMATCH": "sign in the session of the agent that the order names",
        "DUPLICATE": "it was signed before; use the first record, or a new action id",
        "ID_TOO_OLD": "use an action id above the last one",
        "PARENT_UNKNOWN": "name a parent that follows from actions of agents of the policy alone",
        "INSTRUMENT_UNKNOWN": "have the instrument added to the policy",
        "ASSET_UNKNOWN": "have the asset added to the policy",
        "NETWORK_UNKNOWN": "name a network of this asset, or have it added to the policy",
        "TARGET_UNKNOWN": "name an order that this agent placed through this engine",
        "VENUE_UNKNOWN": "name a venue that the program knows",
        "ENVIRONMENT": "use an instrument of the engine's own environment",
        "TICK": "round the price to the instrument's tick",
        "LOT": "round the quantity to the instrument's lot",
        "KEY_NONE": "have a key for this venue and purpose granted in the policy",
        "KEY_AMBIGUOUS": "name the key in the order",
        "KEY_NOT_GRANTED": "use a key that the policy grants to this agent for this venue",
        "KEY_UNAVAILABLE": "import the key that the policy names into the engine's keyring",
        "UNSUPPORTED": "use an action that this venue has",
        "NONCE": "leave the nonce to the engine",
        "EXPIRY": "set an expiry that is still to come, and within what the venue takes",
        "LINEAGE": "name an earlier action as parent, such as the first decision of all",
        "VENUE_HALTED": "operators resume the venue: zcp resume --venue VENUE --reason TEXT",
        "INSTRUMENT_HALTED": "operators resume it: zcp resume --instrument NAME --reason TEXT",
        "DRAINING": "until operators resume, send only cancels, queries and reduce-only orders",
        "KILL_SWITCH": "operators resume it: zcp kill-switch deactivate --reason TEXT",
        "NO_GRANT": "have the action (or destination) added to an allowlist of the policy",
        "ACTION_NOT_ALLOWED": _LIST,
        "VENUE_NOT_ALLOWED": _LIST,
        "INSTRUMENT_NOT_ALLOWED": _LIST,
        "ORDER_TYPE_NOT_ALLOWED": _LIST,
        "SIDE_NOT_ALLOWED": _LIST,
        "TIF_NOT_ALLOWED": _LIST,
        "DESTINATION_NOT_ALLOWED": _LIST,
        "SANCTIONED": "nothing: funds never leave to a sanctioned address",
        "MARK_ABSENT": "feed a mark: zcp mark set",
        "MARK_STALE": "feed a fresh mark: zcp mark set",
        "VALUE_OVERFLOW": "make the order smaller",
        "VALUE_CAP": "make the order smaller, or have the cap raised",
        "QUANTITY_CAP": "make the order smaller, or have the cap raised",
        "PRICE_COLLAR": "bring the price closer to the mark",
        "DAILY_LIMIT": "wait for the next day (UTC), or have the limit raised",
        "ROLLING_CAP": _LATER,
        "RATE_LIMIT": "wait until earlier actions leave the window, or have the limit raised",
        "HEARTBEAT": "let the agent send a heartbeat with its own key; what fell silent is stopped,"
        " and k of n operators resume it: zcp resume",
        "PROGRESS": "find out why the agent's loop hangs; k of n operators resume it: zcp resume",
        "APPROVAL": "approvers answer it (zcp approvals list); then send the very same order again",
        "APPROVAL_REJECTED": "zcp approvals show says who and why; ask anew under a new action id",
        "APPROVAL_EXPIRED": "ask again under a new action id, and have it approved in time",
        "APPROVALS_FULL": "take back what is not needed (zcp approvals withdraw), have the rest"
        " answered, and ask less often",
        "RENDER_FAILED": "correct the order; a field does not fit the venue's request",
        "SIGN_FAILED": "the status beside it names the remedy",
        "AUDIT_FAILED": "make the log writable, then open the engine again",
        "SUPPRESSED": "stop sending orders that are refused; the interval passes by itself",
    }
)
