"""What a NameNode says of itself (JMX over HTTP)."""

import contextlib
import json
import urllib.error
import urllib.request
from typing import Any


def name_node_bean(host: str, name: str) -> dict[str, Any]:
    """Return a bean of the NameNode at `host`; nothing if it does not answer."""
    url = f"http://{host}/jmx?qry=Hadoop:service=NameNode,name={name}"
    with (
        contextlib.suppress(OSError, urllib.error.URLError, ValueError, LookupError),
        urllib.request.urlopen(url, timeout=5) as answer,
    ):
        return dict(json.load(answer)["beans"][0])
    return {}


def live_data_nodes(host: str) -> int:
    """Return how many DataNodes the NameNode at `host` knows; 0 if it does not answer."""
    return int(name_node_bean(host, "FSNamesystemState").get("NumLiveDataNodes", 0))
