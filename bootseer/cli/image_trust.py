"""`bootseer image sign` and `pin`: for nodes that do not believe every published index."""

import json
from pathlib import Path

import click

from bootseer.cli.about_image import about_image, wanted_platform, with_client
from bootseer.cli.config_option import load_config
from snapshotter.images.keys import read_private_key
from snapshotter.images.pinning import PinnedImage, pin_image
from snapshotter.images.signing import SignedImage, sign_image
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.reference import parse_reference


@click.command("sign")
@about_image
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    required=True,
    help="Private key: PEM, Ed25519 or ECDSA, without a password.",
)
def sign(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    key_path: Path,
) -> None:
    """Sign an image's published index, for nodes that believe signed ones only.

    Sign what you made, or make it anew first, from the layers: bootseer image index --again.
    """
    key = read_private_key(key_path)

    async def work(client: RegistryClient) -> SignedImage:
        return await sign_image(client, parse_reference(reference), wanted_platform(platform), key)

    done = with_client(load_config(config_path), reference, plain_http, work)
    document = {"manifest": done.image_digest, "artifact": done.artifact_digest}
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(f"signed: {done.artifact_digest} for image {done.image_digest}")


@click.command("pin")
@about_image
@click.argument("tag")
def pin(
    reference: str,
    platform: str | None,
    config_path: Path,
    plain_http: bool,
    as_json: bool,
    tag: str,
) -> None:
    """Push an image under another TAG whose digest vouches for its indexes, too.

    It has the same layers, and names their indexes in annotations, for nodes that believe such
    indexes only. The image itself is not changed.
    """

    async def work(client: RegistryClient) -> PinnedImage:
        image, tagged = parse_reference(reference), parse_reference(f"pinned:{tag}")
        return await pin_image(client, image, wanted_platform(platform), str(tagged.tag))

    done = with_client(load_config(config_path), reference, plain_http, work)
    if as_json:
        document = {"reference": str(done.reference), "layers": done.layers}
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(f"pinned: {done.reference}, {done.layers} layers")
