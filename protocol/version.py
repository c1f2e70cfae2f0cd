"""Protocol versions: how they compare, which one a reply is written in, and what changes with them.

Sources: behaviours 1-4; spec, protocol: section 7.
"""

from typing import Final, NamedTuple

from protocol.codes import DIGEST_OLD_FORM, DIGEST_SHA1, DIGEST_SHA256


class Version(NamedTuple):
    """Major and minor as the envelope carries them. Compare with `at_least`: 5.x is older than all others."""

    major: int
    minor: int

    def at_least(self, other: "Version") -> bool:
        """Whether this version has what came with `other`. A historic 5.x counts as older than 2.0."""
        if self[0] != _HISTORIC_MAJOR != other[0]:
            return self >= other  # Asked ten times a message.
        return (self.major != _HISTORIC_MAJOR, self.major, self.minor) >= (
            other.major != _HISTORIC_MAJOR,
            other.major,
            other.minor,
        )

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


_HISTORIC_MAJOR: Final = 5  # Once sent by an old client where 2.0 was meant.
_SUGGESTED_MAJOR_MASK: Final = 0x03  # All that deployed peers read of a suggested major version.

OLDEST: Final = Version(2, 0)
NEWEST: Final = Version(2, 11)
"""What this software speaks, suggests, and writes into its site record."""

UNKNOWN_PEER: Final = Version(2, 3)
"""What a client writes to a server whose site record it does not know (spec, protocol: section 7.2)."""

# What came with which version.
V_DIGEST_IN_FRONT: Final = Version(2, 1)
V_CHAINED_CIPHER: Final = Version(2, 4)
V_OWN_CODES: Final = Version(2, 5)
V_NAMED_DIGESTS: Final = Version(2, 6)
V_SHA256: Final = Version(2, 7)
V_SUGGESTION_SIGNED: Final = Version(2, 8)
V_ALL_SOURCES: Final = Version(2, 9)
V_PREFIX_REFERRALS: Final = Version(2, 10)
V_DSA_SHA256: Final = Version(2, 11)


def negotiated(version: Version, suggested: Version) -> Version:
    """The version of the reply: the one that the peer suggests, at most ours, at least 2.0; 5.x stays as it is."""
    major = suggested.major & _SUGGESTED_MAJOR_MASK
    wanted = version if major == 0 else Version(major, suggested.minor)
    if version.major == _HISTORIC_MAJOR and suggested.major in (0, _HISTORIC_MAJOR):
        return version
    if wanted.at_least(NEWEST):
        return NEWEST
    return wanted if wanted.at_least(OLDEST) else OLDEST


def digest_algorithm(version: Version) -> int:
    """The algorithm of request digests in a message of that version (behaviours 4)."""
    if version.at_least(V_SHA256):
        return DIGEST_SHA256
    return DIGEST_SHA1 if version.at_least(V_DIGEST_IN_FRONT) else DIGEST_OLD_FORM
