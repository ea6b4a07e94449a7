"""WebHDFS' addresses and answers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError, UsageError
from bootseer.hadoop.cluster import NameNode
from bootseer.webhdfs.address import HdfsAddress, parse_address
from bootseer.webhdfs.answers import (
    BlockPlace,
    DataNode,
    Fault,
    Room,
    Status,
    parse_batch,
    parse_blocks,
    parse_boolean,
    parse_data_nodes,
    parse_fault,
    parse_home,
    parse_number,
    parse_room,
    parse_status,
    parse_token,
    parse_xattrs,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("webhdfs://nn:50070/a/b", HdfsAddress((NameNode("nn", 50070),), "/a/b", "me")),
        ("webhdfs://alice@nn/a%20b/", HdfsAddress((NameNode("nn", 9870),), "/a b", "alice")),
        ("webhdfs://nn", HdfsAddress((NameNode("nn", 9870),), "", "me")),
        ("swebhdfs://nn/a", HdfsAddress((NameNode("nn", 9871, tls=True),), "/a", "me")),
        ("swebhdfs://nn:5/a", HdfsAddress((NameNode("nn", 5, tls=True),), "/a", "me")),
        ("webhdfs://[::1]:1/a", HdfsAddress((NameNode("::1", 1),), "/a", "me")),
        (
            "hdfs://nn/a",
            HdfsAddress((NameNode("nn", 9870, "nn:8020"),), "/a", "me"),
        ),
    ],
)
def test_an_address_is_read(text: str, address: HdfsAddress) -> None:
    assert parse_address(text, "me") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "webhdfs:///a",
        "hdfs:///a",
        "hdfs://nn:x/a",
        "http://nn/a",
        "webhdfs://nn/a/../b",
        "webhdfs://nn/a//b",
        "webhdfs://nn/a%2f..%2fb",
        "webhdfs://nn/a:b",
        "webhdfs://nn/a?op=DELETE",
        "webhdfs://nn:x/a",
        "webhdfs://a:secret@nn/a",
        "webhdfs://a%20b@nn/a",
        "webhdfs://[/a",
    ],
)
def test_what_is_no_address_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text, "me")


FILE = {
    "type": "FILE",
    "pathSuffix": "a",
    "length": 5,
    "modificationTime": 1_700_000_000_500,
    "accessTime": 0,
    "permission": "640",
    "owner": "me",
    "group": "us",
    "fileId": 16_386,
}


def listing(*files: Any, left: Any = 0) -> bytes:
    partial = {"FileStatuses": {"FileStatus": list(files)}}
    return json.dumps(
        {"DirectoryListing": {"partialListing": partial, "remainingEntries": left}}
    ).encode()


def test_answers_are_read() -> None:
    status = Status(
        "a",
        directory=False,
        size=5,
        modified_ms=1_700_000_000_500,
        accessed_ms=0,
        mode=0o640,
        owner="me",
        group="us",
        number=16_386,
    )
    assert status.modified == 1_700_000_000.5
    assert parse_status(json.dumps({"FileStatus": FILE}).encode()) == status
    batch = parse_batch(listing(FILE, left=3))
    assert (batch.entries, batch.more) == ((status,), True)
    assert not parse_batch(listing()).more
    assert parse_boolean(b'{"boolean": true}')


def test_tokens_are_read() -> None:
    assert parse_token(b'{"Token": {"urlString": "a_-9"}}') == "a_-9"
    assert parse_number(b'{"long": 17}') == 17
    assert parse_home(b'{"Path": "/user/alice"}') == "alice"
    with pytest.raises(CorruptError):
        parse_token(b'{"Token": {"urlString": "a&b"}}')
    with pytest.raises(CorruptError):
        parse_home(b'{"Path": "/"}')


def test_room_and_nodes_are_read() -> None:
    room = {"FsStatus": {"used": 1, "capacity": 30, "remaining": 20}}
    assert parse_room(json.dumps(room).encode()) == Room(30, 20)
    nodes = {
        f"{name}:9866": {
            "infoAddr": f"10.0.0.{number}:9864",
            "xferaddr": f"10.0.0.{number}:9866",
            "lastContact": number,
            "adminState": state,
        }
        for name, number, state in (("b", 2, "In Service"), ("a", 1, "Decommissioned"))
    }
    bean = json.dumps({"beans": [{"LiveNodes": json.dumps(nodes)}]}).encode()
    assert parse_data_nodes(bean) == (
        DataNode("10.0.0.1:9864", "10.0.0.1:9866", 1, serves=False),
        DataNode("10.0.0.2:9864", "10.0.0.2:9866", 2, serves=True),
    )
    with pytest.raises(CorruptError):
        parse_data_nodes(b'{"beans": []}')


def test_places_of_blocks_are_read() -> None:
    block = {"offset": 5, "length": 7, "names": ["10.0.0.1:9866", "10.0.0.2:9866"], "hosts": []}
    answer = json.dumps({"BlockLocations": {"BlockLocation": [block]}}).encode()
    assert parse_blocks(answer) == (BlockPlace(5, 7, ("10.0.0.1:9866", "10.0.0.2:9866")),)


def test_extended_attributes_are_read() -> None:
    found = [{"name": "user.a", "value": "0x00ff"}, {"name": "user.b", "value": None}]
    answer = json.dumps({"XAttrs": found}).encode()
    assert parse_xattrs(answer) == {"user.a": b"\0\xff", "user.b": b""}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "SOCKET"},
        {"pathSuffix": "../a"},
        {"pathSuffix": 5},
        {"length": -1},
        {"length": True},
        {"length": 1 << 70},
        {"modificationTime": "now"},
        {"permission": "rwx"},
        {"permission": 420},
        {"owner": None},
        {"fileId": "1"},
    ],
)
def test_a_status_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CorruptError):
        parse_batch(listing(FILE | change))


def test_a_list_that_would_begin_again_is_refused() -> None:
    for files in ((), (FILE | {"pathSuffix": ""},)):
        with pytest.raises(CorruptError):
            parse_batch(listing(*files, left=1))


def test_an_error_is_read_as_one_printable_line() -> None:
    said = {"exception": "IOException", "message": "no\x1b[2J way\n\tat java.lang"}
    assert parse_fault(json.dumps({"RemoteException": said}).encode()) == Fault(
        "IOException", "no [2J way"
    )
    assert parse_fault(b"<html>") == Fault("", "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "FileStatus",
                    "FileStatuses",
                    "DirectoryListing",
                    "partialListing",
                    "remainingEntries",
                    "RemoteException",
                    "boolean",
                    "length",
                    "type",
                    "FsStatus",
                    "capacity",
                    "remaining",
                    "infoAddr",
                    "lastContact",
                    "adminState",
                    "xferaddr",
                    "BlockLocations",
                    "BlockLocation",
                    "names",
                    "name",
                    "XAttrs",
                    "value",
                    "offset",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    beans = json.dumps({"beans": [{"LiveNodes": data.decode(errors="replace")}]}).encode()
    for parse, answer in (
        (parse_status, data),
        (parse_batch, data),
        (parse_boolean, data),
        (parse_room, data),
        (parse_token, data),
        (parse_number, data),
        (parse_home, data),
        (parse_xattrs, data),
        (parse_blocks, data),
        (parse_data_nodes, data),
        (parse_data_nodes, beans),
    ):
        try:
            parse(answer)
        except CorruptError:
            continue
    assert parse_fault(data).message.isprintable()
