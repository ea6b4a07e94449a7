from dataclasses import dataclass, field

from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

from bootseer.events.event import Event, Origin
from bootseer.events.stages import Stages
from snapshotter.containers.happenings import Happenings
from snapshotter.containers.protos.events_pb2 import ContainerCreate, Envelope, TaskChange


@dataclass
class Told:
    events: list[Event] = field(default_factory=list)

    def put(self, event: Event) -> None:
        self.events.append(event)

    def short(self) -> list[str]:
        return [f"{one.stage} {one.phase.value}" for one in self.events]


def envelope(topic: str, payload: bytes, namespace: str = "k8s.io") -> Envelope:
    return Envelope(namespace=namespace, topic=topic, event=Any(value=payload))


def created(name: str, namespace: str = "k8s.io") -> Envelope:
    payload = ContainerCreate(id=name, image="image:1").SerializeToString()
    return envelope("/containers/create", payload, namespace)


def task(what: str, name: str, namespace: str = "k8s.io") -> Envelope:
    payload = TaskChange(container_id=name).SerializeToString()
    return envelope(f"/tasks/{what}", payload, namespace)


def taken(*envelopes: Envelope) -> Told:
    told = Told()
    happenings = Happenings("", Stages(Origin(node="a"), told))
    for one in envelopes:
        happenings.take(one)
    return told


def test_a_container_is_created_and_then_started() -> None:
    told = taken(created("x"), task("create", "x"), task("start", "x"))
    assert told.short() == [
        "container.create begin",
        "container.create end",
        "container.start begin",
        "container.start end",
    ]
    about = {"namespace": "k8s.io", "container": "x"}
    assert told.events[0].attributes == about | {"image": "image:1"}
    assert told.events[2].attributes == about
    assert told.events[0].identity == told.events[1].identity != told.events[2].identity


def test_a_container_that_is_started_again_has_no_second_record() -> None:
    twice = taken(task("create", "x"), task("start", "x"), task("create", "x"), task("start", "x"))
    assert twice.short() == ["container.start begin", "container.start end"] * 2


def test_containers_of_two_namespaces_may_have_one_name() -> None:
    told = taken(created("x"), created("x", "moby"), task("create", "x", "moby"))
    assert told.events[2].identity == told.events[1].identity


def test_of_containers_that_never_start_only_so_many_are_remembered() -> None:
    told = taken(*(created(str(number)) for number in range(5000)), task("create", "0"))
    assert told.short()[-1] == "container.start begin"
    assert "container.create end" not in told.short()


@given(st.sampled_from(["/containers/create", "/tasks/start", "/tasks/create", ""]), st.binary())
def test_what_is_no_event_is_passed_over(topic: str, payload: bytes) -> None:
    taken(envelope(topic, payload))
