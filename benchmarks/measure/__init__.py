"""Parts of benchmarks: each measures one thing and returns figures."""
