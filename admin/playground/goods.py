"""Four small data sets made by rule, of firms that do not exist: auto parts, machine tools, medicines, freight.

The same on every machine and in every run. Records name each other across the firms, so that a way leads from a
parcel over the part in it to the machine that made the part. Stores nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

AUTO: Final = "88.608.7"
PHARMA: Final = "88.118.8"
MACHINES: Final = "88.118.122"
FREIGHT: Final = "88.118.131"
LIQUOR: Final = "88.608.24061301"

_SEED: Final = 7
_Rows = tuple[tuple[str, str], ...]

_FIRST_DAY: Final = date(2025, 3, 1)
_DAYS: Final = 240

_CITIES: Final = ("宁波", "沈阳", "苏州", "武汉", "成都", "青岛", "长春", "佛山")
_PARTS: Final = ("制动卡钳", "轮毂轴承", "转向机总成", "高压油泵", "减震器", "驱动电机", "线束总成", "缸盖")
_MODELS: Final = (("立式加工中心", "VMC850", 12_000), ("数控车床", "CK6150", 4_000), ("磨齿机", "YK7250", 6_000))
_CARE: Final = ("更换润滑油并检查导轨间隙", "激光干涉仪校准各轴定位精度", "更换主轴前轴承并做动平衡")
_DRUGS: Final = (
    ("阿莫西林胶囊", "0.25g×24粒", "遮光密封保存"),
    ("盐酸二甲双胍片", "0.5g×20片", "密封保存"),
    ("布洛芬缓释胶囊", "0.3g×20粒", "密封保存"),
    ("人血白蛋白", "10g", "2℃至8℃避光保存"),
)
_STEPS: Final = (("commissioning", "揽收"), ("shipping", "发运"), ("arriving", "到达"), ("receiving", "签收"))
_FIRMS: Final = (
    (AUTO, "宁波示例汽车零部件有限公司"),
    (MACHINES, "沈阳示例机床有限公司"),
    (PHARMA, "苏州示例药业有限公司"),
    (FREIGHT, "武汉示例物流有限公司"),
)

PART_COUNT: Final = 24
PACK_COUNT: Final = 16
UNIT_COUNT: Final = 12
EVENT_COUNT: Final = 12
WAYBILL_COUNT: Final = 4
LOT_COUNT: Final = 4
MACHINE_COUNT: Final = 6
CARE_COUNT: Final = 12
_BOX_COUNT: Final = 4  # Boxes of the liquor set that travel: it has more.

PART: Final = f"{AUTO}/PART-0001"
"""The product that the tour resolves: of the enterprise with a node of its own."""

PACK: Final = f"{PHARMA}/PACK-0001"
"""One of the enterprise whose node fails now and then."""

STOCK: Final = f"{AUTO}/STOCK"
FAILING_STOCK: Final = f"{PHARMA}/STOCK"
"""Records that change often, and may be remembered for a second only."""

STOCK_TYPE: Final = "pieces"
TTL_S: Final = 3_600
STOCK_TTL_S: Final = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One record: its handle, its values as pairs of type and text, in the order of their indexes from 1; TTL in s."""

    handle: str
    rows: _Rows
    ttl_s: int = TTL_S

    @property
    def prefix(self) -> str:
        """What stands before the slash."""
        return self.handle.partition("/")[0]


def items() -> tuple[Item, ...]:
    """All records of the four sets."""
    chance = Random(_SEED)  # noqa: S311 - data for show, the same every time
    firms = [Item(f"{prefix}/FIRM", (("orgName", name), ("entPrefix", prefix))) for prefix, name in _FIRMS]
    stocks = [Item(handle, ((STOCK_TYPE, "120"),), STOCK_TTL_S) for handle in (STOCK, FAILING_STOCK)]
    return (*firms, *stocks, *_machines(chance), *_parts(chance), *_medicines(chance), *_freight(chance))


def check_digit(body: str) -> str:
    """The last digit of a GTIN: digits weigh 3 and 1 by turns from the right, and all of them end in 0."""
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def _day(chance: Random) -> date:
    return _FIRST_DAY + timedelta(days=chance.randrange(_DAYS))


def _gtin(firm: int, item: int) -> str:
    body = f"69{firm:05d}{item:05d}"
    return body + check_digit(body)


def _machines(chance: Random) -> Iterator[Item]:
    for number in range(1, MACHINE_COUNT + 1):
        name, model, speed = _MODELS[number % len(_MODELS)]
        rows: _Rows = (
            ("deviceName", name),
            ("deviceModel", model),
            ("serialNo", f"{model}-{number:04d}"),
            ("spindleMaxRpm", str(speed)),
            ("manufactureDate", _day(chance).isoformat()),
            ("maker", f"{MACHINES}/FIRM"),
        )
        yield Item(f"{MACHINES}/M-{number:04d}", rows)
    for number in range(1, CARE_COUNT + 1):
        machine = 1 + number % MACHINE_COUNT
        rows = (
            ("maintDate", _day(chance).isoformat()),
            ("description", _CARE[number % len(_CARE)]),
            ("runningHours", str(chance.randrange(200, 20_000))),
            ("machine", f"{MACHINES}/M-{machine:04d}"),
        )
        yield Item(f"{MACHINES}/MAINT-{number:04d}", rows)


def _parts(chance: Random) -> Iterator[Item]:
    for number in range(1, PART_COUNT + 1):
        name = _PARTS[number % len(_PARTS)]
        day = _day(chance)
        rows: _Rows = (
            ("partName", name),
            ("partNo", f"{3500 + 10 * (number % len(_PARTS))}-{number:03d}"),
            ("batchNo", f"B{day:%y%m%d}"),
            ("serialNo", f"SN{number:06d}"),
            ("productionDate", day.isoformat()),
            ("torqueNm", f"{20 + chance.randrange(900) / 10:.1f}"),
            ("gtin", _gtin(1001, number % len(_PARTS))),
            ("machine", f"{MACHINES}/M-{1 + number % MACHINE_COUNT:04d}"),
            ("unit", f"{FREIGHT}/UNIT-{1 + number % UNIT_COUNT:04d}"),
            ("maker", f"{AUTO}/FIRM"),
        )
        yield Item(f"{AUTO}/PART-{number:04d}", rows)


def _medicines(chance: Random) -> Iterator[Item]:
    for number in range(1, LOT_COUNT + 1):
        drug, spec, storage = _DRUGS[number % len(_DRUGS)]
        made = _day(chance)
        rows: _Rows = (
            ("drugName", drug),
            ("spec", spec),
            ("storage", storage),
            ("batchNo", f"{made:%Y%m}{number:02d}"),
            ("productionDate", made.isoformat()),
            ("expiryDate", (made + timedelta(days=730)).isoformat()),
            ("mah", f"{PHARMA}/FIRM"),
        )
        yield Item(f"{PHARMA}/LOT-{number:04d}", rows)
    for number in range(1, PACK_COUNT + 1):
        lot = 1 + number % LOT_COUNT
        rows = (
            ("drugName", _DRUGS[lot % len(_DRUGS)][0]),
            ("traceCode", f"81{chance.randrange(10**8):08d}{number:010d}"),
            ("gtin", _gtin(2002, lot)),
            ("lot", f"{PHARMA}/LOT-{lot:04d}"),
            ("unit", f"{FREIGHT}/UNIT-{1 + number % UNIT_COUNT:04d}"),
        )
        yield Item(f"{PHARMA}/PACK-{number:04d}", rows)


def _freight(chance: Random) -> Iterator[Item]:
    for number in range(1, WAYBILL_COUNT + 1):
        start = chance.randrange(len(_CITIES))
        rows: _Rows = (
            ("waybillNo", f"WB{number:08d}"),
            ("origin", _CITIES[start]),
            ("destination", _CITIES[(start + 3) % len(_CITIES)]),
            ("createTime", f"{_day(chance).isoformat()}T08:30:00+08:00"),
            ("carrier", f"{FREIGHT}/FIRM"),
        )
        yield Item(f"{FREIGHT}/WB-{number:04d}", rows)
    for number in range(1, UNIT_COUNT + 1):
        rows = (
            ("goods", _load(number)),
            ("weightKg", f"{5 + chance.randrange(3000) / 10:.1f}"),
            ("waybill", f"{FREIGHT}/WB-{1 + number % WAYBILL_COUNT:04d}"),
        )
        yield Item(f"{FREIGHT}/UNIT-{number:04d}", rows)
    for number in range(1, EVENT_COUNT + 1):
        step, name = _STEPS[number % len(_STEPS)]
        rows = (
            ("eventTime", f"{_day(chance).isoformat()}T{number + 6:02d}:00:00+08:00"),
            ("step", step),
            ("stepName", name),
            ("place", f"{_CITIES[number % len(_CITIES)]}分拨中心"),
            ("unit", f"{FREIGHT}/UNIT-{1 + number % UNIT_COUNT:04d}"),
        )
        yield Item(f"{FREIGHT}/EVENT-{number:04d}", rows)


def _load(number: int) -> str:
    """What a parcel holds: by turns a part, a medicine and a box of the liquor set."""
    kinds = (
        f"{AUTO}/PART-{1 + number % PART_COUNT:04d}",
        f"{PHARMA}/PACK-{1 + number % PACK_COUNT:04d}",
        f"{LIQUOR}/CASE{1 + number % _BOX_COUNT:03d}",
    )
    return kinds[number % len(kinds)]
