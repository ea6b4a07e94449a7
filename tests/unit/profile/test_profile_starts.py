from bootseer.events.event import Origin
from bootseer.profile.clocks import align
from bootseer.profile.durations import measure
from bootseer.profile.progress import latest_start, progress_of
from bootseer.profile.spans import Span, Trouble
from bootseer.profile.starts import Kind, Start, starts_of

S = 1_000_000_000


def span(
    stage: str,
    begin: float,
    length: float | None,
    node: str = "a",
    job: str = "job",
    attempt: int = 0,
    rank: int | None = None,
    **attributes: bool,
) -> Span:
    length_ns = None if length is None else round(length * S)
    origin = Origin(job, attempt, node, rank)
    return Span(origin, stage, round(begin * S), length_ns, attributes)


def start(*spans: Span) -> Start:
    return Start("job", 0, spans)


def test_attempts_are_starts_of_their_own_in_the_order_of_time() -> None:
    spans = [span("x", 50, 1, attempt=1), span("x", 0, 1), span("x", 99, 1, job="b")]
    found = starts_of(spans, Trouble())
    assert [(one.job, one.attempt) for one in found] == [("job", 0), ("job", 1), ("b", 0)]


def test_what_a_daemon_did_belongs_to_who_was_starting_then_or_next() -> None:
    trouble = Trouble()
    daemon = [span("image.layer", at, 1, job="") for at in (1, 12, 45, 80)]
    jobs = [span("imports", 10, 5), span("imports", 50, 5, attempt=1)]
    first, second = starts_of([*daemon, *jobs], trouble)
    assert [one.begin_ns // S for one in first.spans] == [10, 1, 12]
    assert [one.begin_ns // S for one in second.spans] == [50, 45]
    assert trouble.homeless == 1
    assert {one.origin.job for one in first.spans} == {"job"}


def test_a_daemon_of_another_node_is_of_no_start() -> None:
    trouble = Trouble()
    (found,) = starts_of([span("image.layer", 1, 1, "b", job=""), span("x", 2, 1)], trouble)
    assert (len(found.spans), trouble.homeless) == (1, 1)


def test_without_any_job_all_is_one_start() -> None:
    trouble = Trouble()
    (found,) = starts_of([span("image.layer", n, 1, job="") for n in range(3)], trouble)
    assert (len(found.spans), found.job, trouble.homeless) == (3, "", 0)
    assert starts_of([], trouble) == []


def test_a_start_that_makes_no_image_ready_is_a_hot_update() -> None:
    assert start(span("imports", 0, 1)).kind is Kind.UPDATE
    assert start(span("image.start", 0, 1), span("imports", 1, 1)).kind is Kind.FULL


def test_clocks_are_set_against_each_other_by_what_all_leave_at_once() -> None:
    skewed = [
        part
        for node, off in (("a", 0.0), ("b", 3.0), ("c", -1.0))
        for part in (
            span("imports", 5 + off, 2, node),
            span("rendezvous", 8 + off, 4, node, shared=True),
        )
    ]
    aligned, alignment = align(start(*skewed))
    assert alignment.stage == "rendezvous"
    assert alignment.offsets_ns == {"a": 0, "b": 3 * S, "c": -S}
    assert alignment.worst_ns == 3 * S
    assert {one.begin_ns for one in aligned.spans if one.stage == "imports"} == {5 * S}


def test_a_stage_may_be_named_for_that_and_a_single_node_has_nothing_to_be_set() -> None:
    pairs = start(span("barrier", 0, 1, "a"), span("barrier", 0, 3, "b"))
    assert align(pairs)[1].stage == ""
    assert align(pairs, "barrier")[1].offsets_ns == {"a": -S, "b": S}
    alone = start(span("barrier", 0, 1, shared=True))
    assert align(alone) == (alone, align(alone)[1])
    assert align(alone)[1].worst_ns == 0


def test_of_ranks_that_work_at_once_the_time_that_passed_counts() -> None:
    times = measure(
        start(
            span("load", 0, 4, rank=0),
            span("load", 2, 4, rank=1),
            span("load", 10, 1, rank=0),
            span("load", 1, 3, "b"),
        )
    )
    a, b = times.nodes
    assert (a.stages, a.total, a.idle) == ({"load": 7.0}, 11.0, 4.0)
    assert (b.stages, b.total, b.idle) == ({"load": 3.0}, 3.0, 0.0)
    assert (times.total, times.stages) == (11.0, {"load": 11.0})
    assert times.straggler == 11 / 7


def test_a_stage_that_never_ended_has_no_length() -> None:
    times = measure(start(span("a", 0, 2), span("b", 2, None)))
    (node,) = times.nodes
    assert (node.stages, node.unended, times.stages) == ({"a": 2.0}, 1, {"a": 2.0})


def test_progress_says_who_is_through_and_who_is_last() -> None:
    spans = [
        *(span("pull", 0, 10, node) for node in "abc"),
        span("imports", 10, 2, "a"),
        span("imports", 12, None, "b"),
        span("imports", 11, None, "c"),
    ]
    found = latest_start([start(*spans), Start("old", 0, (span("x", -50, 1),))])
    assert found is not None
    assert found.job == "job"
    progress = progress_of(found, 20 * S)
    assert (progress.nodes, progress.seconds) == (3, 20.0)
    pull, imports = progress.stages
    assert (pull.stage, pull.through, pull.going_on, pull.median) == ("pull", 3, 0, 10.0)
    assert (imports.through, imports.going_on, imports.median) == (1, 2, 2.0)
    assert (imports.last_node, imports.last_seconds) == ("c", 9.0)
    assert latest_start([found], "another") is None
