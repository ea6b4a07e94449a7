"""What this kernel's overlayfs wants to be told at every mount."""

from pathlib import Path

_WHOLE_RANGE = ["0", "0", "4294967295"]


def mount_options(system: Path = Path("/")) -> tuple[str, ...]:
    """Return options for every overlay mount on the machine whose files are below `system`.

    `index=off`, because with an index the same upper directory may not be mounted again over
    other lower ones, where the kernel knows the option. `userxattr` in a user namespace, where
    `trusted.*` attributes cannot be written (Linux 5.11).
    """
    options = []
    if (system / "sys/module/overlay/parameters/index").exists():
        options.append("index=off")
    if (system / "proc/self/uid_map").read_text(encoding="ascii").split() != _WHOLE_RANGE:
        options.append("userxattr")
    return tuple(options)
