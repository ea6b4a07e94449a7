"""Authentication, mirrors, manifests, uploads and referrers against the simulator."""

import asyncio
import base64
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from yarl import URL

from bootseer.digests import digest_of
from bootseer.errors import CorruptError, NotFoundError, RemoteError, UsageError
from snapshotter.limits import Limits
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.hosts import HostsDirectory
from snapshotter.registry.logins.docker import DockerConfig
from snapshotter.registry.manifests import OCI_MANIFEST
from snapshotter.registry.reference import Reference
from snapshotter.registry.referrers import fallback_tag, with_referrer
from snapshotter.registry.settings import ClientSettings
from tests import hostile_registry as hostile
from tests.hostile_fixtures import client, mirror, registry
from tests.hostile_registry import QUICK, SECRET, TOKEN, HostileRegistry

__all__ = ["client", "mirror", "registry"]

TYPE = "application/vnd.test.thing"


def with_login(tmp_path: Path, host: str, **entry: str) -> ClientSettings:
    """Return settings with a docker configuration that knows a host."""
    pair = base64.b64encode(f"robot:{SECRET}".encode()).decode()
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {host: entry or {"auth": pair}}}))
    return replace(QUICK, credentials=DockerConfig(path))


def with_hosts(tmp_path: Path, registry: HostileRegistry, text: str) -> ClientSettings:
    """Return settings with a `hosts.toml` for a registry."""
    directory = tmp_path / registry.host
    directory.mkdir(exist_ok=True)
    (directory / "hosts.toml").write_text(text)
    return replace(QUICK, hosts=HostsDirectory(directories=(tmp_path,)))


def manifest_of(subject: str | None = None, **members: object) -> bytes:
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, **members}
    document |= {"config": {"mediaType": "x", "digest": digest_of(b"{}"), "size": 2}, "layers": []}
    if subject:
        document["subject"] = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 2}
    return json.dumps(document).encode()


async def test_a_token_is_fetched_once_and_used_until_it_is_refused(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.token_required = True
    digest = registry.blob(b"data")
    for _ in range(3):
        assert await client.blobs.read(registry.reference(), digest, 0, 4) == b"data"
    (asked,) = registry.asked("token")
    query = URL(asked.path).query
    assert (query["scope"], query["service"]) == ("repository:a/b:pull", "tests")
    assert "Authorization" not in asked.headers
    registry.on("blob", hostile.refuses_every_token, times=1)
    assert await client.blobs.read(registry.reference(), digest, 0, 4) == b"data"
    assert len(registry.asked("token")) == 2


async def test_many_reads_that_find_no_token_fetch_one_together(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.token_required = True
    digest = registry.blob(b"data")
    reads = (client.blobs.read(registry.reference(), digest, 0, 4) for _ in range(20))
    assert set(await asyncio.gather(*reads)) == {b"data"}
    assert len(registry.asked("token")) == 1


async def test_a_registry_that_refuses_every_token_is_not_asked_for_ever(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.on("manifest", hostile.refuses_every_token)
    with pytest.raises(RemoteError, match="401") as caught:
        await client.manifests.get(registry.reference())
    assert not caught.value.temporary
    assert len(registry.asked("manifest")) == 2


async def test_credentials_go_to_the_token_service_only_and_into_no_log(
    registry: HostileRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    registry.token_required = True
    registry.on("blob", hostile.answers(503), times=1)
    digest = registry.blob(b"data")
    async with RegistryClient(with_login(tmp_path, registry.host)) as client:
        await client.blobs.read(registry.reference(), digest, 0, 4)
        with pytest.raises(NotFoundError) as caught:
            await client.manifests.get(registry.reference(tag="none"))
    (token,) = registry.asked("token")
    basic = token.headers["Authorization"]
    assert base64.b64decode(basic.removeprefix("Basic ")).decode() == f"robot:{SECRET}"
    others = [seen for seen in registry.seen if seen.kind != "token"]
    assert all(basic not in seen.headers.values() for seen in others)
    said = caplog.text + str(caught.value) + repr(client.settings)
    assert SECRET not in said
    assert TOKEN not in said
    assert basic not in said


async def test_basic_credentials_are_sent_where_basic_is_asked_for(
    registry: HostileRegistry, tmp_path: Path
) -> None:
    digest = registry.blob(b"data")
    challenge = hostile.answers(401, WWW_Authenticate='Basic realm="here"')
    registry.on("blob", challenge, times=1)
    async with RegistryClient(with_login(tmp_path, registry.host)) as client:
        assert await client.blobs.read(registry.reference(), digest, 0, 4) == b"data"
    assert registry.asked("blob")[1].headers["Authorization"].startswith("Basic ")


async def test_an_identity_token_is_exchanged_by_post(
    registry: HostileRegistry, tmp_path: Path
) -> None:
    registry.token_required = True
    digest = registry.blob(b"data")
    settings = with_login(tmp_path, registry.host, identitytoken="refresh-me")
    async with RegistryClient(settings) as client:
        assert await client.blobs.read(registry.reference(), digest, 0, 4) == b"data"
    (token,) = registry.asked("token")
    assert token.method == "POST"
    assert "refresh-me" not in token.path


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Basic realm=x",
        "Negotiate",
        'Bearer realm="ftp://elsewhere/"',
        'Bearer realm="https://user@elsewhere/"',
        "Bearer realm",
        '"',
        "Bearer " + "x" * 9000,
    ],
)
async def test_a_challenge_that_we_cannot_answer_is_a_lasting_error(
    client: RegistryClient, registry: HostileRegistry, challenge: str
) -> None:
    registry.on("manifest", hostile.answers(401, WWW_Authenticate=challenge))
    with pytest.raises(RemoteError) as caught:
        await client.manifests.get(registry.reference())
    assert not caught.value.temporary
    assert len(registry.asked("manifest")) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"token": 5}', b'{"token": "a\\nb"}', b"x" * 2000])
async def test_a_token_service_that_answers_nonsense_is_an_error(
    registry: HostileRegistry, body: bytes
) -> None:
    async def nonsense(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.Response:
        return hostile.web.Response(body=body)

    registry.token_required = True
    registry.on("token", nonsense)
    async with RegistryClient(replace(QUICK, limits=Limits(token=1000))) as client:
        with pytest.raises(RemoteError):
            await client.manifests.get(registry.reference())


async def test_a_mirror_is_asked_first_and_told_whom_it_stands_for(
    registry: HostileRegistry, mirror: HostileRegistry, tmp_path: Path
) -> None:
    digest = registry.blob(b"data")
    mirror.blob(b"data")
    settings = with_hosts(
        tmp_path, registry, f'[host."http://{mirror.host}".header]\nx-key = "operator"\n'
    )
    async with RegistryClient(settings) as client:
        assert await client.blobs.read(registry.reference(), digest, 0, 4) == b"data"
    assert registry.seen == []
    (seen,) = mirror.seen
    assert seen.path == f"/v2/a/b/blobs/{digest}?ns={registry.host}"
    assert seen.headers["x-key"] == "operator"


@pytest.mark.parametrize(
    "fault", [hostile.answers(404), hostile.answers(500), hostile.answers(403), hostile.compressed]
)
async def test_the_registry_steps_in_where_a_mirror_fails(
    registry: HostileRegistry,
    mirror: HostileRegistry,
    tmp_path: Path,
    fault: hostile.Handler,
) -> None:
    digest = registry.blob(b"data")
    mirror.blob(b"data")
    mirror.on("blob", fault)
    settings = with_hosts(tmp_path, registry, f'[host."http://{mirror.host}"]\n')
    async with RegistryClient(settings) as client:
        assert await client.blobs.read(registry.reference(), digest, 0, 4) == b"data"
        mirror.on("blob", fault)
        received = [piece async for piece in client.blobs.stream(registry.reference(), digest)]
        assert received == [b"data"]


async def test_a_dead_mirror_costs_one_attempt_and_is_then_asked_last(
    registry: HostileRegistry, mirror: HostileRegistry, tmp_path: Path
) -> None:
    digest = registry.blob(b"data")
    mirror.on("blob", hostile.answers(503))
    settings = with_hosts(tmp_path, registry, f'[host."http://{mirror.host}"]\n')
    async with RegistryClient(settings) as client:
        for _ in range(10):
            await client.blobs.read(registry.reference(), digest, 0, 4)
        assert len(mirror.seen) == QUICK.retries.mirror_attempts
        with pytest.raises(NotFoundError):
            await client.blobs.read(registry.reference(), digest_of(b"none"), 0, 1)
        assert len(mirror.seen) == QUICK.retries.mirror_attempts


async def test_a_lying_mirror_does_not_hide_the_registry(
    registry: HostileRegistry, mirror: HostileRegistry, tmp_path: Path
) -> None:
    data = b"data"
    digest = registry.blob(data)
    mirror.blobs[digest] = b"atad"
    manifest = manifest_of()
    name = ("a/b", digest_of(manifest))
    registry.manifests[name] = (OCI_MANIFEST, manifest)
    mirror.manifests[name] = (OCI_MANIFEST, manifest + b" ")
    settings = with_hosts(tmp_path, registry, f'[host."http://{mirror.host}"]\n')
    async with RegistryClient(settings) as client:
        assert await client.blobs.get(registry.reference(), digest, 100) == data
        raw = await client.manifests.get(registry.reference(), name[1])
        assert raw.data == manifest


async def test_a_stream_goes_on_at_the_registry_when_the_mirror_breaks(
    registry: HostileRegistry, mirror: HostileRegistry, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 8000
    digest = registry.blob(data)
    mirror.blob(data)
    mirror.on("blob", hostile.broken_after(1000))
    settings = with_hosts(tmp_path, registry, f'[host."http://{mirror.host}"]\n')
    async with RegistryClient(settings) as client:
        stream = client.blobs.stream(registry.reference(), digest)
        assert b"".join([piece async for piece in stream]) == data
    assert registry.asked("blob")[0].headers["Range"] == "bytes=2000-"


async def test_a_mirror_that_may_not_resolve_is_not_asked_what_a_tag_means(
    registry: HostileRegistry, mirror: HostileRegistry, tmp_path: Path
) -> None:
    manifest = manifest_of()
    registry.manifests["a/b", "1"] = (OCI_MANIFEST, manifest)
    text = f'[host."http://{mirror.host}"]\ncapabilities = ["pull"]\n'
    async with RegistryClient(with_hosts(tmp_path, registry, text)) as client:
        assert (await client.manifests.get(registry.reference())).data == manifest
        await client.referrers.list(registry.reference(), digest_of(manifest), TYPE)
    assert mirror.seen == []


async def test_nobody_who_may_push_is_a_mistake_in_the_configuration(
    registry: HostileRegistry, tmp_path: Path
) -> None:
    text = f'server = "http://{registry.host}"\ncapabilities = ["pull"]\n'
    async with RegistryClient(with_hosts(tmp_path, registry, text)) as client:
        with pytest.raises(UsageError, match="push"):
            await client.uploads.put(registry.reference(), b"data")


async def test_a_manifest_by_digest_is_verified(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    digest = digest_of(b"expected")
    registry.manifests["a/b", digest] = (OCI_MANIFEST, manifest_of())
    with pytest.raises(CorruptError, match=digest):
        await client.manifests.get(registry.reference(), digest)


async def test_a_manifest_by_tag_must_have_the_digest_that_the_registry_claims(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def lie(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        headers = {"Docker-Content-Digest": digest_of(b"other"), "Content-Type": OCI_MANIFEST}
        return hostile.web.Response(body=manifest_of(), headers=headers)

    registry.on("manifest", lie)
    with pytest.raises(CorruptError):
        await client.manifests.get(registry.reference())


async def test_a_manifest_that_is_too_large_is_not_read_to_its_end(
    registry: HostileRegistry,
) -> None:
    registry.manifests["a/b", "1"] = (OCI_MANIFEST, b" " * 20_000_000)
    async with RegistryClient(replace(QUICK, limits=Limits(manifest=1000))) as client:
        with pytest.raises(RemoteError, match="more than 1000"):
            await client.manifests.get(registry.reference())
        assert client.statistics.received["manifest"] < 5_000_000


async def test_an_error_page_is_not_read_to_its_end_nor_shown_raw(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def page(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        errors = [{"code": "DENIED\x1b[2J", "message": "no\n\x00 entry" + " " * 1000}]
        return hostile.web.json_response({"errors": errors}, status=403)

    registry.on("manifest", page)
    with pytest.raises(RemoteError) as caught:
        await client.manifests.get(registry.reference())
    assert "no entry" in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


async def test_a_blob_is_uploaded_once(client: RegistryClient, registry: HostileRegistry) -> None:
    data = b"x" * 3_000_000
    assert await client.uploads.put(registry.reference(), data)
    assert registry.blobs[digest_of(data)] == data
    assert not await client.uploads.put(registry.reference(), data)


async def test_an_upload_that_breaks_is_begun_again(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def lost(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        if request.method == "PUT":
            await request.read()
            return hostile.web.Response(status=503)
        return await registry._upload(request)

    registry.token_required = True
    registry.on("upload", lost, times=4)
    assert await client.uploads.put(registry.reference(), b"data")
    assert registry.blobs[digest_of(b"data")] == b"data"


async def test_a_manifest_that_a_registry_misreads_while_others_push_is_put_again(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def misread(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        return hostile.error(400, "DIGEST_INVALID")

    registry.on("manifest", misread, times=2)
    data = manifest_of()
    await client.manifests.put(registry.reference(), digest_of(data), OCI_MANIFEST, data)
    assert ("a/b", digest_of(data)) in registry.manifests


async def test_a_file_is_uploaded_again_from_its_start_if_that_breaks(
    client: RegistryClient, registry: HostileRegistry, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 10_000
    file = tmp_path / "file"
    file.write_bytes(data)
    broken = 0

    async def breaks(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        nonlocal broken
        if request.method == "POST" or broken == 2:
            return await registry._upload(request)
        broken += 1
        await request.content.readexactly(1_500_000)
        return await hostile.reset(registry, request)

    registry.on("upload", breaks)
    assert await client.uploads.put_file(registry.reference(), file)
    assert registry.blobs == {digest_of(data): data}
    assert broken == 2
    assert not await client.uploads.put_file(registry.reference(), file, digest_of(data))


async def test_a_refusal_in_the_middle_of_an_upload_is_what_is_reported(
    client: RegistryClient, registry: HostileRegistry, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(8 << 20))

    async def refuses(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        if request.method == "POST":
            return await registry._upload(request)
        return hostile.error(413, "SIZE_INVALID")

    registry.on("upload", refuses)
    with pytest.raises(RemoteError, match="answered 413"):
        await client.uploads.put_file(registry.reference(), file)


@pytest.mark.parametrize("api", [True, False])
async def test_referrers_are_listed_with_and_without_the_api(
    client: RegistryClient, registry: HostileRegistry, api: bool
) -> None:
    registry.referrers_api = api
    reference, subject = registry.reference(), digest_of(b"subject")
    pushed = []
    for kind in (TYPE, "application/vnd.other", TYPE):
        data = manifest_of(subject, artifactType=kind, annotations={"n": str(len(pushed))})
        await push_referrer(client, reference, subject, data, kind)
        pushed.append(digest_of(data))
    listed = await client.referrers.list(reference, subject, TYPE)
    assert [one.digest for one in listed] == [pushed[0], pushed[2]]
    assert (("a/b", fallback_tag(subject)) in registry.manifests) is not api
    assert await client.referrers.list(reference, digest_of(b"none"), TYPE) == ()


async def push_referrer(
    client: RegistryClient, reference: Reference, subject: str, data: bytes, kind: str
) -> None:
    """Push a manifest and do what a publisher does with the registry's answer."""
    pushed = await client.manifests.put(reference, digest_of(data), OCI_MANIFEST, data)
    if pushed.subject != subject:
        added = Descriptor(OCI_MANIFEST, digest_of(data), len(data), artifact_type=kind)
        await client.referrers.announce(reference, subject, added)


async def test_all_pages_of_referrers_are_read(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.page = 2
    subject = digest_of(b"subject")
    for i in range(5):
        data = manifest_of(subject, artifactType=TYPE, annotations={"n": str(i)})
        await push_referrer(client, registry.reference(), subject, data, TYPE)
    assert len(await client.referrers.list(registry.reference(), subject, TYPE)) == 5


@pytest.mark.parametrize("link", ["https://elsewhere.example/", "http://[bad", "file:///etc"])
async def test_a_next_page_at_another_host_is_refused(
    client: RegistryClient, registry: HostileRegistry, link: str
) -> None:
    headers = {"Link": f'<{link}>; rel="next"', "Content_Type": hostile.OCI_INDEX}

    async def page(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return hostile.web.Response(body=b'{"manifests": []}', headers=named)

    registry.on("referrers", page)
    with pytest.raises(CorruptError):
        await client.referrers.list(registry.reference(), digest_of(b"subject"), TYPE)


async def test_pages_of_referrers_end_even_if_the_registry_never_ends(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def page(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        headers = {"Link": f'<{request.path}>; rel="next"', "Content-Type": hostile.OCI_INDEX}
        return hostile.web.Response(body=b'{"manifests": []}', headers=headers)

    registry.on("referrers", page)
    assert await client.referrers.list(registry.reference(), digest_of(b"s"), TYPE) == ()
    assert len(registry.asked("referrers")) == QUICK.limits.referrers_pages


async def test_a_web_page_in_place_of_the_referrers_api_means_that_there_is_none(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def page(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        return hostile.web.Response(text="<html>", content_type="text/html")

    registry.on("referrers", page)
    assert await client.referrers.list(registry.reference(), digest_of(b"s"), TYPE) == ()


async def test_an_entry_that_another_client_overwrites_is_announced_again(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    registry.referrers_api = False
    reference, subject = registry.reference(), digest_of(b"subject")
    other = Descriptor(OCI_MANIFEST, digest_of(b"other"), 5, artifact_type=TYPE)
    overwritten = 0

    async def raced(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.Response:
        nonlocal overwritten
        if request.method == "PUT" and overwritten < 2:
            overwritten += 1
            await request.read()
            registry.manifests["a/b", fallback_tag(subject)] = (
                hostile.OCI_INDEX,
                with_referrer([], other),
            )
            return hostile.web.Response(status=201)
        return await registry._manifest(request, "a/b", request.path.rsplit("/", 1)[1])

    registry.on("manifest", raced)
    ours = Descriptor(OCI_MANIFEST, digest_of(b"ours"), 4, artifact_type=TYPE)
    await client.referrers.announce(reference, subject, ours)
    listed = await client.referrers.list(reference, subject, TYPE)
    assert [one.digest for one in listed] == [other.digest, ours.digest]
    assert overwritten == 2


async def test_a_registry_that_trips_over_two_writers_at_once_is_asked_again(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    """Debian's docker-registry says it of a tag that is being written, whatever the bytes."""
    registry.referrers_api = False
    reference, subject = registry.reference(), digest_of(b"subject")
    refused = 0

    async def tripping(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        nonlocal refused
        if request.method == "PUT" and refused < 2:
            refused += 1
            await request.read()
            errors = {"errors": [{"code": "DIGEST_INVALID", "message": "did not match"}]}
            return hostile.web.json_response(errors, status=400)
        return await registry.honest(request)

    registry.on("manifest", tripping)
    ours = Descriptor(OCI_MANIFEST, digest_of(b"ours"), 4, artifact_type=TYPE)
    await client.referrers.announce(reference, subject, ours)
    assert [one.digest for one in await client.referrers.list(reference, subject, TYPE)] == [
        ours.digest
    ]
    assert refused == 2


async def test_an_entry_that_a_slow_client_overwrites_later_is_announced_again(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    """The other one read before we wrote, and writes after we saw our entry in the list."""
    registry.referrers_api = False
    reference, subject = registry.reference(), digest_of(b"subject")
    earlier, other, ours = (
        Descriptor(OCI_MANIFEST, digest_of(name), 5, artifact_type=TYPE)
        for name in (b"earlier", b"other", b"ours")
    )
    await client.referrers.announce(reference, subject, earlier)
    written = asyncio.Event()

    async def watched(
        registry: HostileRegistry, request: hostile.web.Request
    ) -> hostile.web.StreamResponse:
        answer = await registry.honest(request)
        if request.method == "PUT":
            written.set()
        return answer

    async def slow_client() -> None:
        await written.wait()
        stale = with_referrer([], other)  # it did not even see the first entry
        registry.manifests["a/b", fallback_tag(subject)] = (hostile.OCI_INDEX, stale)

    registry.on("manifest", watched)
    await asyncio.gather(slow_client(), client.referrers.announce(reference, subject, ours))
    listed = await client.referrers.list(reference, subject, TYPE)
    assert {one.digest for one in listed} == {earlier.digest, other.digest, ours.digest}


async def test_an_entry_that_is_always_overwritten_is_an_error(
    client: RegistryClient, registry: HostileRegistry
) -> None:
    async def deaf(registry: HostileRegistry, request: hostile.web.Request) -> hostile.web.Response:
        if request.method == "PUT":
            await request.read()
            return hostile.web.Response(status=201)
        return hostile.web.Response(status=404)

    registry.on("manifest", deaf)
    ours = Descriptor(OCI_MANIFEST, digest_of(b"ours"), 4, artifact_type=TYPE)
    with pytest.raises(RemoteError, match="overwrite"):
        await client.referrers.announce(registry.reference(), digest_of(b"subject"), ours)
