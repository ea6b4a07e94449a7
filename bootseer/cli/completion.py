"""`bootseer completion`: lines for a shell's start-up file."""

import click
from click.shell_completion import get_completion_class

from bootseer.errors import UsageError


@click.command("completion", short_help="Print shell completion.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print completion for SHELL.

    For bash: `bootseer completion bash > ~/.local/share/bash-completion/completions/bootseer`.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    completion = kind(ctx.find_root().command, {}, "bootseer", "_BOOTSEER_COMPLETE")
    click.echo(completion.source())
