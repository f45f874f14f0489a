#!/usr/bin/env python3
"""Breaks the code on purpose, one mistake at a time, and says which simulation notices.

Every mutant of mutants.toml is applied to a copy of the workspace, never to the tree itself. What caught it when the
list was made (`caught_by`) is tried first. If that does not notice any more, seeds run in order from 1 until one
diverges, and then the scenarios made by hand (healing.rs, traps.rs). Nothing counts that the unbroken code fails too.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "mutants" / "mutants.toml"
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"
# What the simulation is built from.
PARTS = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "crates", ".cargo"]
# A seed takes seconds at most; this is for one that never ends.
SEED_LIMIT_S = 60
SCENARIOS_LIMIT_S = 600
# A panic is told without its backtrace: a worker that panics for ever is restarted for hours of virtual time.
ENV = {
    **os.environ,
    "CARGO_TARGET_DIR": str(WORK / "build"),
    "CARGO_PROFILE_DEV_DEBUG": "false",
    "CARGO_TERM_COLOR": "never",
    "RUST_BACKTRACE": "0",
}
# The workspace gives its own crates line tables for backtraces; nobody reads them here. `server` is most of what a
# mutant costs to build: unoptimised it is slower by little, and built in seconds.
OURS = ["mirror", "aws-sim", "server", "testkit"]
PROFILE = [arg for crate in OURS for arg in ("--config", f"profile.dev.package.{crate}.debug=false")]
PROFILE += ["--config", "profile.dev.package.server.opt-level=0"]
# The two programs: seeds, and scenarios by hand.
SEEDS = ("sim", ["build", "-p", "testkit", "--example", "sim"])
SCENARIOS = ("main", ["test", "-p", "testkit", "--test", "main", "--no-run"])


class Broken(Exception):
    """The list or the code is not as it should be."""


def mutants():
    """The list, with the text of each mutated file. Those of one crate follow each other: the next builds less."""
    listed = tomllib.loads(LIST.read_text())["mutant"]
    for mutant in listed:
        text = (ROOT / mutant["file"]).read_text()
        found = text.count(mutant["search"])
        if found != 1:
            raise Broken(f"{mutant['name']}: its search text is {found} times in {mutant['file']}")
        mutant["text"] = text.replace(mutant["search"], mutant["replace"])
    return sorted(listed, key=lambda mutant: Path(mutant["file"]).parts[1])


def write(path, text):
    """Leaves a file alone that is right already: cargo builds what is younger than its last build."""
    if not path.exists() or path.read_bytes() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def copy_tree():
    wanted = set()
    for part in PARTS:
        here = ROOT / part
        for path in [here] if here.is_file() else here.rglob("*"):
            if path.is_file() and "target" not in path.relative_to(ROOT).parts:
                there = TREE / path.relative_to(ROOT)
                wanted.add(there)
                write(there, path.read_bytes())
    for path in TREE.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def build(name, args):
    """Builds a program of the copy; returns its path."""
    command = ["cargo", *args, "--locked", "--message-format=json", *PROFILE]
    built = subprocess.run(command, cwd=TREE, env=ENV, capture_output=True, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    if built.returncode:
        errors = [
            message["message"]["rendered"]
            for message in messages
            if message["reason"] == "compiler-message" and message["message"]["level"] == "error"
        ]
        raise Broken("it does not build:\n" + ("\n".join(errors) or built.stderr))
    return next(one["executable"] for one in messages if one.get("executable") and one["target"]["name"] == name)


def build_base():
    """The unbroken code, kept aside: whether it fails something too can be asked at any time."""
    base = {}
    for name, args in (SEEDS, SCENARIOS):
        base[name] = WORK / f"unbroken-{name}"
        shutil.copy2(build(name, args), base[name])
    return base


def run_seeds(sim, first, count, without=()):
    """The lowest seed that diverges, and the rule that was broken; or None."""
    command = [sim, "--from", str(first), "--seeds", str(count), "--longest-s", str(SEED_LIMIT_S)]
    command += ["--until-divergence"]
    command += ["--except", ",".join(map(str, sorted(without)))] if without else []
    ran = subprocess.run(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = re.findall(r"^seed (\d+) diverges: (.*)$", ran.stdout, re.M)
    if ran.returncode not in (0, 1) or bool(found) != bool(ran.returncode):
        raise Broken(f"the simulation itself ended with {ran.returncode}:\n{ran.stdout[-2000:]}")
    return min(((int(seed), rule) for seed, rule in found), default=None)


def run_scenarios(main, filters, without=()):
    """Scenarios by hand that fail: the rule that was broken."""
    command = [main, *filters]
    for name in sorted(without):
        command += ["--skip", name]
    try:
        ran = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=SCENARIOS_LIMIT_S)
    except subprocess.TimeoutExpired:
        # The clock of this machine is no rule of the simulation.
        return {}
    failed = re.findall(r"^test (\S+) \.\.\. FAILED$", ran.stdout, re.M)
    said = re.findall(r"^---- (\S+) stdout ----\n+thread [^\n]* panicked at [^\n]*\n([^\n]*)", ran.stdout, re.M)
    return {name: "" for name in failed} | dict(said)


def seed_of(how):
    """The seed of `seed 7`; None if it names a scenario."""
    found = re.fullmatch(r"seed (\d+)", how)
    return int(found[1]) if found else None


class Trial:
    """Tries mutants, and remembers what the unbroken code fails."""

    def __init__(self, base, seeds, seeds_only):
        self.base, self.seeds, self.seeds_only = base, seeds, seeds_only
        self.passed, self.sick_seeds, self.sick_scenarios = set(), set(), set()

    def counts(self, how):
        """Whether the unbroken code passes a seed or a scenario."""
        if how in self.passed:
            return True
        seed = seed_of(how)
        if seed is None:
            fails = run_scenarios(self.base["main"], ["--exact", how])
        else:
            fails = run_seeds(self.base["sim"], seed, 1)
        if fails:
            print(f"the unbroken code fails {how} too, which can catch nothing", flush=True)
            sick, one = (self.sick_scenarios, how) if seed is None else (self.sick_seeds, seed)
            sick.add(one)
        else:
            self.passed.add(how)
        return not fails

    def known(self, how):
        """Whether what caught the mutant once does so again: the rule that was broken."""
        seed = seed_of(how)
        if seed is None:
            failed = run_scenarios(build(*SCENARIOS), ["--exact", how])
            return failed.get(how) if failed and self.counts(how) else None
        found = run_seeds(build(*SEEDS), seed, 1)
        return found[1] if found and self.counts(how) else None

    def search(self):
        """The first seed that catches the mutant, else a scenario; and the rule that was broken."""
        sim = build(*SEEDS)
        while found := run_seeds(sim, 1, self.seeds, self.sick_seeds):
            how = f"seed {found[0]}"
            if self.counts(how):
                return how, found[1]
        if self.seeds_only:
            return None
        failed = run_scenarios(build(*SCENARIOS), ["healing::", "traps::"], self.sick_scenarios)
        for how in sorted(failed, key=lambda name: (not failed[name], name)):
            if self.counts(how):
                return how, failed[how]
        return None

    def run(self, mutant, first):
        """How a mutant is caught and the rule that was broken, or None. `first` is tried first, if any."""
        there = TREE / mutant["file"]
        there.write_text(mutant["text"])
        try:
            rule = self.known(first) if first else None
            return (first, rule) if rule is not None else self.search()
        finally:
            # Younger than what was just built, so that it is built again.
            there.write_bytes((ROOT / mutant["file"]).read_bytes())


def record(name, how):
    """Writes into the list what caught a mutant."""
    head = f'name = "{name}"\n'
    before, after = LIST.read_text().split(head)
    entry, mark, rest = after.partition("[[mutant]]")
    entry = re.sub(r"^caught_by = .*\n", "", entry, flags=re.M)
    entry = re.sub(r"^(why = .*\n)", lambda why: f'{why[1]}caught_by = "{how}"\n', entry, flags=re.M)
    LIST.write_text(before + head + entry + mark + rest)


def told(how, rule, first):
    """For people."""
    text = f"{how}: {rule}"
    if how != first and first:
        text = f"{text} (not by {first} any more)"
    return text if len(text) <= 120 else text[:117] + "..."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30, help="seeds to try before the scenarios by hand")
    parser.add_argument("--only", default="", help="names of mutants, or parts of them, separated by commas")
    parser.add_argument("--seeds-only", action="store_true", help="leave the scenarios by hand out")
    parser.add_argument("--record", action="store_true", help="try all seeds in order, and note in the list what caught")
    asked = parser.parse_args()
    try:
        began = time.monotonic()
        parts = [part for part in asked.only.split(",") if part]
        tried = [one for one in mutants() if not parts or any(part in one["name"] for part in parts)]
        copy_tree()
        trial = Trial(build_base(), asked.seeds, asked.seeds_only)
        print(f"the unbroken code is built, {time.monotonic() - began:.0f} s", flush=True)
        caught = []
        for mutant in tried:
            at = time.monotonic()
            first = None if asked.record else mutant.get("caught_by")
            found = trial.run(mutant, first)
            if found:
                caught.append(found[0])
                if asked.record:
                    record(mutant["name"], found[0])
            how = told(*found, first) if found else f"NOT CAUGHT; it loses data: {mutant['why']}"
            print(f"{mutant['name']:<34} {time.monotonic() - at:>4.0f} s  {how}", flush=True)
    except Broken as error:
        sys.exit(f"mutants: {error}")
    # A mutant's seed is the lowest that catches it, so it is also how many seeds that took.
    took = sorted(seed_of(how) for how in caught if seed_of(how))
    if took:
        by_hand = len(caught) - len(took)
        print(f"seeds it takes from 1 on: median {took[len(took) // 2]}, most {took[-1]}; {by_hand} by scenarios by hand")
    print(f"wall time: {time.monotonic() - began:.0f} s")
    print(f"mutants: {len(caught)} of {len(tried)} caught")
    return 0 if len(caught) == len(tried) else 1


if __name__ == "__main__":
    sys.exit(main())
