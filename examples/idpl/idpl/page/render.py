"""The page as HTML that needs nothing besides itself."""

import base64
import math
from html import escape
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from idpl.accuracy import Accuracy
from idpl.classes import ClassSet
from idpl.page.curves import curves
from idpl.page.gather import Case, Judged, Story, labelled_part
from idpl.png import encode
from idpl.scenes.sheet import coloured


def render(story: Story) -> str:
    """Return the page."""
    css = files("idpl.page").joinpath("page.css").read_text(encoding="utf-8")
    title = f"IDPL: {story.method} after {story.step} steps"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _key(story.classes),
        "<h2>Intersection over union on the target, in percent</h2>",
        _table(story),
        "<h2>Before and after</h2>",
        *(_case(case, story.classes) for case in story.cases),
    ]
    if story.judged:
        parts += [
            "<h2>Pseudo labels, and how the target was split</h2>",
            _ABOUT_LABELS,
            '<div class="row">',
            *(_judged(one, story.classes) for one in story.judged),
            "</div>",
        ]
    colours = dict(zip(story.classes.names, story.classes.colours, strict=True))
    for heading, drawing in (
        ("Global thresholds over time", curves(story.curves, colours, "thresholds")),
        ("Losses over time", curves(story.losses, _LOSSES, "losses")),
    ):
        if drawing:
            parts += [f"<h2>{heading}</h2>", drawing]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{css}</style>\n" + "\n".join(parts) + "\n</html>\n"
    )


_ABOUT_LABELS = (
    "<p>The easiest and the most difficult pictures. Black has no label: the network is less sure"
    " there than the class's threshold in this picture.</p>"
)
_LOSSES = {"source": (60, 110, 190), "pseudo": (40, 140, 80), "adversarial": (190, 80, 50)}


def _image(picture: NDArray[np.uint8], caption: str) -> str:
    data = base64.b64encode(encode(picture)).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _key(classes: ClassSet) -> str:
    entries = [
        f'<span><i style="background:rgb{colour}"></i>{escape(name)}'
        f"{' *' if name in classes.hard else ''}</span>"
        for name, colour in zip(classes.names, classes.colours, strict=True)
    ]
    return f'<p class="key">{"".join(entries)}<span>* hard classes</span></p>'


def _table(story: Story) -> str:
    def rows(found: Accuracy) -> list[float]:
        return [*found.by_class, found.mean(), found.hard_mean()]

    names = [*story.classes.names, "mean", "mean of hard classes"]
    after = rows(story.after)
    before = rows(story.before) if story.before is not None else [math.nan] * len(after)
    lines = [
        f"<tr><td>{escape(name)}</td><td>{_percent(one)}</td><td>{_percent(other)}</td></tr>"
        for name, one, other in zip(names, before, after, strict=True)
    ]
    return f"<table><tr><th></th><th>before</th><th>after</th></tr>{''.join(lines)}</table>"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _case(case: Case, classes: ClassSet) -> str:
    images = [_image(case.picture, case.name), _image(coloured(case.truth, classes), "truth")]
    if case.before is not None:
        images.append(_image(coloured(case.before, classes), "before"))
    images.append(_image(coloured(case.after, classes), "after"))
    return f'<div class="row case">{"".join(images)}</div>'


def _judged(one: Judged, classes: ClassSet) -> str:
    kind = "easy" if one.easy else "difficult"
    badge = f'<span class="badge {kind}">{kind}</span>'
    thresholds = ", ".join(f"{escape(name)} {value:.2f}" for name, value in one.thresholds.items())
    difficult = "" if one.difficulty is None else f", {100 * one.difficulty:.0f} % difficult"
    return (
        "<div>"
        + _image(one.picture, f"{one.name}{difficult}")
        + _image(coloured(one.labels, classes), f"{100 * labelled_part(one.labels):.0f} % labelled")
        + f'<p class="dim">{badge} {thresholds}</p></div>'
    )
