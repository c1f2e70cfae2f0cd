"""The credential at the end of a message: who vouches for it, how, and with which octets. Computes and checks nothing.

Sources: RFC 3652 section 2.2.4; spec, security: section 6.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from protocol.errors import Malformed
from protocol.limits import HANDLE_SIZE_MAX, KEY_NUMBER_SIZE_MAX
from protocol.wire import Reader, Writer

HS_SIGNED: Final = b"HS_SIGNED"
"""The type of a signature with the server's key."""

HS_DSAPUBKEY: Final = b"HS_DSAPUBKEY"
"""An older name of `HS_SIGNED`: read, never written."""

HS_MAC: Final = b"HS_MAC"
"""The type of a MAC with the session's key."""

NAME_SIZE_MAX: Final = 256  # Types and algorithms: the longest known name has 12 octets.
SIGNATURE_SIZE_MAX: Final = KEY_NUMBER_SIZE_MAX  # A signature is as long as the longest number of a key at most.
_COUNT_SIZE: Final = 4
_HEAD: Final = Struct(">BBH")  # version, reserved, flags
_U8_MAX: Final = 0xFF
_U16_MAX: Final = 0xFFFF
_U32_MAX: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A MAC or a signature, with what it says of itself.

    `counter` is the session counter, 0 outside sessions; the RFC has the index of the signer's key there, and `signer`
    for its handle. Deployed software leaves `signer` empty. `algorithm` is a name, or one octet before 2.6.
    """

    type: bytes
    algorithm: bytes
    signature: bytes
    counter: int = 0
    signer: bytes = b""
    version: int = 0
    reserved: int = 0
    flags: int = 0

    def __post_init__(self) -> None:
        if (
            len(self.type) <= NAME_SIZE_MAX
            and len(self.algorithm) <= NAME_SIZE_MAX
            and len(self.signature) <= SIGNATURE_SIZE_MAX
            and not self.signer
            and 0 <= self.counter <= _U32_MAX
            and self.version == self.reserved == self.flags == 0
        ):
            return  # What nearly every message carries; the rest is looked at field by field, to say what is wrong.
        for octets, size_max in (
            (self.type, NAME_SIZE_MAX),
            (self.algorithm, NAME_SIZE_MAX),
            (self.signature, SIGNATURE_SIZE_MAX),
            (self.signer, HANDLE_SIZE_MAX),
        ):
            if len(octets) > size_max:
                raise Malformed(f"{len(octets)} octets in a credential's field of {size_max}")
        for number, number_max in (
            (self.counter, _U32_MAX),
            (self.version, _U8_MAX),
            (self.reserved, _U8_MAX),
            (self.flags, _U16_MAX),
        ):
            if not 0 <= number <= number_max:
                raise Malformed(f"{number} in a credential's field of at most {number_max}")

    @classmethod
    def read(cls, octets: bytes) -> Self | None:
        """The credential in the octets behind its length; None where there are none: the message carries no credential.

        `Malformed` where they are no credential, where the length of the section disagrees, or where octets are left.
        """
        if not octets:
            return None
        reader = Reader(octets)
        version, reserved, flags = reader.fields(_HEAD)
        signer = reader.counted(size_max=HANDLE_SIZE_MAX)
        counter = reader.u32()
        kind = reader.counted(size_max=NAME_SIZE_MAX)
        section_size = reader.u32()
        if section_size != reader.remaining:
            raise Malformed(f"a section of {section_size} octets announced, {reader.remaining} there")
        algorithm = reader.counted(size_max=NAME_SIZE_MAX)
        signature = reader.counted(size_max=SIGNATURE_SIZE_MAX)
        reader.expect_end("the credential")
        return cls(
            type=kind,
            algorithm=algorithm,
            signature=signature,
            counter=counter,
            signer=signer,
            version=version,
            reserved=reserved,
            flags=flags,
        )

    def to_bytes(self) -> bytes:
        """The octets that stand behind the credential's length."""
        octets = Writer()
        octets.fields(_HEAD, self.version, self.reserved, self.flags)
        octets.counted(self.signer)
        octets.u32(self.counter)
        octets.counted(self.type)
        octets.u32(_COUNT_SIZE + len(self.algorithm) + _COUNT_SIZE + len(self.signature))
        octets.counted(self.algorithm)
        octets.counted(self.signature)
        return octets.to_bytes()
