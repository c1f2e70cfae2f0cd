"""What a new prefix needs: a name that can be one, and the record that lets clients find it. Stores nothing."""

import re
from typing import Final

from admin.errors import ExitCode, Failure
from protocol.administrator import ALL_PERMISSIONS, Administrator
from protocol.trust.keys import PublicKey, public_key_octets
from protocol.value import HandleValue, value_list

SITE_INDEX: Final = 1
ADMIN_INDEX: Final = 100
KEY_INDEX: Final = 300

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_LENGTH_MAX: Final = 200  # The name of its key file, with `.admin.pem`, must fit into what file systems take.


def checked_prefix(prefix: str) -> str:
    """The prefix as it was given; a `Failure` that says what is wrong where it can be none.

    RFC 3651, section 2, allows more; what lies outside of letters, digits, `-`, `_` and the dot between labels is,
    in a prefix, a slip of the keyboard.
    """
    why, then = "", "a prefix looks like this: 88.100"
    if not prefix:
        why = "it is empty"
    elif len(prefix) > _LENGTH_MAX:
        why = f"it has {len(prefix)} signs, at most {_LENGTH_MAX} are allowed"
    elif "/" in prefix:
        why = "a slash begins the suffix: give the prefix alone"
        then = prefix.partition("/")[0] or then
    elif not all(prefix.split(".")):
        why = "one of its labels is empty: dots stand between labels"
    elif not all(_LABEL.fullmatch(label) for label in prefix.split(".")):
        wrong = next(sign for sign in prefix if sign != "." and not _LABEL.fullmatch(sign))
        why = f"{wrong!r} is no sign of a prefix: letters, digits, '-', '_' and dots between labels are"
    if why:
        raise Failure(f"{prefix!r} is no prefix", why, then, code=ExitCode.USAGE)
    return prefix


def prefix_record(handle: bytes, site: bytes, key: PublicKey, now_s: int) -> bytes:
    """The value list of a prefix handle: its site, its administrator with every right, and that one's public key."""
    admin = Administrator(ALL_PERMISSIONS, handle, KEY_INDEX).to_bytes()
    rows = (
        (SITE_INDEX, b"HS_SITE", site),
        (ADMIN_INDEX, b"HS_ADMIN", admin),
        (KEY_INDEX, b"HS_PUBKEY", public_key_octets(key)),
    )
    return value_list([HandleValue(index=i, type=kind, data=data, timestamp=now_s) for i, kind, data in rows])
