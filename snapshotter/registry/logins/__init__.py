"""Where credentials for registries come from: docker, the kubelet's plugins, the CRI's pulls."""
