"""Every bound of a walk, with its reason. A walk that meets one ends with a code and the bound's name in words."""

from dataclasses import dataclass
from typing import Final

RECURSION_COUNT_MAX: Final = 10
"""What a node takes upon itself for others: at this count a request was passed on too often (resolution, 6.3)."""

CLIENT_RECURSION_COUNT_MAX: Final = 40
"""The greatest count that a question of ours carries: what the client in service writes (resolution, 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one walk; times in milliseconds.

    `recursion_count`: a query with this count is refused with RECURSION_COUNT_TOO_HIGH before anybody is asked;
    `own_recursion_count`: no question carries more. `questions`: messages sent, all retries of one UDP question
    counting once. `total_ms`: from the start to the end. `depth`: look-ups that wait for look-ups (service handles);
    `lookups`: all of them, remembered ones included. `referrals`: of one question. `aliases`: followed one after the
    other. `services`: how many HS_SERV values of one record are looked at, `sites`: how many sites of a record and of
    a service, `servers`: how many sites one question is put to. `udp_waits_ms`: the
    waits for the last site that is left over UDP, `udp_waits_early_ms`: for those before. `tcp_waits_ms`: connecting,
    answering. `ipv4_delay_ms`: how long IPv6 has the lead. `doubt_age_ms`: what was remembered for at least so long is
    asked for anew where the servers that it names do not answer.
    """

    recursion_count: int = RECURSION_COUNT_MAX
    own_recursion_count: int = CLIENT_RECURSION_COUNT_MAX
    questions: int = 48  # Four levels with two dead servers each need 20; what an evil zone can make us send.
    total_ms: int = 10_000  # A client over TCP waits as long as this.
    depth: int = 20  # What the client in service follows.
    lookups: int = 128  # Records that name one another in memory cost no questions, and must end as well.
    referrals: int = 16  # Levels of delegation; deployed hierarchies have three.
    aliases: int = 20  # What the proxy in service follows.
    sites: int = 16  # Real services have under ten.
    services: int = 4  # Real records have one; each costs questions.
    servers: int = 6  # Of one question, over UDP and over TCP.
    udp_waits_ms: tuple[int, ...] = (500, 1_000, 1_500)  # The waits of the client library in service.
    udp_waits_early_ms: tuple[int, ...] = (500, 1_000)  # Another site may well be up.
    tcp_waits_ms: tuple[int, ...] = (2_000, 4_000)
    ipv4_delay_ms: int = 300  # What the client in service waits (resolution, 3.2).
    doubt_age_ms: int = 60_000  # So a dead server costs its parent one question a minute, not one a walk.
