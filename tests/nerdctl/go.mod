module bootseer.example/nerdctl

go 1.26.0

require github.com/containerd/nerdctl/v2 v2.2.2

require github.com/containerd/nerdctl/mod/tigron v0.0.0

replace github.com/containerd/nerdctl/mod/tigron v0.0.0 => ./tigron
