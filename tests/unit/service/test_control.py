"""The daemon's own interface, asked as people and Prometheus do."""

import asyncio
import socket
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bootseer.cli.control import fetch_status, read_metrics
from bootseer.errors import HostError
from bootseer.metrics.serving import serve_metrics
from snapshotter.service.control import serve_control


async def status() -> dict[str, Any]:
    return {"pid": 1}


async def metrics() -> str:
    return "a_total 1\n"


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text(), answer.headers["Content-Type"]


async def test_the_socket_tells_status_and_metrics_and_is_roots_alone(tmp_path: Path) -> None:
    path = tmp_path / "run/control.sock"
    async with serve_control(path, status, metrics):
        assert await fetch_status(path) == {"pid": 1}
        assert await asyncio.to_thread(read_metrics, path) == "a_total 1\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_socket_that_a_dead_server_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(HostError, match="does not answer"):
        await fetch_status(path)
    async with serve_control(path, status, metrics):
        assert await fetch_status(path) == {"pid": 1}


async def test_over_tcp_there_are_metrics_and_nothing_else(unused_port: int) -> None:
    address = f"127.0.0.1:{unused_port}"
    async with serve_metrics(address, metrics):
        code, text, kind = await get(f"http://{address}/metrics")
        assert (code, text) == (200, "a_total 1\n")
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
        assert (await get(f"http://{address}/v1/status"))[0] == 404


async def test_health_is_bad_until_the_program_serves(unused_port: int, tmp_path: Path) -> None:
    address, ready = f"127.0.0.1:{unused_port}", asyncio.Event()
    async with (
        serve_metrics(address, metrics, ready.is_set),
        serve_control(tmp_path / "control.sock", status, metrics, (), ready.is_set),
    ):
        assert (await get(f"http://{address}/healthz"))[:2] == (503, '{"status": "starting"}')
        ready.set()
        assert (await get(f"http://{address}/healthz"))[:2] == (200, '{"status": "serving"}')


async def test_a_port_that_is_taken_costs_the_metrics_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with serve_metrics(f"127.0.0.1:{taken.getsockname()[1]}", metrics):
            assert "metrics.not_served" in caplog.messages


async def test_without_an_address_nothing_listens(caplog: pytest.LogCaptureFixture) -> None:
    async with serve_metrics("", metrics):
        assert not caplog.messages


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
