"""Every number of the protocol, each written once.

Sources: RFC 3652 sections 2.2.2 and 3; spec, protocol: sections 2.3, 4 and 5.

Raw numbers of a peer stay plain `int` until they meet a table: a peer may send any.
"""

from enum import IntEnum
from typing import Final


class OpCode(IntEnum):
    """What a message asks for (RFC 3652, section 2.2.2.1; CNRI's numbers from 300 on)."""

    RESOLUTION = 1
    GET_SITE_INFO = 2
    CREATE_HANDLE = 100
    DELETE_HANDLE = 101
    ADD_VALUE = 102
    REMOVE_VALUE = 103
    MODIFY_VALUE = 104
    LIST_HANDLES = 105
    RESPONSE_TO_CHALLENGE = 200
    VERIFY_CHALLENGE = 201
    HOME_NA = 300
    UNHOME_NA = 301
    LIST_HOMED_NAS = 302
    SESSION_SETUP = 400
    SESSION_TERMINATE = 401
    SESSION_EXCHANGEKEY = 402
    GET_NEXT_TXN_ID = 1000
    RETRIEVE_TXN_LOG = 1001
    DUMP_HANDLES = 1002
    BACKUP_SERVER = 1003
    LOGIN_ID_SYSTEM = 2001


class ResponseCode(IntEnum):
    """How a request ended (RFC 3652, section 2.2.2.2, with CNRI's meanings). 0 marks a request, so it is no member.

    407, 408, 601 to 605 and 3001 are the sector's (spec, snms-api: section 13.1): `protocol.dialect` says who hears
    them.
    """

    SUCCESS = 1
    ERROR = 2
    SERVER_TOO_BUSY = 3
    PROTOCOL_ERROR = 4
    OPERATION_NOT_SUPPORTED = 5
    RECURSION_COUNT_TOO_HIGH = 6
    SERVER_BACKUP = 7
    HANDLE_NOT_FOUND = 100
    HANDLE_ALREADY_EXISTS = 101
    INVALID_HANDLE = 102
    VALUES_NOT_FOUND = 200
    VALUE_ALREADY_EXISTS = 201
    INVALID_VALUE = 202
    OUT_OF_DATE_SITE_INFO = 300
    SERVER_NOT_RESP = 301
    SERVICE_REFERRAL = 302
    PREFIX_REFERRAL = 303
    INVALID_ADMIN = 400
    INSUFFICIENT_PERMISSIONS = 401
    AUTHENTICATION_NEEDED = 402
    AUTHENTICATION_FAILED = 403
    INVALID_CREDENTIAL = 404
    AUTHEN_TIMEOUT = 405
    AUTHEN_ERROR = 406
    LOGIN_REPEATED = 407
    LOGIN_NEEDED = 408
    SESSION_TIMEOUT = 500
    SESSION_FAILED = 501
    INVALID_SESSION_KEY = 502
    NEED_RSAKEY_FOR_SESSIONEXCHANGE = 503
    INVALID_SESSIONSETUP_REQUEST = 504
    SESSION_MESSAGE_REJECTED = 505
    CLIENT_CHANNEL_ERROR = 601
    CLIENT_TIMEOUT = 602
    DAILY_REQUEST_LIMIT = 603
    REGISTER_COUNT_LIMIT = 604
    PREFIX_LIMIT = 605
    CREDENTIAL_CHECK_FAILED = 3001


RESERVED: Final = 0
"""The opcode that no request may have."""

REQUEST: Final = 0
"""The response code of every request."""

# opFlags (RFC 3652, section 2.2.2.3; the lower three are CNRI's).
AUTHORITATIVE: Final = 0x80000000
CERTIFY: Final = 0x40000000
ENCRYPT: Final = 0x20000000
RECURSIVE: Final = 0x10000000
CACHE_CERTIFY: Final = 0x08000000
CONTINUOUS: Final = 0x04000000
KEEP_CONNECTION: Final = 0x02000000
PUBLIC_ONLY: Final = 0x01000000
REQUEST_DIGEST: Final = 0x00800000
OVERWRITE: Final = 0x00400000
MINT_SUFFIX: Final = 0x00200000
DO_NOT_REFER: Final = 0x00100000

DEFAULT_REQUEST_FLAGS: Final = RECURSIVE | CACHE_CERTIFY | PUBLIC_ONLY
"""The flags of a fresh request of the client library in service."""

# Envelope flags: the top three bits of octet 2 (RFC 3652, section 2.2.1).
COMPRESSED: Final = 0x80
ENCRYPTED: Final = 0x40
TRUNCATED: Final = 0x20

# Permissions of one value (RFC 3651, section 3.1).
ADMIN_READ: Final = 0x08
ADMIN_WRITE: Final = 0x04
PUBLIC_READ: Final = 0x02
PUBLIC_WRITE: Final = 0x01
DEFAULT_PERMISSIONS: Final = ADMIN_READ | ADMIN_WRITE | PUBLIC_READ

TTL_RELATIVE: Final = 0
TTL_ABSOLUTE: Final = 1
DEFAULT_TTL_S: Final = 86_400

SITE_SERIAL_UNKNOWN: Final = 0xFFFF

# Digest algorithms of request digests and of one-octet MAC names (spec, protocol: section 3).
DIGEST_OLD_FORM: Final = 0
DIGEST_MD5: Final = 1
DIGEST_SHA1: Final = 2
DIGEST_SHA256: Final = 3
