"""A reader of Prometheus' text format, written from its description, that passes over nothing."""

import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
NUMBER = r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN"
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({NUMBER})")
ESCAPED = {r"\\": "\\", r"\n": "\n", r"\"": '"'}


@dataclass
class Metric:
    """One metric as it was read."""

    help: str
    kind: str = ""
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)

    def value(self, **labels: str) -> float:
        return self.samples[tuple(sorted(labels.items()))]


def unescape(text: str) -> str:
    return re.sub(r"\\[\\n\"]", lambda match: ESCAPED[match[0]], text)


def read(text: str) -> dict[str, Metric]:
    """Return the metrics in a text. ValueError where it breaks a rule of the format."""
    found: dict[str, Metric] = {}
    if text and not text.endswith("\n"):
        raise ValueError("the last line does not end")
    name = ""
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            name, _, words = line.removeprefix("# HELP ").partition(" ")
            if name in found:
                raise ValueError(f"{name} is there twice")
            found[name] = Metric(unescape(words))
        elif line.startswith("# TYPE "):
            typed, kind = line.removeprefix("# TYPE ").split(" ")
            if typed != name or found[name].kind or kind not in ("counter", "gauge"):
                raise ValueError(f"a type out of place: {line}")
            found[name].kind = kind
        else:
            add(found[name], name, line)
    return found


def add(metric: Metric, name: str, line: str) -> None:
    match = SAMPLE.fullmatch(line)
    if match is None or match[1] != name or not metric.kind:
        raise ValueError(f"no sample of {name!r}: {line!r}")
    pairs = re.findall(LABEL, match[2] or "")
    labels = [(key, unescape(value[1:-1])) for key, value in (p.split("=", 1) for p in pairs)]
    key = tuple(sorted(labels))
    if key in metric.samples or len(dict(labels)) != len(labels):
        raise ValueError(f"there twice: {line!r}")
    metric.samples[key] = float(match[3])
