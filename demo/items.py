"""Orders of every shape DynamoDB allows, always the same for the same seed."""

import base64
import random

STATUSES = ["pending", "paid", "picking", "shipped", "delivered", "returned"]
CITIES = ["Zaragoza", "Málaga", "Bergen", "大阪", "São Paulo", "Kraków", "القاهرة", "Hobart", "Québec"]
WORDS = "amber basil cedar delta ember fjord grove haven inlet jetty koala lemon maple north ocean pearl quartz".split()
ODD_NAMES = ["with.dot", 'with"quote', "with space", "ünïcode", "$dollar", "emoji🙂", "back\\slash", "a[0]"]


def key(number):
    customer, order = divmod(number, 10)
    return {"pk": {"S": f"CUSTOMER#{customer:07d}"}, "sk": {"S": f"ORDER#{order:03d}"}}


def order(number, seed, version=0):
    """Item number `number`, as DynamoDB JSON."""
    rnd = random.Random(f"{seed}:{number}:{version}")
    pick = rnd.choice
    item = key(number)
    item["id"] = {"S": f"order-{number}"}
    item["status"] = {"S": pick(STATUSES)}
    item["amount"] = {"N": f"{rnd.randrange(1, 10_000_00) / 100:.2f}".rstrip("0").rstrip(".")}
    item["version"] = {"N": str(version)}
    item["note"] = {"S": pick(["", " ".join(pick(WORDS) for _ in range(rnd.randrange(40))), 'line\nbreak "quoted" \\ tab\t\u0001', "naïve café – 東京 🙂"])}
    item["priority"] = {"BOOL": rnd.random() < 0.2}
    item["coupon"] = {"NULL": True} if rnd.random() < 0.5 else {"S": pick(WORDS)}
    item["address"] = {"M": {"city": {"S": pick(CITIES)}, "geo": {"M": {"lat": {"N": f"{rnd.uniform(-90, 90):.6f}"}, "lon": {"N": f"{rnd.uniform(-180, 180):.6f}"}}}, "lines": {"L": []}}}
    item["lines"] = {"L": [{"M": {"sku": {"S": pick(WORDS)}, "qty": {"N": str(rnd.randrange(1, 9))}, "tags": {"SS": sorted(set(rnd.choices(WORDS, k=3)))}}} for _ in range(rnd.randrange(4))]}
    if rnd.random() < 0.3:
        digits = "".join(pick("123456789") for _ in range(38))
        item["exact"] = {"N": pick(["", "-"]) + digits[:10] + "." + digits[10:]}
        item["big"] = {"N": digits}
        item["tiny"] = {"N": "0." + "0" * rnd.randrange(60, 100) + "7"}
    if rnd.random() < 0.3:
        item["scores"] = {"NS": [str(n) for n in rnd.sample(range(-1000, 1000), 4)] + ["0.5"]}
        item["signatures"] = {"BS": [base64.b64encode(rnd.randbytes(n)).decode() for n in (1, 2, 9)]}
    if rnd.random() < 0.3:
        item["blob"] = {"B": base64.b64encode(rnd.randbytes(rnd.randrange(64))).decode()}
        item["empty"] = {"M": {}}
    if rnd.random() < 0.1:
        item["odd"] = {"M": {name: {"S": pick(WORDS)} for name in ODD_NAMES}}
        deep = {"S": "bottom"}
        for level in range(25):
            deep = {"M": {"down": deep}} if level % 2 else {"L": [deep]}
        item["deep"] = deep
    return item
