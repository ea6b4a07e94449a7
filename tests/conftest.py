"""For every test: how Hypothesis behaves on busy machines and on the integration machine."""

import os

from hypothesis import settings

# A deadline would be an assertion about time, which says more of the machine than of the code.
settings.register_profile("here", deadline=None)
# On the integration machine a failure must be the change's, not a new random example's.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
