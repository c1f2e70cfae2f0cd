"""Every bound on what a peer may send, each with its reason. Relations between them are asserted below."""

from typing import Final

ENVELOPE_SIZE: Final = 20  # RFC 3652, section 2.2.1.
HEADER_SIZE: Final = 24  # RFC 3652, section 2.2.2.

MESSAGE_SIZE_MAX: Final = 262_144  # Header, body and credential: deployed peers refuse more, in both directions.
MESSAGE_SIZE_FLOOR: Final = 4_096  # The least that an operator may set: smaller would refuse ordinary requests.

DATAGRAM_SIZE_MAX: Final = 512  # What every deployed client can receive over UDP.
FRAGMENT_SIZE: Final = DATAGRAM_SIZE_MAX - ENVELOPE_SIZE  # Piece k of a message begins at k times this.
FRAGMENT_COUNT_MAX: Final = -(-MESSAGE_SIZE_MAX // FRAGMENT_SIZE)  # Pieces of the longest message.

HANDLE_SIZE_MAX: Final = 2_048  # Deployed clients refuse a longer handle in an answer.
PREFIX_LABELS_MAX: Final = 32  # Dots of a prefix handle whose ancestors are looked at; real ones have under six.
VALUE_COUNT_MAX: Final = 2_048  # Deployed clients refuse more values in an answer.
STRING_SIZE_MAX: Final = 1_048_576  # The guard of deployed decoders; a message bounds it further.
LIST_COUNT_MAX: Final = 65_536  # Index and type lists: what a message of the greatest size can hold of 4-octet items.
REFERENCE_COUNT_MAX: Final = 32_768  # References of a value, members of a group: 8 octets each at least.
SITE_ATTRIBUTE_COUNT_MAX: Final = 1_024  # Attributes of a site: deployed sites have under ten.
SITE_SERVER_COUNT_MAX: Final = 1_024  # Servers of a site: deployed sites have under ten.
SITE_INTERFACE_COUNT_MAX: Final = 64  # Interfaces of a server: four protocols, rarely two ports each.
NONCE_SIZE_MAX: Final = 1_024  # A challenge nonce has 16 octets; others are read and kept small.
KEY_NUMBER_SIZE_MAX: Final = 2_049  # One number of a key: 16,384 bits and the sign octet.

REASSEMBLY_AGE_MAX_S: Final = 5.0  # How long pieces wait for the rest: what the server in service waits.
REASSEMBLY_MESSAGES_MAX: Final = 1_024  # Unfinished messages at a time, all sources together.
REASSEMBLY_MESSAGES_A_SOURCE_MAX: Final = 16  # A client sends one at a time; a shared address a few.
REASSEMBLY_OCTETS_A_SOURCE_MAX: Final = 2 * MESSAGE_SIZE_MAX  # Two of the longest messages of one source.
REASSEMBLY_OCTETS_MAX: Final = 32 * MESSAGE_SIZE_MAX  # 8 MiB in all: what a flood of first pieces can hold.

NAMESPACE_SIZE_MAX: Final = 65_536  # Octets of a namespace's XML: real ones have under 4 KiB.
NAMESPACE_DEPTH_MAX: Final = 32  # Nested elements of a template.
NAMESPACE_REFERENCES_MAX: Final = 10  # Templates that refer to templates (spec, records: section 7.2).
NAMESPACE_STEPS_MAX: Final = 10_000  # Elements evaluated for one handle.
NAMESPACE_OUTPUT_MAX: Final = MESSAGE_SIZE_MAX  # Octets of all computed values.
PATTERN_SIZE_MAX: Final = 1_024  # Characters of a stored regular expression.
PATTERN_INPUT_MAX: Final = 2_048  # Characters it is held against: a handle's size.
PATTERN_MEMORY_MAX: Final = 1 << 20  # Octets that the matcher may use for one pattern: bounds its time, too.

assert ENVELOPE_SIZE + HEADER_SIZE < DATAGRAM_SIZE_MAX <= MESSAGE_SIZE_FLOOR <= MESSAGE_SIZE_MAX
assert HANDLE_SIZE_MAX < MESSAGE_SIZE_FLOOR, "the longest handle fits into the smallest allowed message"
assert LIST_COUNT_MAX * 4 >= MESSAGE_SIZE_MAX
assert REFERENCE_COUNT_MAX * 8 >= MESSAGE_SIZE_MAX
assert FRAGMENT_COUNT_MAX * FRAGMENT_SIZE >= MESSAGE_SIZE_MAX
assert MESSAGE_SIZE_MAX <= REASSEMBLY_OCTETS_A_SOURCE_MAX <= REASSEMBLY_OCTETS_MAX
assert REASSEMBLY_MESSAGES_A_SOURCE_MAX <= REASSEMBLY_MESSAGES_MAX
