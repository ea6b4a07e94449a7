"""How entries become a tree: containerd's rules, one test a rule.

Where a first and a later layer would differ the layer is refused; see `apply`'s docstring.
"""

import pytest
from tar_maker import (
    acl,
    directory,
    entry,
    files,
    header,
    index,
    link,
    padded,
    pax,
    symlink,
    xattr,
)

from bootseer.errors import CorruptError
from snapshotter.layers.records import InodeFlag
from snapshotter.limits import Limits

WHITEOUT, IMPLICIT, OPAQUE = InodeFlag.WHITEOUT, InodeFlag.IMPLICIT, InodeFlag.OPAQUE
NONE = InodeFlag(0)
NOBODY = 0xFFFFFFFF
CAPABILITY = b"\x01\x00\x00\x02" + bytes(16)


def layer(*parts):
    return files(b"".join(parts))


def paths(*parts):
    return set(layer(*parts)) - {b""}


def refuse(match, *parts):
    with pytest.raises(CorruptError, match=match):
        index(b"".join(parts))


class TestWhiteouts:
    def test_whiteout_is_a_character_device_with_a_flag(self):
        hidden = layer(entry(b"d/.wh.a"))[b"d/a"]
        assert (hidden.mode, hidden.rdev, hidden.flags) == (0o020000, 0, WHITEOUT)

    def test_whiteout_after_the_same_name_is_refused(self):
        refuse("has made.*differ", entry(b"a"), entry(b".wh.a"))

    def test_whiteout_twice_is_refused(self):
        refuse("has made", entry(b".wh.a"), entry(b".wh.a"))

    def test_whiteout_followed_by_an_implicit_child_is_refused(self):
        refuse("whited out", entry(b".wh.a"), entry(b"a/b"))

    def test_whiteout_two_above_an_implicit_child_is_refused(self):
        refuse("not a directory", entry(b".wh.a"), entry(b"a/b/c"))

    def test_hard_link_to_a_whiteout_is_refused(self):
        refuse("whiteout", entry(b".wh.a"), link(b"b", b"a"))

    def test_directory_after_its_whiteout_is_not_opaque(self):
        made = layer(entry(b".wh.d"), directory(b"d/"))[b"d"]
        assert (made.mode, made.flags) == (0o040755, NONE)

    def test_file_then_directory_is_not_opaque(self):
        assert layer(entry(b"d"), directory(b"d/"))[b"d"].flags == NONE

    def test_file_after_its_whiteout_replaces_it(self):
        assert layer(entry(b".wh.a"), entry(b"a", b"new"))[b"a"].content == b"new"

    @pytest.mark.parametrize("kind", [b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"Z"])
    def test_whiteout_may_be_of_any_type(self, kind):
        assert layer(header(b".wh.a", kind, link=b"nowhere"))[b"a"].flags == WHITEOUT

    def test_whiteout_may_carry_data_which_takes_no_room(self):
        tree, extents, data = index(entry(b".wh.a", b"data") + entry(b"b", b"kept"))
        assert len(tree.child) == 2
        assert extents.length.tolist() == [4]
        assert len(data) == 4096

    def test_whiteout_of_a_whiteout_name_hides_that_name(self):
        assert paths(entry(b".wh..wh.x")) == {b".wh.x"}

    @pytest.mark.parametrize("name", [b".wh.", b".wh..", b".wh..."])
    def test_whiteout_of_no_name_is_refused(self, name):
        refuse("hides no name", entry(name))
        refuse("hides no name", entry(b"d/" + name))

    def test_whiteout_makes_implicit_parents(self):
        assert layer(entry(b"d/.wh.a"))[b"d"].flags == IMPLICIT

    def test_name_hidden_may_be_longer_than_the_prefix_leaves(self):
        name = b"n" * 255
        assert paths(entry(b"x", b".wh." + name, b"L") + header(b"a")) == {name}
        refuse("256 bytes", entry(b"x", b".wh." + name + b"n", b"L") + header(b"a"))

    def test_character_device_0_0_is_not_flagged(self):
        device = layer(header(b"a", b"3"))[b"a"]
        assert (device.mode, device.rdev, device.flags) == (0o020644, 0, NONE)


class TestOpaque:
    def test_mark_sets_the_flag_and_keeps_siblings(self):
        tree = layer(directory(b"d/"), entry(b"d/a"), entry(b"d/.wh..wh..opq"), entry(b"d/b"))
        assert tree[b"d"].flags == OPAQUE
        assert set(tree) == {b"", b"d", b"d/a", b"d/b"}

    def test_mark_on_the_root_has_no_effect(self):
        assert layer(entry(b".wh..wh..opq"), entry(b"a"))[b""].flags == NONE

    def test_second_mark_is_ignored(self):
        mark = entry(b"d/.wh..wh..opq")
        assert layer(directory(b"d/"), mark, mark)[b"d"].flags == OPAQUE

    def test_mark_in_a_directory_without_entry(self):
        assert layer(entry(b"d/.wh..wh..opq"))[b"d"].flags == OPAQUE | IMPLICIT

    def test_mark_above_an_implicit_directory_is_refused(self):
        refuse("differ", directory(b"d/"), entry(b"d/e/f"), entry(b"d/.wh..wh..opq"))
        refuse("differ", entry(b"e/f"), entry(b".wh..wh..opq"))

    def test_mark_beside_an_implicit_directory_is_fine(self):
        tree = layer(entry(b"e/f"), directory(b"d/"), entry(b"d/.wh..wh..opq"), entry(b"d/g/h"))
        assert tree[b"d"].flags == OPAQUE

    def test_mark_is_gone_with_its_directory(self):
        tree = layer(directory(b"d/"), entry(b"d/.wh..wh..opq"), entry(b"d"), directory(b"d/"))
        assert tree[b"d"].flags == NONE

    def test_marks_that_take_too_long_are_refused(self):
        stream = entry(b"z/a") + b"".join(entry(b"d/%d" % i) for i in range(20))
        stream += entry(b"d/.wh..wh..opq") * 20
        with pytest.raises(CorruptError, match="too many opaque"):
            index(stream, limits=Limits(path_steps=200))


class TestParentsAndSymlinks:
    def test_implicit_parents(self):
        parent = layer(entry(b"a/b/c", mtime=5))[b"a/b"]
        assert (parent.mode, parent.uid, parent.gid, parent.mtime) == (0o040755, 0, 0, (0, 0))
        assert parent.flags == IMPLICIT

    def test_implicit_parent_that_gets_its_entry_later(self):
        made = layer(entry(b"d/a"), directory(b"d/", mode=0o700, uid=3, mtime=9))[b"d"]
        assert (made.mode, made.uid, made.mtime, made.flags) == (0o040700, 3, (9, 0), NONE)

    def test_symlinked_parent_in_the_same_layer_is_followed(self):
        tree = layer(directory(b"usr/lib/"), symlink(b"lib", b"usr/lib"), entry(b"lib/a"))
        assert b"usr/lib/a" in tree
        assert tree[b"lib"].target == b"usr/lib"

    def test_absolute_symlink_starts_at_the_layers_root(self):
        assert b"run/a" in layer(symlink(b"var/run", b"/run"), entry(b"var/run/a"))

    def test_symlink_is_clamped_to_the_root(self):
        assert b"etc/a" in layer(symlink(b"d/out", b"../../../../etc"), entry(b"d/out/a"))

    def test_dangling_symlinks_target_is_made(self):
        tree = layer(symlink(b"lib", b"usr/lib"), entry(b"lib/a"))
        assert tree[b"usr/lib"].flags == IMPLICIT
        assert b"usr/lib/a" in tree

    def test_chain_of_symlinks(self):
        tree = layer(symlink(b"a", b"b"), symlink(b"b", b"c/d"), entry(b"a/f"))
        assert b"c/d/f" in tree

    def test_symlink_inside_a_symlinked_directory(self):
        tree = layer(
            directory(b"y/"), symlink(b"a", b"/x"), symlink(b"x", b"y"), symlink(b"y/l", b"z"),
            entry(b"a/l/f"),
        )  # fmt: skip
        assert b"y/z/f" in tree

    def test_last_name_is_never_followed(self):
        tree = layer(directory(b"d/"), symlink(b"l", b"d"), entry(b"l", b"file"))
        assert tree[b"l"].content == b"file"

    def test_directory_replaces_a_symlink_and_is_not_merged_into_its_target(self):
        tree = layer(entry(b"d/a"), symlink(b"l", b"d"), directory(b"l/"), entry(b"l/b"))
        assert {b"d/a", b"l/b"} <= set(tree)

    def test_loop_of_symlinks_is_refused(self):
        refuse("too many symlinks", symlink(b"a", b"b"), symlink(b"b", b"a"), entry(b"a/f"))
        refuse("a loop of symlinks", symlink(b"a", b"a/x"), entry(b"a/f"))

    def test_parent_that_is_a_file_is_refused(self):
        refuse("not a directory", entry(b"a"), entry(b"a/b"))
        refuse("not a directory", entry(b"a"), entry(b"a/b/c"))

    @pytest.mark.parametrize("name", [b"./", b"/", b".", b"..", b"../..", b"a/..", b"./."])
    def test_entry_of_the_root_is_ignored(self, name):
        root = layer(directory(name, mode=0o700, uid=5, mtime=7))[b""]
        assert (root.mode, root.uid, root.mtime, root.flags) == (0o040755, 0, (0, 0), NONE)

    @pytest.mark.parametrize(
        "name", [b"./d/a", b"/d/a", b"../d/a", b"d//a", b"d/./a", b"x/../d/a", b"../../d/e/../a"]
    )
    def test_names_are_cleaned_lexically(self, name):
        assert paths(entry(name)) == {b"d", b"d/a"}

    def test_names_behind_a_symlink_to_nothing(self):
        tree = layer(symlink(b"l", b"x/../y/z"), entry(b"l/a/b/c"), entry(b"l/a/d"))
        assert {b"y/z/a/b/c", b"y/z/a/d"} <= set(tree)

    def test_dot_dot_behind_a_symlink_is_lexical(self):
        assert b"a" in layer(symlink(b"l", b"d/e"), entry(b"l/../a"))

    def test_name_with_slash_at_its_end_stays_a_file(self):
        assert layer(entry(b"a/", b"x"))[b"a"].content == b"x"

    def test_removed_directory_is_not_remembered_as_parent(self):
        tree = layer(entry(b"d/a"), entry(b"d"), directory(b"d/"), entry(b"d/b"))
        assert set(tree) == {b"", b"d", b"d/b"}

    def test_replaced_symlink_is_not_remembered_as_parent(self):
        tree = layer(
            symlink(b"l", b"one"), entry(b"l/a"), symlink(b"l", b"two"), entry(b"l/b")
        )  # fmt: skip
        assert {b"one/a", b"two/b"} <= set(tree)

    def test_group_comes_from_a_parent_with_the_set_group_id_bit(self):
        keep = b"\x80\0\0\0\xff\xff\xff\xff"
        tree = layer(
            directory(b"d/", mode=0o2755, gid=7), entry(b"d/e/a", gid=1), entry(b"d/b", gid=keep)
        )
        assert (tree[b"d/e"].gid, tree[b"d/e"].mode) == (7, 0o040755)
        assert tree[b"d/b"].gid == 7


class TestHardLinks:
    def test_link_header_overwrites_the_shared_inode(self):
        first = entry(b"a", b"data", mode=0o644, uid=1, gid=1, mtime=1)
        tree = layer(first, link(b"b", b"a", mode=0, uid=2, gid=3, mtime=4))
        assert tree[b"a"] == tree[b"b"]
        linked = tree[b"a"]
        assert (linked.mode, linked.uid, linked.gid, linked.mtime) == (0o100000, 2, 3, (4, 0))
        assert (linked.nlink, linked.content) == (2, b"data")

    def test_link_strips_the_capability_and_keeps_other_xattrs(self):
        tree = layer(
            pax((b"SCHILY.xattr.security.capability", CAPABILITY), (b"SCHILY.xattr.user.a", b"1")),
            entry(b"a"), xattr(b"user.b", b"2"), link(b"b", b"a"),
        )  # fmt: skip
        assert tree[b"a"].xattrs == {b"user.a": b"1", b"user.b": b"2"}

    def test_size_of_a_link_skips_no_data(self):
        assert paths(entry(b"a"), link(b"b", b"a", size=512), entry(b"c")) == {b"a", b"b", b"c"}

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            (b"b", "not in the layer"), (b"later", "not in the layer"), (b"d", "is a directory"),
            (b"d/", "is a directory"), (b"", "is a directory"), (b"/", "is a directory"),
            (b"a/x", "not a directory|not in the layer"), (b"d/..", "is a directory"),
        ],
    )  # fmt: skip
    def test_targets_that_are_refused(self, target, why):
        refuse(why, directory(b"d/"), entry(b"a"), link(b"b", target), entry(b"later"))

    def test_link_to_itself_is_refused(self):
        refuse("not in the layer", entry(b"a"), link(b"a", b"a"))

    def test_link_to_something_below_the_directory_it_replaces_is_refused(self):
        refuse("not in the layer", entry(b"d/a"), link(b"d", b"d/a"))

    def test_link_to_a_symlink_links_the_symlink(self):
        tree = layer(entry(b"a"), symlink(b"l", b"a", uid=1), link(b"b", b"l", uid=2, mode=0))
        assert tree[b"b"] == tree[b"l"]
        assert (tree[b"l"].mode, tree[b"l"].uid, tree[b"l"].nlink) == (0o120777, 2, 2)

    @pytest.mark.parametrize("target", [b"l/", b"l/."])
    def test_slash_at_the_end_of_a_target_follows_its_last_name(self, target):
        tree = layer(entry(b"a"), symlink(b"l", b"a"), link(b"b", target))
        assert tree[b"b"].inode == tree[b"a"].inode

    @pytest.mark.parametrize("target", [b"/d/a", b"./d/a", b"l/a", b"../d/a", b"d/../d/a"])
    def test_target_is_resolved_inside_the_layer(self, target):
        tree = layer(entry(b"d/a"), symlink(b"l", b"d"), link(b"b", target))
        assert tree[b"b"].inode == tree[b"d/a"].inode

    def test_nlink_counts_the_names_that_are_left(self):
        tree = layer(entry(b"a"), link(b"b", b"a"), link(b"c", b"a"), entry(b"b", b"new"))
        assert tree[b"a"].nlink == 2
        assert tree[b"b"].nlink == 1

    def test_inode_lives_on_in_its_links_when_its_directory_goes(self):
        tree = layer(entry(b"d/a", b"data"), link(b"b", b"d/a"), entry(b"d"))
        assert (tree[b"b"].content, tree[b"b"].nlink) == (b"data", 1)

    def test_target_path_too_long(self):
        refuse("a link to a path", entry(b"x", b"a/" * 2100 + b"b", b"K"), link(b"b", b""))


class TestDuplicates:
    def test_last_file_wins(self):
        assert layer(entry(b"a", b"one"), entry(b"a", b"second"))[b"a"].content == b"second"

    def test_replaced_contents_keep_their_extent(self):
        _, extents, data = index(entry(b"a", b"one") + entry(b"a", b"second"))
        assert extents.data.tolist() == [0, 4096]
        assert len(data) == 8192

    def test_directories_merge(self):
        tree = layer(
            xattr(b"user.a", b"1"), directory(b"d/", mode=0o700, uid=1), entry(b"d/f"),
            xattr(b"user.b", b"2"), directory(b"d", mode=0o711, uid=2),
        )  # fmt: skip
        assert tree[b"d"].xattrs == {b"user.a": b"1", b"user.b": b"2"}
        assert (tree[b"d"].mode, tree[b"d"].uid) == (0o040711, 2)
        assert b"d/f" in tree

    def test_file_replaces_a_directory_with_all_below(self):
        assert paths(directory(b"d/"), entry(b"d/e/f"), entry(b"d")) == {b"d"}

    def test_directory_then_file_of_that_name_gets_the_directorys_time(self):
        assert layer(directory(b"d/", mtime=5), entry(b"d", mtime=9))[b"d"].mtime == (5, 0)

    def test_directory_then_hard_link_shares_the_directorys_time(self):
        tree = layer(directory(b"d/", mtime=5), entry(b"a", mtime=9), link(b"d", b"a", mtime=9))
        assert tree[b"a"].mtime == (5, 0)

    def test_directory_then_symlink_sets_the_targets_time(self):
        tree = layer(directory(b"d/", mtime=5), entry(b"a", mtime=9), symlink(b"d", b"a", mtime=8))
        assert tree[b"a"].mtime == (5, 0)
        assert tree[b"d"].mtime == (8, 0)

    def test_directory_then_symlink_to_nothing_is_refused(self):
        refuse("is gone", directory(b"d/"), symlink(b"d", b"nowhere"))

    def test_directory_then_symlink_to_a_whiteout_is_refused(self):
        refuse("differ", directory(b"d/"), entry(b".wh.a"), symlink(b"d", b"a"))

    def test_directory_below_a_replaced_one_is_refused(self):
        refuse("not a directory", directory(b"d/"), directory(b"d/e/"), entry(b"d"))

    def test_directory_then_symlink_to_the_root(self):
        assert layer(directory(b"d/", mtime=5), symlink(b"d", b"/"))[b""].mtime == (5, 0)

    def test_last_directory_entrys_time_wins(self):
        assert layer(directory(b"d/", mtime=5), directory(b"d/", mtime=4))[b"d"].mtime == (4, 0)


class TestTimesOwnersModes:
    @pytest.mark.parametrize("text", [b"-1", b"-0.5", b"9223372037", b"9223372036.854775808"])
    def test_time_out_of_range_is_1970(self, text):
        assert layer(pax((b"mtime", text)), entry(b"a"))[b"a"].mtime == (0, 0)
        assert layer(pax((b"mtime", text)), directory(b"d/"))[b"d"].mtime == (0, 0)

    def test_last_time_in_range(self):
        made = layer(pax((b"mtime", b"9223372036.854775807")), entry(b"a"))[b"a"]
        assert made.mtime == (9223372036, 854775807)

    def test_nanoseconds_are_cut(self):
        made = layer(pax((b"mtime", b"1.9999999999")), entry(b"a"))[b"a"]
        assert made.mtime == (1, 999999999)

    def test_type_bits_in_the_mode_are_ignored(self):
        assert layer(entry(b"a", mode=0o124755))[b"a"].mode == 0o104755

    @pytest.mark.parametrize(
        ("text", "owner"),
        [(b"4294967294", 2**32 - 2), (b"-2", 2**32 - 2), (b"1099511627777", 1), (b"-1", 0)],
    )
    def test_owners_are_cut_to_32_bits(self, text, owner):
        made = layer(pax((b"uid", text), (b"gid", text)), entry(b"a"))[b"a"]
        assert (made.uid, made.gid) == (owner, owner)

    def test_owner_of_all_ones_leaves_the_owner(self):
        stay = pax((b"uid", b"-1"), (b"gid", b"4294967295"))
        made = layer(directory(b"d/", uid=3, gid=4), stay, directory(b"d/"))[b"d"]
        assert (made.uid, made.gid) == (3, 4)

    def test_special_files(self):
        tree = layer(
            header(b"c", b"3", mode=0o600, major=1, minor=3),
            header(b"b", b"4", major=8, minor=300),
            header(b"f", b"6", mode=0o640),
        )
        assert (tree[b"c"].mode, tree[b"c"].rdev) == (0o020600, 1 << 8 | 3)
        assert (tree[b"b"].mode, tree[b"b"].rdev) == (0o060644, 8 << 8 | 44 | 1 << 20)
        assert (tree[b"f"].mode, tree[b"f"].rdev) == (0o010640, 0)

    def test_symlink_has_all_permissions_and_its_targets_size(self):
        made = layer(symlink(b"l", b"somewhere", mode=0o600))[b"l"]
        assert (made.mode, made.size, made.target) == (0o120777, 9, b"somewhere")

    def test_empty_symlink_is_refused(self):
        refuse("symlink", symlink(b"l", b""))

    def test_symlink_to_more_than_a_path_is_refused(self):
        assert layer(entry(b"x", b"t" * 4095, b"K"), symlink(b"l", b""))[b"l"].size == 4095
        refuse("4096 bytes", entry(b"x", b"t" * 4096, b"K"), symlink(b"l", b""))


class TestXattrs:
    def xattrs(self, *pairs, made=None):
        records = ((b"SCHILY.xattr." + name, value) for name, value in pairs)
        return layer(pax(*records), made or entry(b"a"))[b"a"].xattrs

    def test_user_and_security_are_kept(self):
        pairs = {b"user.a": b"\0\xff", b"user.overlay.opaque": b"y", b"security.x": b"1"}
        assert self.xattrs(*pairs.items()) == pairs

    def test_trusted_and_unknown_namespaces_are_skipped(self):
        skipped = (b"trusted.overlay.opaque", b"system.foo", b"btrfs.x", b"user", b"x")
        assert self.xattrs(*((name, b"y") for name in skipped)) == {}

    @pytest.mark.parametrize("made", [symlink(b"a", b"b"), header(b"a", b"6"), header(b"a", b"3")])
    def test_user_xattrs_are_skipped_on_what_is_neither_file_nor_directory(self, made):
        kept = {b"security.x": b"1"}
        assert self.xattrs((b"user.a", b"1"), (b"security.x", b"1"), made=made) == kept

    def test_empty_value(self):
        assert self.xattrs((b"user.a", b"")) == {b"user.a": b""}

    @pytest.mark.parametrize(
        "value", [b"\0" * 20, CAPABILITY[:-1], CAPABILITY + bytes(4), b"\0\0\0\2"]
    )
    def test_malformed_capability_is_refused(self, value):
        refuse("capability", xattr(b"security.capability", value), entry(b"a"))

    def test_empty_capability_is_kept_as_linux_does(self):
        assert self.xattrs((b"security.capability", b"")) == {b"security.capability": b""}

    def test_capabilities_of_revision_2_and_3(self):
        third = b"\x01\x00\x00\x03" + bytes(16) + b"\xe8\x03\0\0"
        for value in (CAPABILITY, third):
            assert self.xattrs((b"security.capability", value)) == {b"security.capability": value}

    def test_too_large(self):
        value = bytes(64 * 1024 + 1)
        refuse("65537 bytes", xattr(b"user.a", value), entry(b"a"))

    def test_too_many(self):
        pairs = [(b"SCHILY.xattr.user.%d" % i, bytes(20_000)) for i in range(4)]
        refuse("of extended attributes", pax(*pairs), entry(b"a"))

    @pytest.mark.parametrize("name", [b"user." + b"n" * 251, b"user.", b"security."])
    def test_impossible_names_are_refused(self, name):
        refuse("extended attribute", xattr(name, b"1"), entry(b"a"))

    def test_equal_sets_are_stored_once(self):
        stream = xattr(b"user.a", b"1") + entry(b"a") + xattr(b"user.a", b"1") + entry(b"b")
        tree, _, _ = index(stream)
        assert tree.xattr_sets == ((), ((b"user.a", b"1"),))
        assert tree.inodes.xattrs.tolist() == [0, 1, 1]


class TestAcls:
    NAMED = ((1, 7, NOBODY), (2, 6, 1000), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY))
    ACCESS = b"system.posix_acl_access"
    DEFAULT = b"system.posix_acl_default"

    def masked(self, user, mask, other):
        return acl(
            (1, user, NOBODY), (2, 6, 1000), (4, 5, NOBODY), (16, mask, NOBODY), (32, other, NOBODY)
        )

    def test_chmod_rewrites_the_mask(self):
        tree = layer(xattr(self.ACCESS, acl(*self.NAMED)), entry(b"a", mode=0o640))
        assert tree[b"a"].xattrs == {self.ACCESS: self.masked(6, 4, 0)}
        assert tree[b"a"].mode == 0o100640

    def test_acl_that_says_no_more_than_the_mode_is_not_stored(self):
        plain = acl((1, 7, 0), (4, 5, 0), (32, 5, 0))
        assert layer(xattr(self.ACCESS, plain), entry(b"a"))[b"a"].xattrs == {}

    def test_default_is_inherited_by_what_is_made_later(self):
        tree = layer(
            directory(b"d/"), entry(b"d/before"),
            xattr(self.DEFAULT, acl(*self.NAMED)), directory(b"d/"),
            entry(b"d/after", mode=0o600), symlink(b"d/l", b"x"), entry(b"d/e/f", mode=0o644),
        )  # fmt: skip
        default = {self.DEFAULT: acl(*self.NAMED)}
        assert tree[b"d"].xattrs == default
        assert tree[b"d/before"].xattrs == tree[b"d/l"].xattrs == {}
        assert tree[b"d/after"].xattrs == {self.ACCESS: self.masked(6, 0, 0)}
        assert tree[b"d/e"].xattrs == default | {self.ACCESS: self.masked(7, 5, 5)}
        assert tree[b"d/e/f"].xattrs == {self.ACCESS: self.masked(6, 4, 4)}

    def test_empty_acl_removes_one(self):
        for empty in (b"", acl()):
            tree = layer(
                xattr(self.DEFAULT, acl(*self.NAMED)), directory(b"d/"),
                xattr(self.DEFAULT, empty), directory(b"d/"),
            )  # fmt: skip
            assert tree[b"d"].xattrs == {}

    def test_acl_on_a_symlink_or_of_another_version_is_skipped(self):
        assert layer(xattr(self.ACCESS, acl(*self.NAMED)), symlink(b"a", b"b"))[b"a"].xattrs == {}
        refuse("nobody", xattr(self.ACCESS, acl((2, 6, NOBODY))), symlink(b"a", b"b"))
        assert layer(xattr(self.ACCESS, b"\1\0\0\0"), entry(b"a"))[b"a"].xattrs == {}

    def test_default_acl_on_a_file_is_refused(self):
        refuse("default ACL", xattr(self.DEFAULT, acl(*self.NAMED)), entry(b"a"))

    @pytest.mark.parametrize(
        "value",
        [
            b"\2\0", acl(*NAMED)[:-1], acl(*NAMED[1:]), acl(*NAMED[:-1]), acl(*NAMED[::-1]),
            acl(*NAMED[:3], NAMED[4]), acl((1, 8, 0), *NAMED[1:]), acl((3, 7, 0), *NAMED[1:]),
            acl(NAMED[0], (2, 6, NOBODY), *NAMED[2:]), acl(NAMED[0], (300, 6, 0), *NAMED[2:]),
        ],
    )  # fmt: skip
    def test_malformed_acl_is_refused(self, value):
        refuse("POSIX ACL", xattr(self.ACCESS, value), entry(b"a"))


class TestFramingRules:
    def test_global_header_deletes_its_name_and_makes_its_parents(self):
        tree = layer(entry(b"a"), pax(kind=b"g", name=b"a"), pax(kind=b"g", name=b"d/b"))
        assert set(tree) == {b"", b"d"}

    def test_global_header_may_be_a_whiteout(self):
        assert layer(pax(kind=b"g", name=b".wh.a"))[b"a"].flags == WHITEOUT

    def test_global_header_takes_a_whiteout_away(self):
        assert paths(entry(b".wh.a"), pax(kind=b"g", name=b"a")) == set()

    @pytest.mark.parametrize("kind", [b"7", b"X", b"Z", b"D", b"V", b"\xff"])
    def test_unknown_types_are_refused(self, kind):
        refuse("type", header(b"a", kind))

    def test_unknown_type_on_the_root_is_ignored(self):
        assert paths(header(b"./", b"Z")) == set()

    def test_path_over_4096_bytes_is_refused(self):
        path = b"/".join([b"n" * 99] * 41)
        refuse("bytes", entry(b"x", path, b"L"), header(b"a"))

    def test_long_path_of_few_names_is_fine(self):
        stream = entry(b"x", b"./" * 3000 + b"d/a", b"L") + header(b"a")
        assert set(files(stream)) == {b"", b"d", b"d/a"}

    def test_path_of_3500_bytes_and_800_levels(self):
        path = b"/".join([b"abc"] * 875)
        assert path in files(entry(b"x", path, b"L") + header(b"a"))

    def test_name_over_255_bytes_is_refused(self):
        refuse("256 bytes", entry(b"x", b"n" * 256, b"L"), header(b"a"))
        refuse("256 bytes", entry(b"x", b"n" * 256 + b"/a", b"L"), header(b"a"))
        refuse("256 bytes", entry(b"a"), entry(b"x", b"n" * 256, b"L"), link(b"b", b"a"))

    def test_paths_that_take_too_long_to_resolve_are_refused(self):
        deep = b"/".join([b"d"] * 500)
        stream = b"".join(entry(b"x", deep + b"/%d/f" % i, b"L") + header(b"a") for i in range(9))
        with pytest.raises(CorruptError, match="too long to resolve"):
            index(stream, limits=Limits(path_steps=2000))

    def test_directories_may_not_pile_up_through_symlinks(self):
        deep = b"/".join([b"d" * 200] * 10)
        stream = entry(b"x", deep + b"/f", b"L") + header(b"a")
        stream += entry(b"x", deep, b"K") + symlink(b"l", b"")
        stream += entry(b"x", b"l/" + deep + b"/" + deep + b"/f", b"L") + header(b"a")
        with pytest.raises(CorruptError, match=r"from the root|too long"):
            index(stream)

    def test_too_many_files(self):
        with pytest.raises(CorruptError, match="more than 3 files"):
            index(entry(b"a/b/c"), limits=Limits(entries=3))
        index(entry(b"a/b"), limits=Limits(entries=3))

    def test_hard_links_count_as_files(self):
        with pytest.raises(CorruptError, match="more than 3 files"):
            index(entry(b"a") + link(b"b", b"a") + link(b"c", b"a"), limits=Limits(entries=3))

    def test_pieces_of_sparse_files_are_counted(self):
        pieces = b",".join(b"%d,1" % (at * 2) for at in range(9))
        stream = pax((b"GNU.sparse.numblocks", b"9"), (b"GNU.sparse.map", pieces),
                     (b"GNU.sparse.size", b"99")) + entry(b"a", b"x" * 9)  # fmt: skip
        with pytest.raises(CorruptError, match="more than 8 pieces"):
            index(stream, limits=Limits(entries=8))

    def test_error_names_the_entry_and_its_place(self):
        refuse(r"b'b', header at byte 512", entry(b"a"), header(b"b", b"Z"))


class TestDataArea:
    def test_files_start_on_4_kib_in_tar_order(self):
        stream = entry(b"z", b"z" * 5000) + entry(b"empty") + entry(b"a", b"a" * 4096)
        tree, extents, data = index(stream)
        assert extents.data.tolist() == [0, 8192]
        assert extents.length.tolist() == [5000, 4096]
        assert len(data) == 12288
        assert sorted(tree.inodes.data.tolist()) == [0, 0, 0, 8192]

    def test_holes_are_zeros(self):
        stream = pax(
            (b"GNU.sparse.size", b"9000"), (b"GNU.sparse.numblocks", b"2"),
            (b"GNU.sparse.map", b"1,2,8999,1"),
        ) + entry(b"a", b"xyz") + entry(b"b", b"next")  # fmt: skip
        tree = files(stream)
        assert tree[b"a"].content == b"\0xy" + bytes(8996) + b"z"
        assert tree[b"b"].content == b"next"

    def test_file_that_is_all_hole_has_room_and_no_extent(self):
        stream = pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                     (b"GNU.sparse.realsize", b"4097")) + entry(b"a", padded(b"0\n"))  # fmt: skip
        _, extents, data = index(stream)
        assert (len(extents.data), len(data)) == (0, 8192)

    def test_too_many_zeros_are_refused(self):
        stream = pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                     (b"GNU.sparse.realsize", b"4097")) + entry(b"a", padded(b"0\n"))  # fmt: skip
        with pytest.raises(CorruptError, match="zeros"):
            index(stream, limits=Limits(sparse_zeros=4096))

    def test_too_much_data_is_refused(self):
        with pytest.raises(CorruptError, match="bytes of files"):
            index(entry(b"a", b"x") + entry(b"b", b"x"), limits=Limits(data_area=4096))

    def test_too_large_a_layer_is_refused(self):
        with pytest.raises(CorruptError, match="a layer of more"):
            index(entry(b"a", b"x"), limits=Limits(layer_tar=1000))
