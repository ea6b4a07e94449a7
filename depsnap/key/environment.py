"""The variables that installers and compilers listen to, as an ingredient. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from depsnap.key.ingredients import Ingredient, ingredient
from depsnap.key.redaction import is_secret_name

_LISTENED: Final = re.compile(
    r"(PIP|UV|CONDA|MAMBA|NPM_CONFIG|npm_config|POETRY|CARGO|CMAKE)_\w+|TORCH_CUDA_ARCH_LIST"
    r"|CUDA_HOME|C(PP|XX)?FLAGS|LDFLAGS|CC|CXX|PYTHONPATH|PYTHONHOME|PYTHONUSERBASE|VIRTUAL_ENV"
    r"|FORCE_CUDA|USE_\w+|LD_LIBRARY_PATH|LIBRARY_PATH|CPATH|DEBIAN_FRONTEND"
)
_UNHEARD: Final = re.compile(
    r"\w*_(CACHE_DIR|CACHE|LOG|JOBS|PROGRESS_BAR|NO_INPUT|PKGS_DIRS|DEFAULT_TIMEOUT|RETRIES)"
    r"|PIP_DISABLE_PIP_VERSION_CHECK|PIP_NO_CACHE_DIR|PIP_ROOT_USER_ACTION|PIP_PROXY"
    r"|CONDA_(SHLVL|PROMPT_MODIFIER|EXE|PYTHON_EXE|BACKUP_\w+)|UV_(CONCURRENT_\w+|LINK_MODE|NO_CACHE"
    r"|HTTP_TIMEOUT)|npm_config_cache|NPM_CONFIG_CACHE|(npm_config|NPM_CONFIG)_(loglevel|LOGLEVEL)"
)
"""What changes how an installer works, but not what it installs."""


def environment_ingredient(environment: Mapping[str, str]) -> Ingredient:
    """Return the ingredient. Secrets do not count: a new token must not be a new snapshot."""
    lines = [
        f"{name}={value}"
        for name, value in sorted(environment.items())
        if _LISTENED.fullmatch(name) and not _UNHEARD.fullmatch(name) and not is_secret_name(name)
    ]
    return ingredient("environment", lines)
