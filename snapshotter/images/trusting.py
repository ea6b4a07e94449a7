"""From the configuration file's `trust` section to the rules. Reads the keys' files."""

from pathlib import Path

from bootseer import config
from bootseer.errors import UsageError
from snapshotter.images.keys import read_public_key
from snapshotter.images.trust import Policy, Trust, TrustRules
from snapshotter.registry.logins.matching import split_entry


def trust_rules(section: config.Trust) -> TrustRules:
    """Return whose indexes are believed under this configuration.

    Raises:
        UsageError: a key cannot be used, or a rule makes no sense.
    """
    keys = tuple(Path(name) for name in section.keys)
    rules = []
    for rule in section.rules:
        if not split_entry(rule.match)[0]:
            raise UsageError("trust.rules: each needs a `match`, such as registry.example/team")
        own = tuple(Path(name) for name in rule.keys) or keys
        rules.append((rule.match, _trust(Policy(rule.policy), own)))
    return TrustRules(_trust(Policy(section.policy), keys), tuple(rules))


def _trust(policy: Policy, keys: tuple[Path, ...]) -> Trust:
    if policy is not Policy.SIGNED:
        return Trust(policy)
    if not keys:
        raise UsageError("trust: the policy `signed` needs `keys`")
    return Trust(policy, tuple(read_public_key(path) for path in keys))
