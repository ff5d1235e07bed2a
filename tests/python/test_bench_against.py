"""`zcp bench --against`: a user's own PKCS#11 module, AWS key or HTTP signer.

Goal: a mistake is told before anything runs, a secret never stands in an argument or an error, and
what costs money has a bound. Method: wrong texts; a SoftHSM token with a key of the test's own;
servers on loopback in place of AWS and of a user's signer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import peer_checks as check
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sentinel._cli import main
from sentinel.bench import peers, peers_kms, peers_pkcs11
from sentinel.bench.peer import OPENERS, PeerMissing, open_peer
from sentinel.bench.peers_pkcs11 import Place
from sentinel.errors import UsageError

MODULE = peers_pkcs11.SOFTHSM[0]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("gpg:me", "is no place of a signer"),
        ("pkcs11:", "which PKCS#11 module"),
        ("pkcs11:/m.so", "which key"),
        ("pkcs11:token=a;object=k", "which PKCS#11 module"),
        ("pkcs11:/m.so?token=a&colour=red&key=k", "'colour' is not known"),
        ("pkcs11:/m.so?key=k&key=l", "'key=l' is not understood"),
        ("pkcs11:/m.so?key", "'key' is not understood"),
        ("pkcs11:/m.so?key=k&slot-id=first", "is no number"),
        ("pkcs11:type=cert;object=k?module-path=/m.so", "signs nothing"),
        ("pkcs11:object=k?module-path=/m.so&pin-value=hush", "PIN is not taken"),
        ("pkcs11:/m.so?key=k&pin=hush", "PIN is not taken"),
        ("pkcs11:object=k;token=t?module-path=/m.so&pin-source=file:/hush", "PIN is not taken"),
        ("aws-kms:", "names no key"),
        ("aws-kms:a key", "names no key"),
        ("aws-kms:k?calls=many", "names no key"),
        ("aws-kms:k?calls=19", "not within 20 to 10,000"),
        ("aws-kms:k?calls=10001", "not within 20 to 10,000"),
        ("http:", "is no URL of a signer"),
        ("http:///path", "is no URL of a signer"),
        ("http://127.0.0.1:port/", "port is no number"),
        ("https://localhost:hush@127.0.0.1/", "no name or password"),
        ("http://localhost:hush@127.0.0.1:x/", "no name or password"),
        ("http://127.0.0.1/#here", "no fragment"),
        ("http://127.0.0.1/a b", "characters that no URL may have"),
    ],
)
def test_a_wrong_place_is_refused_before_anything_runs(where: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        peers.check_against(where)
    assert says in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("pkcs11:/m.so?token=t&key=k", Place("/m.so", token="t", key="k")),
        ("pkcs11:/m.so?slot-id=3&id=%01%ff", Place("/m.so", slot=3, key_id=b"\x01\xff")),
        (
            "pkcs11:token=my%20token;object=k;type=private?module-path=/usr/lib/m.so",
            Place("/usr/lib/m.so", token="my token", key="k"),
        ),
        ("pkcs11:serial=1a;id=%ab?module-path=/m.so", Place("/m.so", serial="1a", key_id=b"\xab")),
    ],
)
def test_places_of_pkcs11_in_both_forms(where: str, place: Place) -> None:
    assert peers_pkcs11.parse_pkcs11(where) == place
    assert "ZCP_BENCH_PIN" in peers.check_against(where)


def test_what_will_be_asked_is_said_first() -> None:
    told = peers.check_against("aws-kms:alias/trading")
    assert "about 201 requests" in told
    assert "AWS bills" in told
    assert "about 51 requests" in peers.check_against("aws-kms:k?calls=50")
    assert "1,000 requests" in peers.check_against("raw+https://127.0.0.1/sign")


PIN = "4321"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SoftHSM's settings, of a token "zcp-bench" with keys by two labels for each curve."""
    import pkcs11

    path = str(peers_pkcs11._make_token(tmp_path_factory.mktemp("token"), PIN))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", path)
        library = pkcs11.lib(MODULE)
    with library.get_token(token_label="zcp-bench").open(rw=True, user_pin=PIN) as session:
        for label in ("mine", "other"):
            for number, (der, name) in enumerate(peers_pkcs11.NAMED_CURVES.items()):
                session.create_domain_parameters(
                    pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: der}, local=True
                ).generate_keypair(label=f"{label}-{name}", id=bytes([number]), store=True)
        session.generate_key(
            pkcs11.KeyType.AES, 256, label="aes", store=True, template={pkcs11.Attribute.SIGN: True}
        )
    library.finalize()
    return path


@pytest.fixture
def token(settings: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The PIN of that token, which is the one that SoftHSM finds."""
    monkeypatch.setenv("SOFTHSM2_CONF", settings)
    return PIN


@pytest.mark.long  # needs softhsm2, as `make check` does
def test_a_users_own_module(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"pkcs11:{MODULE}?token=zcp-bench&key=mine-ecdsa_secp256k1"
    monkeypatch.setenv("ZCP_BENCH_PIN", token)
    (mine,) = open_peer(where)
    assert (mine.name, mine.algorithm) == ("own_pkcs11_ecdsa_secp256k1", "ecdsa_secp256k1")
    assert mine.label == "yours: PKCS#11 mine-ecdsa_secp256k1"
    assert len(mine.sign(b"a request")) == 64
    with pytest.raises(PeerMissing, match="uses this very module"):
        peers_pkcs11.softhsm_peers()
    mine.close()
    monkeypatch.delenv("ZCP_BENCH_PIN")
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return token

    standard = f"pkcs11:token=zcp-bench;object=other-ecdsa_p256;type=private?module-path={MODULE}"
    (other,) = peers_pkcs11.open_pkcs11(standard, ask=ask)
    assert other.algorithm == "ecdsa_p256"
    assert asked == ["PIN of the token"]
    other.close()
    for peer in peers_pkcs11.softhsm_peers():  # the module is free again
        peer.close()


@pytest.mark.long  # needs softhsm2, as `make check` does
def test_the_command_asks_for_the_pin(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a person at a terminal, and before anything else runs."""
    monkeypatch.setattr(peers, "make_peers", lambda *told: [])
    monkeypatch.setattr(peers, "WARM_UP_S", 0.005)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setitem(OPENERS, "pkcs11", OPENERS["pkcs11"])
    asked: list[tuple[str, bool]] = []

    def prompt(text: str, *, hide_input: bool, **more: Any) -> str:
        asked.append((text, hide_input))
        return token

    monkeypatch.setattr("typer.prompt", prompt)
    where = f"pkcs11:{MODULE}?token=zcp-bench&key=mine-ecdsa_p256"
    assert main(["bench", "peers", "--rounds", "8", "--json", "--against", where]) == 0
    assert asked == [("PIN of the token", True)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("query", "pin", "says"),
    [
        ("token=zcp-bench&key=mine-ecdsa_p256", "1111", "PinIncorrect"),
        ("token=absent&key=mine-ecdsa_p256", None, "none of the module's tokens fit"),
        ("token=zcp-bench&key=absent", None, "no keys of the token fit"),
        ("token=zcp-bench&id=%00", None, "2 keys of the token fit"),
        ("token=zcp-bench&key=aes", None, "a key of the kind AES is not measured"),
    ],
)
def test_a_module_that_does_not_fit(
    token: str, monkeypatch: pytest.MonkeyPatch, query: str, pin: str | None, says: str
) -> None:
    monkeypatch.setenv("ZCP_BENCH_PIN", pin or token)
    with pytest.raises(UsageError) as refused:
        open_peer(f"pkcs11:{MODULE}?{query}")
    assert says in str(refused.value)
    assert (pin or token) not in str(refused.value)


Answer = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]


class Server:
    """A server on loopback; counts connections, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = (self.path, dict(self.headers), body)
                outer.asked.append(asked)
                status, text = answer(*asked)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    started: list[Server] = []

    def start(answer: Answer) -> Server:
        started.append(Server(answer))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def test_a_users_signer_over_http(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection; the message as web3signer takes it, or as it is; a header of the user's."""
    key = Ed25519PrivateKey.generate()

    def answer(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        message = body
        if headers["Content-Type"] == "application/json":
            message = bytes.fromhex(json.loads(body)["data"].removeprefix("0x"))
        return 200, b"0x" + key.sign(message).hex().encode()

    monkeypatch.setenv("ZCP_BENCH_HTTP_HEADER", "Authorization: Bearer hush")
    server = serve(answer)
    for scheme in ("http", "raw+http"):
        before = server.connections
        (mine,) = open_peer(f"{scheme}://{server.place}/api/v1/eth1/sign/0xab?x=1")
        for number in range(5):
            message = bytes([number]) * 256
            signature = bytes.fromhex(mine.sign(message).decode().removeprefix("0x"))
            assert check.ed25519_ok(key.public_key().public_bytes_raw(), message, signature)
        mine.close()
        assert server.connections == before + 1
    paths = {path for path, _, _ in server.asked}
    assert paths == {"/api/v1/eth1/sign/0xab?x=1"}
    assert all(headers["Authorization"] == "Bearer hush" for _, headers, _ in server.asked)


@pytest.mark.parametrize(
    ("status", "text", "says"),
    [
        (500, b"no", "answered 500"),
        (401, b"who are you", "answered 401"),
        (302, b"", "answered 302"),
        (200, b"", "with 0 bytes"),
        (200, bytes(70_000), "with 65,537 bytes"),
    ],
)
def test_an_answer_that_is_no_signature(
    serve: Callable[[Answer], Server], status: int, text: bytes, says: str
) -> None:
    server = serve(lambda path, headers, body: (status, text))
    with pytest.raises(UsageError) as refused:
        open_peer(f"http://{server.place}/")
    assert says in str(refused.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("header", ["no header", "Bad name: x", "X: a\r\nY: b", ": x"])
def test_a_header_that_is_none(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    monkeypatch.setenv("ZCP_BENCH_HTTP_HEADER", header)
    with pytest.raises(UsageError, match="ZCP_BENCH_HTTP_HEADER"):
        open_peer("http://127.0.0.1:1/")


KEY = {"KeyId": "k", "KeySpec": "ECC_SECG_P256K1", "KeyUsage": "SIGN_VERIFY"}


def aws(monkeypatch: pytest.MonkeyPatch, server: Server, **more: str) -> None:
    """The usual places of boto3, with this server for KMS; nothing of the machine's own."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_KMS": f"http://{server.place}",
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)


def kms(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    if headers["X-Amz-Target"] == "TrentService.DescribeKey":
        return 200, json.dumps({"KeyMetadata": KEY}).encode()
    return 200, json.dumps({"Signature": "AAAA"}).encode()


def test_aws_is_asked_for_at_most_200_signatures(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(kms)
    aws(monkeypatch, server)
    (few,) = open_peer("aws-kms:k?calls=50")
    assert getattr(few, "calls_max", None) == 50
    few.close()
    server.asked.clear()
    (mine,) = open_peer("aws-kms:alias/trading")
    assert mine.label == "yours: AWS KMS in eu-west-1"
    lanes = peers.turns_of([mine])
    peers.take_turns(lanes, 20_000, 10.0, lambda share: None)
    mine.close()
    targets = [headers["X-Amz-Target"].partition(".")[2] for _, headers, _ in server.asked]
    assert targets.count("DescribeKey") == 1
    assert 190 < targets.count("Sign") == lanes[0].calls <= peers_kms.AWS_CALLS == 200
    assert set(targets) == {"DescribeKey", "Sign"}
    assert all("AKIA" in headers["Authorization"] for _, headers, _ in server.asked)


def test_a_failure_of_aws_is_asked_for_once(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No retry: each would be billed, and timed as if it were part of one."""
    server = serve(lambda path, headers, body: (500, b'{"__type":"KMSInternalException"}'))
    aws(monkeypatch, server)
    with pytest.raises(UsageError, match="KMSInternalException"):
        open_peer("aws-kms:k")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("UnrecognizedClientException", "credentials are wrong or expired"),
        ("InvalidSignatureException", "credentials are wrong or expired"),
        ("AccessDeniedException", "needs kms:DescribeKey"),
        ("NotFoundException", "in another region"),
    ],
)
def test_what_aws_refuses_is_told_with_a_next_step(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    server = serve(lambda path, headers, body: (400, json.dumps({"__type": code}).encode()))
    aws(monkeypatch, server)
    with pytest.raises(UsageError) as refused:
        open_peer("aws-kms:k")
    assert code in str(refused.value)
    assert says in refused.value.next_step
    assert "hush" not in f"{refused.value}{refused.value.next_step}"


@pytest.mark.parametrize(
    ("missing", "says"),
    [("AWS_DEFAULT_REGION", "set AWS_REGION"), ("AWS_ACCESS_KEY_ID", "give boto3 credentials")],
)
def test_without_region_or_credentials_nobody_is_asked(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch, missing: str, says: str
) -> None:
    server = serve(kms)
    aws(monkeypatch, server, **{missing: ""})
    if missing == "AWS_ACCESS_KEY_ID":
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError) as refused:
        open_peer("aws-kms:k")
    assert says in refused.value.next_step
    assert server.asked == []


def test_a_key_of_a_kind_that_is_not_measured(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**KEY, "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT"}
    server = serve(lambda *asked: (200, json.dumps({"KeyMetadata": other}).encode()))
    aws(monkeypatch, server)
    with pytest.raises(UsageError, match="SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT"):
        open_peer("aws-kms:arn:aws:kms:eu-west-1:1:key/k")


def test_the_command_refuses_first_and_measures_after(
    serve: Callable[[Answer], Server],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(peers, "make_peers", lambda *told: [])  # the others are measured elsewhere
    monkeypatch.setattr(peers, "WARM_UP_S", 0.005)
    assert main(["bench", "peers", "--against", "pkcs11:/m.so?key=k&pin-value=hush"]) == 2
    told = capsys.readouterr()
    assert "PIN is not taken from the command line" in told.err
    assert "hush" not in told.out + told.err
    server = serve(lambda path, headers, body: (200, b"0x" + bytes(64).hex().encode()))
    where = f"http://{server.place}/sign"
    assert main(["bench", "peers", "--rounds", "16", "--json", "--against", where]) == 0
    told = capsys.readouterr()
    assert f"{where}: up to 1,000 requests" in told.err
    (result,) = json.loads(told.out)["results"]
    (own,) = [row for row in result["rows"] if row["name"] == "own_http"]
    assert own["label"].startswith(f"yours: {server.place} over HTTP")
    assert own["p50"] > 0
    assert result["facts"]["calls"]["own_http"] == len(server.asked) - 1
