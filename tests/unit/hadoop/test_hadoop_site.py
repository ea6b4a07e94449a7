"""Hadoop's configuration files, read as Hadoop reads them, and what they say of NameNodes."""

import contextlib
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import CorruptError, UsageError
from bootseer.hadoop.client import read_client
from bootseer.hadoop.cluster import NameNode, default_authority, find_name_nodes, is_secure
from bootseer.hadoop.site import Property, Site, merge, parse_site

TEXTS = st.text(
    st.characters(
        min_codepoint=32, exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"
    )
)


def document(*rows: str) -> bytes:
    return f"<configuration>{''.join(rows)}</configuration>".encode()


def row(name: str, value: str, more: str = "") -> str:
    return f"<property><name>{escape(name)}</name><value>{escape(value)}</value>{more}</property>"


def test_properties_are_read_with_all_that_people_write_around_them() -> None:
    text = b"""<?xml version="1.0" encoding="UTF-8"?>
    <?xml-stylesheet type="text/xsl" href="configuration.xsl"?>
    <!-- ours -->
    <configuration>
      <property>
        <name> a </name>
        <!-- why -->
        <value>1 &lt; 2</value>
        <description>what it is</description>
        <final> TRUE </final>
        <source>somewhere</source>
      </property>
      <property><name>no.value</name></property>
      <property><name>b</name><value></value></property>
    </configuration>"""
    assert parse_site(text) == (Property("a", "1 < 2", final=True), Property("b", ""))


@given(st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS)))
def test_whatever_is_written_is_read(pairs: list[tuple[str, str]]) -> None:
    found = parse_site(document(*(row(name, value) for name, value in pairs)))
    assert [(one.name, one.value) for one in found] == [(n.strip(), v) for n, v in pairs]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<configuration>",
        b"<html></html>",
        b"<configuration><property><value>1</value></property></configuration>",
        b'<!DOCTYPE c [<!ENTITY a "b">]><configuration/>',
        b'<configuration xmlns:xi="x"><xi:include href="/etc/passwd"/></configuration>',
        b'<?xml version="1.0" encoding="none"?><configuration/>',
        b"<configuration>" + b"<a>" * 100,
        document(row("a", "x" * 70_000)),
        document(row("a", "1") * 20_001),
        b" " * (5 << 20),
    ],
)
def test_what_is_no_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(CorruptError):
        parse_site(text)


@given(st.binary(max_size=300) | st.binary(max_size=50).map(lambda b: document(row("a", "b")) + b))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(CorruptError):
        parse_site(data)


def test_a_later_file_wins_but_not_over_what_is_final() -> None:
    first = [Property("a", "1"), Property("b", "1", final=True), Property("fs.default.name", "x")]
    site = merge([first, [Property("a", "2"), Property("b", "2")]], {})
    assert [site.get(name) for name in ("a", "b", "fs.defaultFS", "none")] == ["2", "1", "x", ""]


def test_variables_are_other_properties_or_of_the_environment() -> None:
    values = {
        "a": "${b}/${b}",
        "b": "x${c}",
        "c": " y ",
        "unknown": "${none}:${c}",
        "env": "${env.HERE} ${env.EMPTY:-d} ${env.NONE-e} ${env.NONE}",
        "nested": "${${name}}",
        "name": "c",
        "self": "${self}",
        "bomb": "${bomb}${bomb}" + "x" * 60_000,
    }
    site = Site(values, {"HERE": "h", "EMPTY": ""})
    assert site.get("a") == "x y /x y"
    assert site.get("unknown") == "${none}: y"
    assert site.get("env") == "h d e ${env.NONE}"
    assert site.get("nested") == "y"
    assert site.get("self") == "${self}"
    assert len(site.get("bomb")) < 70_000


HA = {
    "fs.defaultFS": "hdfs://ns",
    "dfs.nameservices": "ns, other",
    "dfs.ha.namenodes.ns": "a,b",
    "dfs.namenode.rpc-address.ns.a": "one:9000",
    "dfs.namenode.rpc-address.ns.b": "two",
    "dfs.namenode.http-address.ns.a": "web-one:1234",
    "dfs.namenode.rpc-address.other": "three:8020",
    "dfs.namenode.http-address.other": "0.0.0.0:99",
}


@pytest.mark.parametrize(
    ("authority", "nodes"),
    [
        ("ns", [NameNode("web-one", 1234, "one:9000"), NameNode("two", 9870, "two:8020")]),
        ("other", [NameNode("three", 99, "three:8020")]),
        ("three", [NameNode("three", 99, "three:8020")]),
        ("ONE:9000", [NameNode("web-one", 1234, "one:9000")]),
        ("elsewhere:1", [NameNode("elsewhere", 9870, "elsewhere:1")]),
        ("[::1]", [NameNode("::1", 9870, "[::1]:8020")]),
    ],
)
def test_name_nodes_are_found_by_nameservice_and_by_address(
    authority: str, nodes: list[NameNode]
) -> None:
    assert find_name_nodes(authority, Site(HA)) == tuple(nodes)


def test_of_a_cluster_without_nameservices_the_http_port_is_known() -> None:
    site = Site({"fs.defaultFS": "hdfs://nn:8020/", "dfs.namenode.http-address": "0.0.0.0:50070"})
    assert find_name_nodes(default_authority(site), site) == (NameNode("nn", 50070, "nn:8020"),)


def test_a_cluster_that_wants_tls_is_asked_at_its_https_ports() -> None:
    key = "dfs.namenode.https-address.ns.a"
    site = Site(HA | {"dfs.http.policy": "https_only", key: "web-one:1235"})
    found = [(node.host, node.port, node.tls) for node in find_name_nodes("ns", site)]
    assert found == [("web-one", 1235, True), ("two", 9871, True)]


@pytest.mark.parametrize(
    "changed",
    [
        {"dfs.namenode.rpc-address.ns.b": ""},
        {"dfs.namenode.rpc-address.ns.b": "two:x"},
        {"dfs.namenode.http-address.ns.a": "one:70000"},
        {"dfs.ha.namenodes.ns": ",".join(map(str, range(20)))},
    ],
)
def test_a_configuration_that_makes_no_sense_is_a_mistake(changed: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        find_name_nodes("ns", Site(HA | changed))


def test_the_environment_says_who_we_are_and_where_the_cluster_is(tmp_path: Path) -> None:
    secure = row("hadoop.security.authentication", "Kerberos")
    (tmp_path / "core-site.xml").write_bytes(document(row("fs.defaultFS", "hdfs://a"), secure))
    (tmp_path / "hdfs-site.xml").write_bytes(document(row("fs.defaultFS", "hdfs://b")))
    environment = {"HADOOP_CONF_DIR": str(tmp_path), "HADOOP_USER_NAME": "alice"}
    client = read_client(environment)
    assert (client.user, default_authority(client.site)) == ("alice", "b")
    assert is_secure(client.site)
    assert read_client(environment, user="bob").user == "bob"
    assert not read_client({}).site.properties
    (tmp_path / "hdfs-site.xml").write_bytes(b"<configuration>")
    with pytest.raises(UsageError, match=r"hdfs-site\.xml: line 1"):
        read_client(environment)
    with pytest.raises(UsageError, match="no directory"):
        read_client({"HADOOP_CONF_DIR": str(tmp_path / "none")})
