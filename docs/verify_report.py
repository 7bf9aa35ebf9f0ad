"""Recompute hash and rupiah of a berita acara: verify_report.py REPORT.pdf, or sites.csv outages.csv method.json"""

import csv, hashlib, io, json, math, pathlib, re, sys, zlib  # noqa: E401, I001
from collections import Counter
from fractions import Fraction


def pays(rule, target, fee, service, down, unknown, outages):  # what a rule pays back of a fee
    base, lengths = service - unknown * (rule["unknown"] == "pro_rata"), [counted for counted, _ in outages]
    if rule["unknown"] == "as_down":  # within an outage it lengthens that, elsewhere it is one more
        down, lengths = down + unknown, [*map(sum, outages), unknown - sum(unseen for _, unseen in outages)]
    available, hour = Fraction(100 * (base - down), base or 1), fee * rule.get("per_hour_pct", 0) / 100
    bands = rule.get("bands") or [{"share_pct": 100, "below_pct": 0, **rule}]  # a cliff is one band
    hours = sum(max(0, math.ceil((length - rule.get("after_s", 0)) / 3600)) for length in lengths)
    due = {
        "proportional": fee * down * 100 / (base or 1) / rule.get("divisor_pct", 100),
        "shortfall": fee * max(0, target - available) / 100,
        "per_incident": rule.get("per_hour_idr", hour) * hours,
    }.get(rule["kind"], fee * max([0, *(of["share_pct"] for of in bands if available < of["below_pct"])]) / 100)
    return min(due, fee * rule["cap_pct"] / 100) if base else Fraction(0)


def rows_of(name):  # numbers as exact fractions
    for row in csv.DictReader(io.StringIO(files[name].decode(), newline="")):
        yield {n: Fraction(text) if text and re.search("^fee$|_(s|pct|idr)$", n) else text for n, text in row.items()}


files, groups, fee, said, due = {at.name: at.read_bytes() for at in map(pathlib.Path, sys.argv[1:])}, {}, 0, {}, {}
if len(files) == 1:  # a PDF: a Filespec tells a file's name and the number of the object that holds it
    [pdf], files = files.values(), {}
    for name, number in re.findall(rb"/Type/Filespec/F\(([^)]+)\)/UF\([^)]+\)/EF<</F (\d+) 0 R", pdf):
        head, _, rest = pdf[pdf.index(b"\n" + number + b" 0 obj\n") :].partition(b"\nstream\n")
        unpack = zlib.decompress if b"/FlateDecode" in head else bytes
        files[name.decode()] = unpack(rest[: int(re.search(rb"/Length (\d+)", head)[1])])
hashes = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
method, outages = json.loads(files["method.json"], parse_int=Fraction, parse_float=Fraction), [*rows_of("outages.csv")]
terms = {of["terms_on"]: (of["restitution"], of["min_coverage_pct"]) for of in method["contract"]["terms"]}
odd = []  # lines whose seconds do not add up to those of service
for row in rows_of("sites.csv"):  # rows of a line that have the same rule are taken together
    line, (rule, least) = (row["site"], row["link_role"]), terms[row["terms_on"]]
    fee, said[line], due[line] = fee + (row["fee"] or 0), row["restitution_idr"], due.get(line, 0)
    odd += [line] * (row["service_s"] != sum(row[n] or 0 for n in row if re.search("^(good|count|unkn|exc).*_s$", n)))
    if rule and row["fee"] != "" and row["covered_s"]:
        own = {"proportional": row["fee"] / row["covered_s"], "shortfall": row["target_pct"]}.get(rule["kind"])
        groups.setdefault((line, str(rule), least, own), []).append(row)
for (line, _, least, _), group in groups.items():
    days, target, counted, unseen = {row["terms_on"] for row in group}, group[0]["target_pct"], Counter(), Counter()
    for each in outages:
        if (each["site"], each["link_role"]) == line and each["terms_on"] in days:
            counted[each["started_at"]] += each["counted_s"]
            unseen[each["started_at"]] += each["unknown_s"]
    sums = [sum(row[name] for row in group) for name in ("fee", "service_s", "counted_down_s", "unknown_s")]
    if least is None or 100 * (sums[1] - sums[3]) >= least * sums[1]:  # else too little was seen to claim anything
        due[line] += pays(terms[group[0]["terms_on"]][0], target, *sums, [(counted[at], unseen[at]) for at in counted])
due, paid = {of: math.floor(amount + Fraction(1, 2)) for of, amount in due.items()}, math.floor(fee + Fraction(1, 2))
back, totals = sum(due.values()), method["totals"]
found = {"fee_idr": paid, "restitution_idr": back, "payable_idr": paid - back}
wrong = odd + [of for of in said if due[of] != said[of]] + [of for of in found if found[of] != (totals[of] or 0)]
print("SHA-256 data:", hashlib.sha256(hashes.encode()).hexdigest(), *(f"{of}: {found[of]}" for of in found))
sys.exit(f"Not equal: {wrong}" if wrong else print(f"{len(said)} lines are equal to the rupiah"))
