"""`bootseer deps run`: what is done with an install step, from its key to its exit code."""
