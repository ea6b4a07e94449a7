"""Container images built here, from Debian's packages, for the demo and the benchmarks."""
