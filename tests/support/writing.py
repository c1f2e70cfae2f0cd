"""A process that writes to a store and acknowledges each change on standard output; run as a program by tests."""

import os
import sys
from pathlib import Path

from protocol.value import HandleValue, value_list
from storage.base import PutRecord, StoreError
from storage.lmdb_store import LmdbStore


def values_of(number: int) -> bytes:
    """The values that record `number` has: of a size that fills pages quickly, and telling the number."""
    return value_list([HandleValue(index=1, type=b"N", data=b"%d " % number * (1 + number % 50), timestamp=1)])


def handle_of(number: int) -> bytes:
    """The handle of record `number`: scattered over the key space."""
    return b"88.1/%04d-%d" % (number * 7919 % 10_000, number)


def main() -> None:
    """Write records `first` to `last`, `step` of them in each transaction; `ok N` or `refused N` is told when it is so.

    N is the first record of the transaction.
    """
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    step = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    store = LmdbStore.open(folder, map_size=1 << 16)
    for number in range(first, last, step):
        puts = [PutRecord(handle_of(record), values_of(record)) for record in range(number, number + step)]
        try:
            if step > 1:
                store.replace_all(puts, now_ms=number)
            else:
                store.apply(puts, now_ms=number)
        except StoreError as error:
            os.write(1, f"refused {number} {type(error).__name__}\n".encode())
        else:
            os.write(1, b"ok %d\n" % number)


if __name__ == "__main__":
    main()
