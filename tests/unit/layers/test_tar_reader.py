"""The tar reader: dialects, framing, and what it refuses."""

import pytest
from tar_maker import (
    END,
    GNU,
    directory,
    entry,
    header,
    octal,
    padded,
    pax,
    symlink,
    with_checksum,
)

from bootseer.errors import CorruptError
from snapshotter.layers.tar import Kind, TarReader
from snapshotter.limits import Limits


def read(stream, limits=None):
    reader = TarReader(limits) if limits else TarReader()
    members = reader.feed(stream)
    reader.finish()
    return members


def only(stream):
    (member,) = read(stream)
    return member


def refuse(stream, match=None):
    with pytest.raises(CorruptError, match=match):
        read(stream)


class TestDialects:
    def test_ustar_fields(self):
        member = only(
            entry(b"a", b"hello", mode=0o4755, uid=1, gid=2, mtime=3, prefix=b"deep/er") + END
        )
        assert member[:8] == (b"deep/er/a", Kind.FILE, 0o4755, 1, 2, 3, 0, 5)
        assert member.runs == ((0, 512, 5),)

    def test_gnu_has_no_prefix(self):
        times = octal(7, 12) + octal(8, 12)
        assert only(header(b"a", magic=GNU, prefix=times)).path == b"a"

    def test_gnu_prefix_of_an_old_go_writer_counts(self):
        assert only(header(b"a", magic=GNU, prefix=b"some/directory")).path == b"some/directory/a"

    def test_gnu_prefix_that_is_neither_time_nor_ascii_is_ignored(self):
        assert only(header(b"a", magic=GNU, prefix=b"caf\xc3\xa9")).path == b"a"

    def test_star_has_a_shorter_prefix(self):
        block = bytearray(header(b"a", prefix=b"p" * 131 + octal(1, 12) + octal(2, 12)))
        block[508:] = b"tar\0"
        assert only(with_checksum(bytes(block))).path == b"p" * 131 + b"/a"

    def test_star_times_must_be_numbers(self):
        block = bytearray(header(b"a", prefix=b"p" * 131 + b"nonsense".ljust(24)))
        block[508:] = b"tar\0"
        refuse(with_checksum(bytes(block)), "octal")

    def test_seventh_edition_ignores_what_follows_the_link_name(self):
        member = only(header(b"a", magic=bytes(8), prefix=b"p", major=b"nonsense"))
        assert member.path == b"a"

    def test_signed_check_sum(self):
        block = header(b"caf\xe9")
        unsigned = int(block[148:154], 8)
        assert only(block[:148] + b"%06o\0 " % (unsigned - 256) + block[156:]).path == b"caf\xe9"

    @pytest.mark.parametrize("off", [1, -1, 256, 65521, -65521])
    def test_wrong_check_sum(self, off):
        block = header(b"a" * 100, mode=b"7777777\0", link=b"z" * 100, prefix=b"\x7f" * 155)
        stated = int(block[148:154], 8) + off
        if stated < 0:
            stated = 0
        refuse(block[:148] + b"%06o\0 " % stated + block[156:], "check sum")

    @pytest.mark.parametrize("field", [b"0000644 ", b"   644 \0", b"644\0\0\0\0\0", b"644\0junk"])
    def test_octal_spellings(self, field):
        assert only(header(b"a", mode=field)).mode == 0o644

    def test_empty_number_is_zero(self):
        assert only(header(b"a", mode=bytes(8))).mode == 0

    @pytest.mark.parametrize("field", [b"0000648\0", b"+000644\0", b"0o00644\0", b"6_44\0\0\0\0"])
    def test_what_python_takes_for_a_number_is_refused(self, field):
        refuse(header(b"a", mode=field), "octal")

    def test_base_256(self):
        big = (1 << 40).to_bytes(7, "big")
        assert only(header(b"a", uid=b"\x80" + big)).uid == 1 << 40

    def test_negative_base_256(self):
        assert only(header(b"a", mtime=b"\xff" * 11 + b"\xfe")).mtime_s == -2

    def test_base_256_beyond_64_bits(self):
        refuse(header(b"a", mtime=b"\x80" + b"\x7f" * 11), "64 bits")

    def test_regular_file_of_old_with_trailing_slash_is_a_directory(self):
        assert only(header(b"a/", b"\0")).kind is Kind.DIRECTORY
        assert only(header(b"a", b"\0")).kind is Kind.FILE
        assert only(header(b"a/", b"0")).kind is Kind.FILE

    def test_device_numbers(self):
        member = only(header(b"a", b"3", major=0x123, minor=0x4567))
        assert member.rdev == 0x67 | 0x123 << 8 | 0x45 << 20

    def test_device_number_that_does_not_fit(self):
        refuse(header(b"a", b"3", major=b"\x80\0\0\x01\0\0\0\0"), "device")


class TestLongNames:
    def test_gnu_long_name_and_link(self):
        name, target = b"n" * 300, b"t" * 300
        stream = entry(b"x", name + b"\0", b"L") + entry(b"x", target + b"\0", b"K")
        member = only(stream + symlink(b"short", b"short"))
        assert (member.path, member.linkname) == (name, target)

    def test_long_name_wins_over_pax_path(self):
        stream = pax((b"path", b"pax")) + entry(b"x", b"gnu\0", b"L") + header(b"own")
        assert only(stream).path == b"gnu"

    def test_long_name_counts_for_one_entry(self):
        stream = entry(b"x", b"long\0", b"L") + header(b"a") + header(b"b")
        assert [member.path for member in read(stream)] == [b"long", b"b"]

    def test_too_long(self):
        with pytest.raises(CorruptError, match="extended header"):
            read(entry(b"x", bytes(2000), b"L") + header(b"a"), Limits(pax_header=1999))


class TestPax:
    def test_records_override_the_header(self):
        stream = pax(
            (b"path", b"long"), (b"linkpath", b"to"), (b"uid", b"-5"), (b"gid", b"1099511627776"),
            (b"mtime", b"12.3456789019"), (b"size", b"3"),
        ) + entry(b"short", b"abc", size=0)  # fmt: skip
        member = only(stream + END)
        assert member.path == b"long"
        assert member.linkname == b"to"
        assert (member.uid, member.gid, member.size) == (-5, 1 << 40, 3)
        assert (member.mtime_s, member.mtime_ns) == (12, 345678901)
        assert member.runs == ((0, 1536, 3),)

    def test_empty_value_falls_back_to_the_header(self):
        empty = [(key, b"") for key in (b"path", b"linkpath", b"uid", b"gid", b"mtime", b"size")]
        member = only(pax(*empty) + entry(b"own", b"abc", uid=7, mtime=8) + END)
        assert (member.path, member.uid, member.mtime_s, member.size) == (b"own", 7, 8, 3)

    def test_of_two_headers_in_a_row_only_the_last_counts(self):
        stream = pax((b"path", b"first"), (b"uid", b"1")) + pax((b"gid", b"2")) + header(b"own")
        member = only(stream)
        assert (member.path, member.uid, member.gid) == (b"own", 0, 2)

    def test_later_record_wins(self):
        assert only(pax((b"path", b"a"), (b"path", b"b")) + header(b"own")).path == b"b"

    @pytest.mark.parametrize(
        ("text", "time"),
        [
            (b"-0.5", (-1, 500000000)),
            (b"-1", (-1, 0)),
            (b"+1.", (1, 0)),
            (b"0001.25", (1, 250000000)),
        ],
    )
    def test_times(self, text, time):
        member = only(pax((b"mtime", text)) + header(b"a"))
        assert (member.mtime_s, member.mtime_ns) == time

    @pytest.mark.parametrize("text", [b".5", b"1.5.5", b"1.-5", b" 1", b"1_0", b"9" * 30, b"x"])
    @pytest.mark.parametrize("key", [b"mtime", b"atime", b"ctime"])
    def test_malformed_times(self, key, text):
        refuse(pax((key, text)) + header(b"a"))

    @pytest.mark.parametrize("key", [b"uid", b"gid", b"size"])
    def test_malformed_numbers(self, key):
        refuse(pax((key, b"0x10")) + header(b"a"), "decimal")

    def test_negative_size(self):
        refuse(pax((b"size", b"-1")) + header(b"a"))

    @pytest.mark.parametrize(
        "body",
        [
            b"nonsense", b"5 a=\nx", b"4 a=\n", b"999 a=b\n", b"6 a=bc", b"-6 a=b\n", b"6 abc\n",
            b"5 =b\n", b"10 a\0b=cd\n", b"11 path=a\0\n", b"6 a=b\nx", b"1" * 500,
        ],
    )  # fmt: skip
    def test_malformed_records(self, body):
        refuse(entry(b"x", body, b"x") + header(b"a"))

    def test_xattrs_come_with_their_full_names(self):
        key = b"SCHILY.xattr.user.a=b"
        stream = pax((b"SCHILY.xattr.user.one", b"\0\1"), (b"LIBARCHIVE.xattr.user.two", b"eA"))
        assert only(stream + header(b"a")).xattrs == ((b"user.one", b"\0\1"),)
        # The first "=" ends the keyword.
        assert only(pax((key, b"c")) + header(b"a")).xattrs == ((b"user.a", b"b=c"),)

    def test_global_header_is_a_member_and_sets_nothing(self):
        stream = pax((b"uid", b"7"), kind=b"g", name=b"pax_global_header") + header(b"a")
        first, second = read(stream)
        assert (first.path, first.kind) == (b"pax_global_header", Kind.GLOBAL)
        assert second.uid == 0

    def test_global_header_may_rename_itself(self):
        first, _ = read(pax((b"path", b"other"), kind=b"g") + header(b"a"))
        assert first.path == b"other"

    def test_global_header_uses_up_what_came_before(self):
        stream = pax((b"path", b"lost")) + pax(kind=b"g") + header(b"a")
        assert read(stream)[1].path == b"a"


class TestSparse:
    def member(self, *records, body=b"", **fields):
        return read(pax(*records) + entry(b"own", body, **fields) + END)[0]

    def test_format_0_0(self):
        member = self.member(
            (b"GNU.sparse.size", b"5000"), (b"GNU.sparse.numblocks", b"2"),
            (b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"3"),
            (b"GNU.sparse.offset", b"4096"), (b"GNU.sparse.numbytes", b"2"),
            body=b"abcde",
        )  # fmt: skip
        start = member.runs[0].tar_offset
        assert (member.size, member.runs) == (5000, ((0, start, 3), (4096, start + 3, 2)))

    def test_format_0_1(self):
        member = self.member(
            (b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"1"),
            (b"GNU.sparse.name", b"real"), (b"GNU.sparse.size", b"5000"),
            (b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.map", b"10,5,5000,0"),
            body=b"abcde",
        )  # fmt: skip
        assert (member.path, member.size) == (b"real", 5000)
        assert [(run.offset, run.length) for run in member.runs] == [(10, 5)]

    def version_1(self, table, body, size, *more):
        records = (
            (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", b"real"), (b"GNU.sparse.realsize", b"%d" % size),
        )  # fmt: skip
        return pax(*records, *more) + entry(b"own", padded(table) + body) + END

    def test_format_1_0(self):
        stream = self.version_1(b"2\n0\n3\n4096\n2\n", b"abcde", 4098)
        member = only(stream)
        start = stream.index(b"abcde")
        assert (member.path, member.size) == (b"real", 4098)
        assert member.runs == ((0, start, 3), (4096, start + 3, 2))

    def test_format_1_0_with_a_map_of_several_blocks(self):
        pieces = b"".join(b"%d\n1\n" % (offset * 1000) for offset in range(200))
        member = only(self.version_1(b"200\n" + pieces, b"x" * 200, 200_000))
        assert len(member.runs) == 200
        assert member.runs[-1].offset == 199_000

    def test_format_1_0_without_any_data(self):
        member = only(self.version_1(b"0\n", b"", 4096))
        assert (member.size, member.runs) == (4096, ())

    @pytest.mark.parametrize(
        ("table", "body"),
        [
            (b"1\n0\n4\n", b"abc"), (b"1\n0\n2\n", b"abc"), (b"2\n2\n2\n1\n1\n", b"abc"),
            (b"1\n4096\n3\n", b"abc"), (b"1\n-1\n3\n", b"abc"), (b"1\n0\n-3\n", b"abc"),
            (b"-1\n", b""), (b"x\n", b""), (b"99999999\n", b""), (b"1\n0\n", b""), (b"", b""),
            (b"1\n9223372036854775807\n9223372036854775807\n", b"abc"),
        ],
    )  # fmt: skip
    def test_maps_that_do_not_fit(self, table, body):
        refuse(self.version_1(table, body, 4098))

    def test_map_that_says_another_count(self):
        with pytest.raises(CorruptError, match="another length"):
            self.member((b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.numblocks", b"2"), body=b"a")

    def test_unknown_version_is_a_plain_file(self):
        member = self.member((b"GNU.sparse.major", b"2"), (b"GNU.sparse.minor", b"0"), body=b"ab")
        assert (member.size, len(member.runs)) == (2, 1)

    def test_records_of_format_0_0_out_of_order(self):
        with pytest.raises(CorruptError, match="order"):
            self.member((b"GNU.sparse.numbytes", b"0"), (b"GNU.sparse.offset", b"3"))

    def test_directory_cannot_be_sparse(self):
        stream = pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.numblocks", b"1"))
        refuse(stream + directory(b"d/"))

    def test_old_gnu_sparse_file_is_refused(self):
        refuse(header(b"a", b"S", magic=GNU), "type S")


class TestFraming:
    def test_empty_stream(self):
        assert read(b"") == []

    @pytest.mark.parametrize(
        "end",
        [b"", bytes(512), bytes(1024), bytes(1024) + b"garbage" * 99, bytes(10240)],
        ids=["nothing", "one zero block", "two", "garbage", "many"],
    )
    def test_ends_that_are_accepted(self, end):
        assert len(read(entry(b"a", b"abc") + end)) == 1

    def test_cut_padding(self):
        for kept in (3, 4, 511):
            assert len(read(entry(b"a", b"abc")[: 512 + kept])) == 1

    def test_cut_padding_of_an_extended_header(self):
        assert read(pax((b"path", b"a"))[:530]) == []

    @pytest.mark.parametrize("kept", [1, 511, 512, 514])
    def test_cut_header_or_data(self, kept):
        refuse(entry(b"a", b"abc")[:kept], "ends")

    def test_cut_extended_header(self):
        refuse(pax((b"path", b"a"))[:515], "inside a header")

    def test_cut_sparse_map(self):
        stream = pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
        refuse(stream + header(b"own", size=1024) + b"1\n")

    def test_cut_zero_block(self):
        refuse(bytes(513), "inside a header")

    def test_header_after_a_zero_block(self):
        refuse(bytes(512) + header(b"a"), "zeros")

    def test_nothing_is_read_behind_the_end(self):
        reader = TarReader()
        assert reader.feed(header(b"a") + END + header(b"b")) != []
        assert reader.feed(header(b"c")) == []

    @pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
    def test_size_of_what_has_no_data_skips_nothing(self, kind):
        stream = header(b"a", kind, size=5000, link=b"x") + header(b"b")
        assert [member.path for member in read(stream)] == [b"a", b"b"]

    def test_unknown_types_have_data(self):
        first, second = read(entry(b"a", b"data", b"Z") + header(b"b"))
        assert (first.kind, second.path) == (Kind.UNKNOWN, b"b")

    def test_not_a_tar(self):
        refuse(b"\x7fELF" + bytes(range(256)) * 4, "check sum|octal")

    def test_negative_size_in_the_header(self):
        refuse(header(b"a", size=b"\xff" * 12), "negative")

    def test_larger_than_a_layer(self):
        refuse(header(b"a", size=b"\x80" + (1 << 60).to_bytes(11, "big")), "a file of")

    def test_members_come_before_their_data(self):
        reader = TarReader()
        assert len(reader.feed(header(b"a", size=1 << 30))) == 1

    def test_error_says_where(self):
        refuse(entry(b"a", b"abc") + header(b"b", mode=b"nonsense"), "byte 1024")
