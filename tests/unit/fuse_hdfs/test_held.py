"""Contents of small files in memory."""

from fuse_hdfs.files.held import Holdings


def test_room_comes_back_when_nobody_refers_to_a_content() -> None:
    holdings = Holdings(10)
    first, second = holdings.hold(b"123456"), holdings.hold(b"1234")
    assert first is not None
    assert second is not None
    assert holdings.hold(b"1") is None
    del first
    third = holdings.hold(b"123456")
    assert third is not None
    assert third.data == b"123456"
