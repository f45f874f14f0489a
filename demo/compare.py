"""Compares a DynamoDB table with its mirror, item by item and attribute by attribute.

An independent reading of both sides: items come from Scan, records from `SELECT ... FINAL`, and nothing of the
server's own conversion is used. Numbers are compared as text, digit for digit.
"""

import json
import zlib
from decimal import Decimal

from aws import scan


class Number(str):
    """A number token, kept as the text it was."""


def plain(value):
    """What an attribute must be in the mirror's JSON."""
    (kind, inner), = value.items()
    if kind in ("S", "B", "BOOL"):
        return inner
    if kind == "N":
        return Number(inner)
    if kind == "NULL":
        return None
    if kind == "M":
        return {name: plain(attribute) for name, attribute in inner.items()}
    if kind == "L":
        return [plain(attribute) for attribute in inner]
    if kind == "NS":
        return [Number(number) for number in sorted(inner, key=Decimal)]
    if kind in ("SS", "BS"):
        return sorted(inner, key=lambda text: text.encode())
    raise ValueError(f"unknown type {kind}")


def parse(record):
    return json.loads(record, parse_int=Number, parse_float=Number)


def same(wanted, found):
    """Equality that tells a number from a text and true from 1."""
    if type(wanted) is not type(found):
        return False
    if isinstance(wanted, dict):
        return wanted.keys() == found.keys() and all(same(wanted[name], found[name]) for name in wanted)
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(same, wanted, found))
    return wanted == found


def compare(aws, table, select):
    """Returns (items in the table, rows in the mirror, [what differs]).

    `select(sql)` answers with the rows as dictionaries. Keys are compared in slices by CRC32 of the partition key, so
    that neither side is ever asked for everything at once.
    """
    items = list(scan(aws, table))
    slices = max(1, len(items) // 10_000)
    by_slice = [{} for _ in range(slices)]
    for item in items:
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        by_slice[zlib.crc32(pk.encode()) % slices][pk, sk] = item
    mirrored, different = 0, []
    for number, wanted in enumerate(by_slice):
        rows = select(f"SELECT pk, sk, _record FROM {table} FINAL WHERE CRC32(pk) % {slices} = {number} FORMAT JSONEachRow")
        mirrored += len(rows)
        found = {}
        for row in rows:
            position = row["pk"], row["sk"]
            if position in found:
                different.append((position, "twice in the mirror"))
            found[position] = row["_record"]
        for position, item in wanted.items():
            if position not in found:
                different.append((position, "missing in the mirror"))
            elif not same(plain({"M": item}), parse(found[position])):
                different.append((position, "not equal"))
        different.extend((position, "not in the table") for position in found.keys() - wanted.keys())
    return len(items), mirrored, different
