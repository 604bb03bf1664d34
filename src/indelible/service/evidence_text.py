"""What every evidence file says about itself, in VERIFY.txt."""

VERIFY = """\
HOW TO CHECK THIS FILE

This zip proves events of an audit log: what they say, when they were received, by which key they were
written, and that none of the range is missing. Nothing in it has to be believed, this page included. To
check it you need the log's verifier key, from somewhere else than this zip: the operator's documents, an
earlier audit, a witness. It looks like audit.example.com/logs/<log id>+<8 hex digits>+<base64>. The names of
the writers stand in the workspace's log `_audit`, which has a key of its own.

Do not use a verifier that came in this zip or beside it from the same hands. Whoever can forge the events can
forge a program that says they are genuine. Get the program from the project, and the key from another side.

WITH THE COMMAND

    indelible verify THIS.zip --key "<verifier key of the log>" --key "<verifier key of _audit>"

It needs no server, no account and no network. Exit code 0: all is proved. 6: nothing is wrong with what was
checked, and something could not be checked. 1: something is wrong.

WITH THE WEB PAGE

Open the page /verify of any Indelible server that you trust, or a copy of it that you keep. It works without
a network: drop this file on it, and paste the keys. Nothing is sent anywhere.

BY HAND

The format is written down in the project's docs/formats.md, section Evidence. In short, for each line of
events.ndjson (integers are big-endian, || joins bytes):

    commitment = SHA-256(salt || payload)
    entry      = 0x01 || sequence u64 || time u64, microseconds since 1970 || writer[16] || commitment
    leaf       = SHA-256(0x00 || entry)

proof.json has the hashes that close the RFC 6962 tree around these leaves; the root must be the one in
`checkpoint`, whose signature (Ed25519, C2SP signed-note) must be the log's. manifest.json lists the SHA-256
of every other file, and manifest.sig is signed by the log's key over the SHA-256 of manifest.json.
"""

VERIFY_REPORT = """
THE REPORT

report.json is what a view answered, view.wasm the view, config.json its configuration and request.json what
it was asked. report.sig is signed by the log's key over their SHA-256, the head and the range of events: it
says that these events alone, folded from nothing, gave this answer. The command folds them again and compares
every byte; for that it needs the engine (pip install 'indelible[reports]'). The web page checks the signature
and the digests, and does not fold. Where the events were left out of this file, nothing more than that can be
checked.

The format: docs/formats.md, section Report.
"""
