"""From values to sites and to further handles: what a service's record says of who answers.

Types are compared exactly, as deployed clients do. Source: spec, resolution: sections 2.2 and 3.1.
"""

from collections.abc import Iterable
from typing import Final

from protocol.errors import Malformed
from protocol.limits import HANDLE_SIZE_MAX
from protocol.site import Site
from protocol.value import HandleValue

SITE_TYPES: Final = frozenset((b"HS_SITE", b"HS_SITE.6"))
SERVICE_TYPES: Final = frozenset((b"HS_SERV", b"HS_SERV.PREFIX"))


def sites_of(values: Iterable[HandleValue]) -> tuple[Site, ...]:
    """The sites of the values that hold one and can be read."""
    found = []
    for value in values:
        if value.type in SITE_TYPES:
            try:
                found.append(Site.from_bytes(value.data))
            except Malformed:
                continue  # One broken site leaves the others in service.
    return tuple(found)


def services_of(values: Iterable[HandleValue]) -> tuple[bytes, ...]:
    """The service handles that the values name."""
    named = [value.data for value in values if value.type in SERVICE_TYPES]
    return tuple([handle for handle in named if 0 < len(handle) <= HANDLE_SIZE_MAX])
