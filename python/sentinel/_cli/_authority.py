"""zcp authority keygen | passphrase | export | show | draft | sign | combine | submit"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _layout
from .._authority_edit import (
    Change,
    Wish,
    apply,
    diff_of,
    holder_rows,
    locks_out,
    powers_of,
    refuse_nonsense,
    warnings_of,
)
from .._drafts import Draft
from .._enums import Environment, Power, label
from .._frame import FrameKind, parse_authority
from .._people import (
    Person,
    Public,
    SigningKeys,
    change_passphrase,
    check_name,
    fingerprint,
    make_key_file,
)
from ..config import argon_limits, read_passphrase
from ..errors import KeyFileError, UsageError
from ..policy import stable_id
from ..units import parse_duration
from ._connect import remote, taken_data
from ._drafts import (
    FilesArgument,
    KeyOption,
    OutOption,
    OutOrSameOption,
    PublicOption,
    ValidOption,
    YesOption,
    combine_files,
    public_of,
    show_draft,
    sign_file,
    submit_far,
    submit_file,
    told,
    waiting_text,
)
from ._halt import end_of
from ._shared import (
    ISSUED_BEFORE_NS,
    WAIT_SECONDS,
    Cli,
    DirOption,
    JsonOption,
    PassphraseOption,
    WaitOption,
    now_ns,
    table,
)

FileArgument = Annotated[Path, typer.Argument(help="The bundle: a file that draft made.")]
_KIND = FrameKind.AUTHORITY


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    family = typer.Typer(
        help="Who may order what: people's keys, and the signed bundle that says which power each"
        " key holds and how many of n it takes. The root, fixed at zcp init, signs it.",
        no_args_is_help=True,
    )
    family.command("keygen")(keygen)
    family.command("passphrase")(passphrase)
    family.command("export")(export)
    family.command("show")(show)
    family.command("draft")(draft)
    family.command("sign")(sign)
    family.command("combine")(combine)
    family.command("submit")(submit)
    app.add_typer(family, name="authority")


def keygen(
    name: Annotated[str, typer.Argument(help="The person's name; the key's id follows from it.")],
    out: OutOption,
    environment: Annotated[
        str, typer.Option("--environment", help="Of the engine that it is for: live, test or lab.")
    ] = "live",
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key of your own, on your own machine: a sealed key file, and its public half (.pub).

    Hand over the .pub file, and say its fingerprint by another way. The key file stays with you.

    Example:

        zcp authority keygen alice --out alice.key
    """
    cli = Cli(Path(), json, passphrase_file)
    kinds = {label(kind): kind for kind in Environment}
    if environment not in kinds:
        raise UsageError(f"--environment: {environment!r} is none of {', '.join(kinds)}")
    if out.suffix == ".pub":
        raise UsageError("--out is the key file; .pub is its public half", next_step="name a .key")
    check_name(name)
    secret = _new_passphrase(passphrase_file)
    person = make_key_file(out, name, secret, argon_limits(kinds[environment]))
    public = out.with_suffix(".pub")
    data = {
        "name": name,
        "key_file": str(out),
        "public_file": str(public),
        "public_key": person.public_key.hex(),
        "fingerprint": fingerprint(person.public_key),
    }
    cli.emit(
        data,
        f"key of {name} in {out}: keep it, and its passphrase\n"
        f"public half in {public}, fingerprint {data['fingerprint']}\n"
        f"next: whoever keeps the engine adds it: zcp authority draft --add {public}:operator",
    )


def _new_passphrase(file: Path | None) -> bytes:
    return read_passphrase(Path(), file=file, ask=_twice if sys.stdin.isatty() else None)


def _twice() -> str:
    first = getpass.getpass("New passphrase: ")
    if getpass.getpass("Again: ") != first:
        raise KeyFileError("the two passphrases differ", next_step="start again")
    return first


def passphrase(
    key: Annotated[Path, typer.Argument(help="Your key file.")],
    new_file: Annotated[
        Path | None,
        typer.Option("--new-passphrase-file", help="File of the new passphrase; default: ask."),
    ] = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Seal your key file under another passphrase, as after zcp init made it for you.

    Example:

        zcp authority passphrase operator-1.key
    """
    cli = Cli(key.parent, json, passphrase_file)
    old = cli.passphrase()
    if new_file is not None:
        new = read_passphrase(key.parent, file=new_file)
    elif sys.stdin.isatty():
        new = _twice().encode()
    else:
        raise KeyFileError(
            "no new passphrase was given", next_step="give --new-passphrase-file FILE"
        )
    change_passphrase(key, old, new)
    cli.emit({"key_file": str(key)}, f"{key} is sealed under the new passphrase")


def export(out: OutOption, directory: DirOption = None, json: JsonOption = False) -> None:
    """Write what is public of the engine into one file, for machines that only sign.

    Genesis record, authority bundle, policy bundle, names. Who signs compares the engine's id
    with the one known by another way (expectation.json), and gets a new file after each change.

    Example:

        zcp authority export --out desk.public
    """
    cli = Cli.of(directory, json, copies=True)
    public = Public.of_engine(cli.installed())
    public.write(out)
    data = {
        "file": str(out),
        "engine_id": public.genesis.engine_id.hex(),
        "authority": public.sequence,
        "policy_version": public.policy.version if public.policy is not None else None,
    }
    cli.emit(data, f"{out}: engine {public.engine}, authority bundle {public.sequence}")


def show(
    file: Annotated[
        Path | None, typer.Argument(help="A draft of a bundle; default: the bundle in force.")
    ] = None,
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Show who holds which power and how many it takes; of a draft, what it would change.

    Examples:

        zcp authority show

        zcp authority show new.authority --public desk.public
    """
    cli = Cli.of(directory, json, copies=True)
    if file is not None:
        show_draft(cli, file, _KIND, public, _words)
        return
    known = public_of(cli, public)
    change = Change.of(known.authority)
    rows = holder_rows(change, known.names, known.policy, now_ns())
    root = known.genesis
    powers = {
        label(power): {"k": change.thresholds[power], "n": change.count(power)}
        for power in Power
        if change.count(power)
    }
    data: dict[str, Any] = {
        "engine_id": root.engine_id.hex(),
        "sequence": known.sequence,
        "root": {
            "k": root.root_threshold,
            "keys": [key.hex() for key in root.root_keys],
        },
        "powers": powers,
        "keys": rows,
        "warnings": warnings_of(change, now_ns(), known.policy),
    }

    def text(console: Any) -> None:
        prints = ", ".join(fingerprint(key) for key in root.root_keys)
        console.print(f"engine {known.engine}, authority bundle {known.sequence}", markup=False)
        console.print(f"root: {root.root_threshold} of {len(root.root_keys)} ({prints})")
        for power, count in powers.items():
            approves = power == label(Power.APPROVER)
            k = "as many as the policy asks for" if approves else count["k"]
            console.print(f"{power}: {k} of {count['n']}")
        lines = table("name", "key", "holds", "fingerprint", "until")
        for row in rows:
            end = row["expires"][:10] + (" EXPIRED" if row["expired"] else "")
            lines.add_row(row["name"], str(row["id"]), row["holds"], row["fingerprint"], end)
        console.print(lines)
        for warning in data["warnings"]:
            console.print(f"warning: {warning}", markup=False)

    cli.emit(data, text)


def _words(
    draft: Draft, public: Public, keys: SigningKeys | None
) -> tuple[tuple[tuple[str, str], ...], dict[str, Any]]:
    """What a bundle changes against the one in force, and what it leaves."""
    now = now_ns()
    before, after = Change.of(public.authority), Change.of(parse_authority(draft.frame.payload))
    changes = diff_of(before, after, public.names, public.policy)
    warnings = warnings_of(after, now, public.policy)
    if keys is not None:
        warnings += locks_out(before, after, keys.ids, now)
    rows = [("authority", f"a new bundle; in force is {public.sequence}")]
    rows += [("changes", change) for change in changes] or [("changes", "nothing")]
    rows += [("warning", warning) for warning in warnings]
    return tuple(rows), {"changes": changes, "warnings": warnings}


def draft(
    out: OutOption,
    add: Annotated[
        list[str] | None, typer.Option("--add", help="FILE.pub:POWER,POWER: one more key.")
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", help="FILE.pub:PATH: an agent's own key.")
    ] = None,
    rotate: Annotated[
        list[str] | None,
        typer.Option("--rotate", help="NAME=FILE.pub: another key for the same person."),
    ] = None,
    revoke: Annotated[
        list[str] | None, typer.Option("--revoke", help="NAME: the key counts no more.")
    ] = None,
    powers: Annotated[
        list[str] | None, typer.Option("--powers", help="NAME=POWER,POWER: other powers.")
    ] = None,
    expires: Annotated[
        list[str] | None, typer.Option("--expires", help="NAME=TIME or span: when the key ends.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", help="NAME=UID|none: an agent that the daemon's kernel names."),
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", help="POWER=K: how many it takes.")
    ] = None,
    valid: ValidOption = "24h",
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Write the next authority bundle into a file, unsigned: the one in force, changed.

    Powers: policy, operator, approver, feed_mark, feed_execution, feed_position, witness, keeper.

    Examples:

        zcp authority draft --add alice.pub:operator --add bob.pub:operator,approver --out a.auth

        zcp authority draft --rotate alice=alice-2.pub --expires bob=90day --out c.auth

        zcp authority draft --peer bot=1001 --out d.auth
    """
    cli = Cli.of(directory, json, copies=True)
    known = public_of(cli, public)
    people: list[str] = []
    asked = (rotate, powers, expires, revoke, peer, threshold)
    wishes = [*_added(add or [], people), *_agents(agent or [], known, people), *_others(*asked)]
    names = (*known.names, *people)
    now = now_ns()
    after = apply(before := Change.of(known.authority), wishes, now, names)
    refuse_nonsense(before, after, known.genesis, now)
    terms = _layout.FrameTerms(
        engine_id=known.genesis.engine_id,
        environment=Environment(known.genesis.environment),
        sequence=known.sequence + 1,
        issued_ns=now - ISSUED_BEFORE_NS,
        expires_ns=now + parse_duration(valid),
    )
    made = Draft(_KIND, after.part(terms), names=names)
    made.write(out)
    known = Public.of(known.genesis.raw, known.authority_frame, known.policy_frame, names)
    found = told(made, known, _words)
    cli.emit(
        {"file": str(out), **found.data},
        f"{found.text()}\nnext: zcp authority sign {out} --key ROOTKEY, by each root that signs",
    )


def _others(
    rotate: list[str] | None,
    powers: list[str] | None,
    expires: list[str] | None,
    revoke: list[str] | None,
    peer: list[str] | None,
    threshold: list[str] | None,
) -> list[Wish]:
    return [
        *(
            Wish("rotate", name, person=Person.read(Path(value)))
            for name, value in _pairs("--rotate", rotate)
        ),
        *(Wish("powers", name, powers=powers_of(v)) for name, v in _pairs("--powers", powers)),
        *(Wish("expires", name, time_ns=end_of(v)) for name, v in _pairs("--expires", expires)),
        *(Wish("revoke", name) for name in revoke or []),
        *(Wish("peer", name, peer_uid=_user(v)) for name, v in _pairs("--peer", peer)),
        *(_threshold(name, value) for name, value in _pairs("--threshold", threshold)),
    ]


def _pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    out = []
    for text in given or []:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {text!r}: NAME=VALUE is needed", next_step="see --help")
        out.append((name, value))
    return out


def _halves(option: str, text: str) -> tuple[Path, str]:
    file, colon, value = text.rpartition(":")
    if not (file and colon and value):
        raise UsageError(f"{option} {text!r}: FILE.pub:WORDS is needed", next_step="see --help")
    return Path(file), value


def _added(given: list[str], people: list[str]) -> list[Wish]:
    out = []
    for text in given:
        file, words = _halves("--add", text)
        person = Person.read(file)
        people.append(person.name)
        out.append(Wish("add", person.name, person=person, powers=powers_of(words)))
    return out


def _agents(given: list[str], public: Public, people: list[str]) -> list[Wish]:
    out = []
    for text in given:
        file, path = _halves("--agent", text)
        if public.policy is not None:
            node = public.policy.agent(path).id
        elif public.sequence == 0:
            node = stable_id("node", path)  # The first bundle is there before the first policy.
        else:
            raise UsageError("no policy was loaded, so there is no agent", next_step="load one")
        person = Person.read(file)
        people.append(person.name)
        out.append(Wish("agent", person.name, person=person, node=node))
    return out


def _user(text: str) -> int | None:
    """A user id; None for "none"."""
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit() or int(text) >= _layout.UID_NONE:
        raise UsageError(
            f"--peer: {text!r} is no user id", next_step="a number, as `id -u USER` prints it"
        )
    return int(text)


def _threshold(name: str, value: str) -> Wish:
    (power,) = powers_of(name)
    if not value.isascii() or not value.isdigit() or len(value) > 3:
        raise UsageError(f"--threshold {name}={value}: a number is needed")
    return Wish("k", threshold=(power, int(value)))


def sign(
    file: FileArgument,
    key: KeyOption = None,
    public: PublicOption = None,
    out: OutOrSameOption = None,
    yes: YesOption = False,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a bundle changes and leaves, ask, and sign it with a root key file.

    Examples:

        zcp authority sign b.auth

        zcp authority sign b.auth --key root-2.key --public desk.public
    """
    cli = Cli.of(directory, json, passphrase_file, copies=True)
    sign_file(*(cli, file, _KIND), key=key, file=public, out=out, yes=yes, extra=_words)


def combine(
    files: FilesArgument,
    out: OutOption,
    public: PublicOption = None,
    directory: DirOption = None,
    json: JsonOption = False,
) -> None:
    """Join the signatures of copies that were signed apart.

    Example:

        zcp authority combine b-1.auth b-2.auth --out b.auth
    """
    combine_files(Cli.of(directory, json, copies=True), files, _KIND, out, public, _words)


def submit(
    file: FileArgument,
    wait: WaitOption = WAIT_SECONDS,
    directory: DirOption = None,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
) -> None:
    """Bring a signed bundle to the engine. It is taken under a halt too, and lifts none.

    From then on revoked and replaced keys count no more, also on commands that are half signed.

    Example:

        zcp authority submit b.auth
    """
    if far := remote():
        cli = Cli.connected(json, passphrase_file)
        made, taken = submit_far(far, file, _KIND, passphrase_file)
        result = taken_data(taken)
    else:
        cli = Cli.of(directory, json, passphrase_file)
        made, result = submit_file(cli, file, _KIND, wait)
    data = {"sequence": made.frame.sequence, "hash": made.frame.hash.hex(), **result}
    if result["applied"]:
        cli.emit(
            data, f"authority bundle {data['sequence']} is in force (record {result['record']})"
        )
        return
    cli.emit(data, waiting_text(result))
    raise typer.Exit(6)
