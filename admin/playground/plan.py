"""Who is who in the playground: its nodes, what each homes, and who delegates what to whom. Data only.

Every node is the same program. The prefixes are examples: nothing here is registered anywhere.
"""

from dataclasses import dataclass
from typing import Final

from admin.playground.goods import AUTO, FREIGHT, LIQUOR, MACHINES, PHARMA

ROOT: Final = "root"
NATIONAL: Final = "national"
SECONDARY_A: Final = "secondary-a"
MIRROR_A: Final = "mirror-a"
SECONDARY_B: Final = "secondary-b"
DELEGATED: Final = "auto-parts"
FAILING: Final = "pharma"
RECURSIVE: Final = "recursive"

COUNTRY: Final = "88"
REGION_A: Final = "88.608"
REGION_B: Final = "88.118"
HOSTED: Final = LIQUOR
"""The enterprise without a node: its secondary keeps its records, and so does the mirror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One node: its name and folder, its role, and the prefixes that it homes with a record and a key of each.

    `copies` names the node whose mirror it is. `is_asking`: it finds for others what it does not keep.
    """

    name: str
    role: str
    homes: tuple[str, ...] = ()
    copies: str = ""
    is_asking: bool = False


SEATS: Final = (
    Seat(name=ROOT, role="root"),
    Seat(name=NATIONAL, role="national", homes=(COUNTRY,)),
    Seat(name=SECONDARY_A, role="secondary", homes=(REGION_A, HOSTED)),
    Seat(name=MIRROR_A, role="secondary", copies=SECONDARY_A),
    Seat(name=SECONDARY_B, role="secondary", homes=(REGION_B, MACHINES, FREIGHT)),
    Seat(name=DELEGATED, role="enterprise", homes=(AUTO,)),
    Seat(name=FAILING, role="enterprise", homes=(PHARMA,)),
    Seat(name=RECURSIVE, role="recursive", is_asking=True),
)
"""In the order of the map: parents before children."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """A prefix record at `at`: the sites of `to`, its primary first, keep the prefix and what is derived from it."""

    at: str
    prefix: str
    to: tuple[str, ...]


DELEGATIONS: Final = (
    Delegation(at=ROOT, prefix=COUNTRY, to=(NATIONAL,)),
    Delegation(at=NATIONAL, prefix=REGION_A, to=(SECONDARY_A, MIRROR_A)),
    Delegation(at=NATIONAL, prefix=REGION_B, to=(SECONDARY_B,)),
    Delegation(at=SECONDARY_A, prefix=HOSTED, to=(SECONDARY_A, MIRROR_A)),
    Delegation(at=SECONDARY_A, prefix=AUTO, to=(DELEGATED,)),
    Delegation(at=SECONDARY_B, prefix=PHARMA, to=(FAILING,)),
)


def seat(name: str) -> Seat:
    """The node of that name."""
    return next(found for found in SEATS if found.name == name)


def keeper_of(prefix: str) -> str:
    """The name of the node that homes a prefix as its primary."""
    return next(found.name for found in SEATS if prefix in found.homes)


def parent_of(name: str) -> str:
    """The node above on the map: a mirror's source, else who delegates to it; empty at the top."""
    found = seat(name).copies
    return found or next((row.at for row in DELEGATIONS if name in row.to and name != row.at), "")


def children_of(name: str) -> list[str]:
    """The nodes below on the map, in its order; of the empty name those at the top."""
    return [found.name for found in SEATS if parent_of(found.name) == name]
