"""Whether a mirror must take everything anew, since the journal cannot tell it all that it missed. Pure.

Source: spec, resolution: section 8, "when a redump is required". One rule of ours stands in front: whoever has seen a
change that we never made has another history than this store, which no journal can mend.
"""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000
YOUNG_MS: Final = 10 * DAY_MS
"""A journal that began at its first number less than this ago is told from the start to whoever has nothing."""


@dataclass(frozen=True, slots=True)
class JournalSpan:
    """What the journal can tell: its last number, and its oldest row's number and date; those are 0 where it is empty.

    Dates are ms since 1970.
    """

    last_number: int
    oldest_number: int = 0
    oldest_date_ms: int = 0


def needs_redump(journal: JournalSpan, *, number: int, date_ms: int, now_ms: int) -> bool:
    """Whether a mirror that has changes up to a number, as of a date, must dump before it can follow."""
    if number > journal.last_number:  # Ours: a restored backup made us forget what the mirror has.
        return True
    if journal.last_number <= 0:
        return False
    if not journal.oldest_number:
        return journal.last_number > number
    if journal.oldest_date_ms <= date_ms:
        return False
    is_recent = journal.oldest_date_ms <= date_ms + DAY_MS
    if number > 0:
        return not (is_recent and journal.oldest_number == number + 1)
    is_young = now_ms - journal.oldest_date_ms < YOUNG_MS
    return not (journal.oldest_number == 1 and (is_young or is_recent))
