"""Where libraries lie, by the names that they go by."""

import pytest

from snapshotter.linking.names import decode_places, encode_places, library_places
from tests.layer_strategies import directory, make_tree, regular, symlink


def test_a_library_is_found_by_its_name_and_by_links_to_it() -> None:
    tree = make_tree(
        directory(
            {
                b"lib": directory(
                    {
                        b"libz.so.1.2": regular(5000),
                        b"libz.so.1": symlink(b"libz.so.1.2"),
                        b"libz.so": symlink(b"../lib/libz.so.1"),
                        b"libgone.so": symlink(b"/elsewhere/libgone.so.3"),
                        b"libloop.so": symlink(b"libloop.so.1"),
                        b"libloop.so.1": symlink(b"libloop.so"),
                        b"libempty.so": regular(0),
                        b"notes": regular(9000),
                    }
                ),
                b"other": directory({b"libm.so.6": regular(1)}),
            }
        )
    )
    places = library_places(tree)
    assert set(places) == {"libz.so.1.2", "libz.so.1", "libz.so", "libm.so.6"}
    assert places["libz.so"] == places["libz.so.1"] == places["libz.so.1.2"]
    assert places["libm.so.6"] != places["libz.so"]
    assert decode_places(encode_places(places)) == places


def test_names_that_are_no_text_survive() -> None:
    tree = make_tree(directory({b"lib\xff.so": regular(1)}))
    places = library_places(tree)
    assert decode_places(encode_places(places)) == places


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a": "b"}', b"\xff"])
def test_a_damaged_table_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_places(data)
