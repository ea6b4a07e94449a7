"""`bootseer doctor`: what of this machine is right, what is not, how to mend it."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bootseer.cli.config_option import config_option
from bootseer.config import Config, load
from bootseer.doctor.findings import Finding, State, worst
from bootseer.doctor.host import (
    check_containerd,
    check_containerd_socket,
    check_daemon,
    check_file_backed,
    check_root,
    check_state_directory,
    check_watching,
)
from bootseer.doctor.kernel import check_kernel
from bootseer.errors import BootseerError, HostError

_SIGNS = {State.OK: "[green]ok[/]", State.WARN: "[yellow]warn[/]", State.FAIL: "[red]FAIL[/]"}


@click.command("doctor", short_help="Check this machine.")
@config_option("Configuration file; defaults are checked where it does not exist.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_path: Path, as_json: bool) -> None:
    """Say what of kernel, FUSE, EROFS, overlayfs, containerd and configuration is right.

    Exit code 0 if the snapshotter can work (warnings included), 6 if something is missing.
    """
    findings = examine(config_path)
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=1))
    else:
        show(findings)
    if worst(findings) is State.FAIL:
        sys.exit(HostError.exit_code)


def examine(config_path: Path) -> list[Finding]:
    """Run every check."""
    findings = check_kernel()
    findings.append(check_root())
    config, finding = _config(config_path)
    findings.append(finding)
    findings += check_state_directory(config.root)
    if all(f.state is not State.FAIL for f in findings):
        findings += [check_file_backed(config.root), check_watching()]
    findings += check_containerd(str(config.address), config.snapshotter.name)
    findings += check_containerd_socket(config.containerd)
    findings.append(check_daemon(config.address))
    return findings


def _config(path: Path) -> tuple[Config, Finding]:
    if not path.exists():
        detail = f"{path} does not exist: defaults"
        return Config(), Finding("config", State.OK, detail)
    try:
        return load(path), Finding("config", State.OK, str(path))
    except BootseerError as error:
        return Config(), Finding("config", State.FAIL, error.message, error.hint or "")


def show(findings: list[Finding]) -> None:
    """Print the findings as a table for people."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        text = escape(finding.detail)
        text += f"\n[bold]-> {escape(finding.mend)}[/]" if finding.mend else ""
        table.add_row(_SIGNS[finding.state], finding.name, text)
    Console(highlight=False).print(table)
