"""What was measured: values by case and contestant, the goals they are held against, as Markdown, JSON and a plot."""
import json
import os

import measure
import plot

SHUTTERFS, PLAIN, RCLONE, S3FS, COPY = "shutterfs", "plain directory", "rclone mount", "s3fs", "rclone copy"
MOUNTS = (RCLONE, S3FS)


class Case:
    """Values of each contestant, one per round.  `unit` says what they are; in "files/s" and the like more is better."""

    def __init__(self, name, title, unit):
        self.name, self.title, self.unit = name, title, unit
        self.values, self.cpu, self.peak, self.notes = {}, {}, {}, {}

    @property
    def rate(self):
        return self.unit.endswith("/s")

    def add(self, contestant, value, cpu_ms=None, peak_mib=None, note=None):
        self.values.setdefault(contestant, []).append(value)
        if cpu_ms is not None:
            self.cpu.setdefault(contestant, []).append(cpu_ms)
        if peak_mib is not None:
            self.peak[contestant] = max(peak_mib, self.peak.get(contestant, 0))
        if note:
            self.notes[contestant] = note

    def of(self, contestant):
        return measure.median(self.values.get(contestant, []))

    def times(self, contestant, other):
        """How many times as fast as `other`; None if one is missing."""
        a, b = self.of(contestant), self.of(other)
        if not a or not b:
            return None
        return a / b if self.rate else b / a

    def best(self, names):
        found = [n for n in names if self.of(n)]
        pick = max if self.rate else min
        return pick(found, key=self.of) if found else None


class Results:
    def __init__(self):
        self.cases, self.goals, self.failures, self.about = {}, [], [], {}

    def case(self, name, title, unit):
        return self.cases.setdefault(name, Case(name, title, unit))

    def goal(self, text, value, least=None, most=None, unit="×"):
        """Holds a value (None: not measured) against a goal."""
        met = None if value is None else (least is None or value >= least) and (most is None or value <= most)
        wanted = f"≥ {least:g}" if least is not None else f"≤ {most:g}"
        self.goals.append({"goal": text, "value": value, "wanted": f"{wanted} {unit}".strip(), "met": met, "unit": unit})

    # -- out

    def markdown(self):
        lines = ["# Benchmark", ""] + [f"- {k}: {v}" for k, v in self.about.items()] + [""]
        if self.goals:
            lines += ["## Goals", "", "| goal | measured | wanted | |", "|---|---:|---:|---|"]
            lines += [f"| {g['goal']} | {number(g['value'])} {g['unit']} | {g['wanted']} | "
                      f"{ {True: 'met', False: '**missed**', None: 'not measured'}[g['met']]} |" for g in self.goals]
        for c in self.cases.values():
            lines += ["", f"## {c.title}", "", f"| | {c.unit} (median) | times shutterfs | CPU ms/file | peak RSS MiB | |",
                      "|---|---:|---:|---:|---:|---|"]
            for who in c.values:
                ratio = c.times(who, SHUTTERFS)
                lines.append(f"| {who} | {number(c.of(who))} | {number(ratio)} | {number(measure.median(c.cpu.get(who, [])))}"
                             f" | {number(c.peak.get(who))} | {c.notes.get(who, '')} |")
        if self.failures:
            lines += ["", "## Not measured", ""] + [f"- {f}" for f in self.failures]
        return "\n".join(lines) + "\n"

    def write(self, directory):
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "results.md"), "w", encoding="utf-8") as f:
            f.write(self.markdown())
        with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as f:
            json.dump({"about": self.about, "goals": self.goals, "failures": self.failures,
                       "cases": {c.name: vars(c) for c in self.cases.values()}}, f, indent=1)
        with open(os.path.join(directory, "results.svg"), "w", encoding="utf-8") as f:
            f.write(plot.bars([plot.Group(f"{c.title} ({c.unit})", [(who, c.of(who)) for who in c.values])
                               for c in self.cases.values()]))


def number(value):
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
