"""What a node says held against what was captured: all is equal but times, what is drawn by chance, and signatures."""

import time
from dataclasses import replace
from typing import Any

from protocol import codec
from protocol.codec import Message
from protocol.codes import ResponseCode
from protocol.trust.credential import Credential
from protocol.trust.keys import public_of
from protocol.trust.signature import signature_is_valid
from protocol.value import HandleValue
from resolver.challenges import NONCE_SIZE
from resolver.replies import ANSWER_LIFETIME_S
from tests.support.trust_vectors import server_key_seen

CLOCKS_S = 30
"""How long a test may take between two looks at the clock."""


def expect_as_seen(said: Message, seen: Message, *, was_written: bool = False) -> None:
    """The reply that was captured; with `was_written` its values got their timestamps by now."""
    expect_envelope(said, seen)
    expect_header(said, seen)
    if seen.header.code == ResponseCode.AUTHENTICATION_NEEDED:
        assert said.body[:-NONCE_SIZE] == seen.body[:-NONCE_SIZE]
        assert said.body[-NONCE_SIZE:] != seen.body[-NONCE_SIZE:]
    elif was_written:
        assert timeless(said) == timeless(seen)
    else:
        assert said.body.hex() == seen.body.hex()
    expect_credential(said, seen)


def expect_envelope(said: Message, seen: Message) -> None:
    """The envelope that was seen; the id in a challenge's is drawn, and elsewhere it stands for a session."""
    ours, theirs = (replace(message.envelope, session_id=0, message_size=0) for message in (said, seen))
    assert ours == theirs
    assert bool(said.envelope.session_id) == bool(seen.envelope.session_id)


def expect_header(said: Message, seen: Message, **own: int) -> None:
    """The header that was seen, and an answer that holds for as long; `own` are fields that may differ."""
    ignored = {"expiration": 0, **own}
    assert replace(said.header, **ignored) == replace(seen.header, **ignored)
    assert abs(said.header.expiration - time.time() - ANSWER_LIFETIME_S) < CLOCKS_S


def expect_credential(said: Message, seen: Message) -> None:
    """A signature where one was seen, of the same kind, that the server's key bears out."""
    if not seen.credential:
        assert not said.credential
        return
    found, wanted = Credential.read(said.credential), Credential.read(seen.credential)
    assert found is not None and wanted is not None
    assert replace(found, signature=b"") == replace(wanted, signature=b"")
    assert signature_is_valid(found, public_of(server_key_seen()), said.envelope, said.signed_part)


def timeless(message: Message) -> tuple[Any, Any]:
    """Digest and body of a reply, its values without their timestamps, which were set when they were written."""
    digest, body = codec.read_response(message)
    values: tuple[HandleValue, ...] = getattr(body, "values", None) or ()
    if values:
        assert all(value.timestamp > 0 for value in values)
        body = replace(body, values=tuple(replace(value, timestamp=0) for value in values))  # type: ignore[type-var]
    return digest, body
