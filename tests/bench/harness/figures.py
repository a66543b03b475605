"""Percentiles, tables for people, and figures to reach."""

import dataclasses
import statistics


def percentile(values, p):
    ordered = sorted(values)
    return ordered[int(p * (len(ordered) - 1))]


def median(values):
    return statistics.median(values)


def number(value):
    """Three significant digits, no exponent."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def ratio(value):
    """1/52 or 2.3 x."""
    if value < 1:
        return f"1/{number(1 / value)}"
    return f"{number(value)} x"


def table(head, rows):
    """Columns lined up, the first to the left, as Markdown."""
    lines = [list(map(str, row)) for row in [head, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def form(line):
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        return "| " + " | ".join(cells) + " |"

    rule = "| " + " | ".join(
        "-" * width if i == 0 else "-" * (width - 1) + ":"
        for i, width in enumerate(widths)) + " |"
    return "\n".join([form(lines[0]), rule, *map(form, lines[1:])])


@dataclasses.dataclass
class Goal:
    """A figure to reach: value <= limit, or >= where `at_least`."""
    what: str
    value: float
    limit: float
    shown: object = ratio  # How value and limit are written.
    at_least: bool = False

    def reached(self):
        return (self.value >= self.limit if self.at_least
                else self.value <= self.limit)

    def row(self):
        sign = "≥" if self.at_least else "≤"
        return [self.what, self.shown(self.value),
                f"{sign} {self.shown(self.limit)}",
                "yes" if self.reached() else "NO"]

    def to_json(self):
        return {"what": self.what, "value": self.value, "limit": self.limit,
                "reached": self.reached()}


def goals_table(goals):
    return table(["figure", "here", "to reach", "reached"],
                 [goal.row() for goal in goals])
